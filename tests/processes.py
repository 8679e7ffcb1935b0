"""msgsvc as a process of its own, for the tests of the command line and of the package."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).parent.parent
WAIT_SECONDS = 20


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    output: str
    errors: str


def environment(**variables: str) -> dict[str, str]:
    """The environment without what sets msgsvc, with the given variables."""
    foreign = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MSGSVC_") and name not in ("PORT", "RAILWAY_VOLUME_MOUNT_PATH")
    }
    return {**foreign, "PYTHONPATH": str(CHECKOUT), **variables}


def msgsvc(*arguments: str, cwd: Path, typed: str = "", command: tuple[str, ...] = (), **variables: str) -> Ran:
    """Runs ``python -m msgsvc``, or the command given in its place, to its end."""
    ran = subprocess.run(
        [*(command or (sys.executable, "-m", "msgsvc")), *arguments],
        cwd=cwd,
        env=environment(**variables),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


class Serving:
    """A running server: its address, and its log lines once it has ended."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""

    def wait_until_it_listens(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(line)
            message = json.loads(line)["message"]
            if "http://" in message:
                self.url = "http://" + message.rpartition("http://")[2].split()[0]
                return
        raise AssertionError(f"the server ended: {self.lines}")

    def stop(self) -> int:
        """Ends it by SIGTERM; its exit status."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=WAIT_SECONDS)
        self.lines += errors.splitlines(keepends=True)
        return self.process.returncode


@contextmanager
def serving(*arguments: str, cwd: Path, command: tuple[str, ...] = (), **variables: str) -> Iterator[Serving]:
    """``msgsvc serve`` on a free port while the block lasts."""
    process = subprocess.Popen(
        [*(command or (sys.executable, "-m", "msgsvc")), "serve", "--port", "0", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        server = Serving(process)
        server.wait_until_it_listens()
        yield server
    finally:
        process.kill()
        process.communicate()


def call(
    url: str, method: str = "GET", *, token: str = "", body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of a real HTTP call."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
            return response.status, json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or "null")
