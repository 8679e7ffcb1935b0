"""Runs `msgsvc serve` and calls it. The log goes to a file."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from processes import environment

from msgsvc import Settings, create_app
from msgsvc.testing import Client

START_SECONDS = 60
ANSWER_SECONDS = 60


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    json: Any


class Service:
    """A running `msgsvc serve`, its log, and calls to it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = self._listening_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _listening_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"listening on http://\S+:([0-9]+)", self.log.read_text())
            if found:
                return int(found[1])
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)

    def call(self, method: str, path: str, body: object = None, **headers: str | None) -> Answer:
        """One request on a new connection."""
        with closing(self.connection()) as connection:
            return call(connection, method, path, body, **headers)

    def raw(self, sent: bytes) -> bytes:
        """Sends these bytes, closes the sending side, and returns everything received."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS) as client:
            # The server may answer and close before it has read the last byte.
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(sent)
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            return received(client)

    def log_text(self) -> str:
        """The log up to now. While the server runs it may write lines a moment later: a last call marks the end."""
        if self.process.poll() is None:
            mark = f"mark-{uuid.uuid4()}"
            self.call("GET", "/healthz", X_Request_ID=mark)
            deadline = time.monotonic() + ANSWER_SECONDS
            while mark not in self.log.read_text():
                assert time.monotonic() < deadline, "the log line of a request is missing"
                time.sleep(0.01)
        lines = self.log.read_text().splitlines(keepends=True)
        return "".join(line for line in lines if '"mark-' not in line)

    def log_lines(self) -> list[dict[str, Any]]:
        """Raises ValueError where a line is not JSON."""
        return [json.loads(line) for line in self.log_text().splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def received(client: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    answer = b""
    with suppress(ConnectionResetError):
        while data := client.recv(65536):
            answer += data
    return answer


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None, **headers: str | None
) -> Answer:
    """A request with a JSON body, or with these bytes as its body; a header that is None is left out."""
    named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None:
        named.setdefault("Content-Type", "application/json")
    connection.request(method, path, data, named)
    response = connection.getresponse()
    text = response.read()
    return Answer(response.status, response.headers, json.loads(text) if text else None)


@contextmanager
def running(command: Sequence[str], log: Path, **process_options: Any) -> Iterator[Service]:
    """Runs the server that the command starts for the length of the block."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stderr=errors, stdout=subprocess.DEVNULL, start_new_session=True, **process_options
        )
    try:
        yield Service(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(
    database: str, *command: str, prepare: str = "", log: Path | None = None, **settings: str
) -> Iterator[Service]:
    """Serves the database. ``command`` is a prefix of the command line; ``prepare`` is Python to run first.

    The log is beside the database file, unless another one is given.
    """
    variables = {f"MSGSVC_{name.upper()}": value for name, value in {"send_rate": "0", **settings}.items()}
    program = f"import sys, msgsvc.cli\n{prepare}\nsys.exit(msgsvc.cli.main())"
    arguments = ["-c", program] if prepare else ["-m", "msgsvc"]
    whole_command = [*command, sys.executable, *arguments, "serve", "--port", "0", "--database", database]
    with running(whole_command, log or Path(f"{database}.log"), env=environment(**variables)) as service:
        yield service


def sign_in(database: str, **roles: str) -> dict[str, str]:
    """Creates an account for each name and role; returns their Authorization headers."""
    with closing(Client(create_app(Settings(database=database, page="")))) as client:
        return {name: client.as_user(name, role).identity["HTTP_AUTHORIZATION"] for name, role in roles.items()}
