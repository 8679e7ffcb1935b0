"""A log that is not read, closed or full stops neither the calls nor the stop of the service.

On SQLite: the server does not know the engine.
"""

import fcntl
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from deployment import free_port
from processes import environment
from raw_clients import until
from served import START_SECONDS, Service, call, sign_in
from support import API

from msgsvc.serving.log_writer import QUEUE_LIMIT, LogWriter


class Unlogged(Service):
    """A running `msgsvc serve` whose log cannot be read."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.call("GET", "/healthz").status == 200
        except ConnectionRefusedError:
            return False


@contextmanager
def unlogged(database: str, redirection: str, **streams: int) -> Iterator[Unlogged]:
    port = free_port()
    command = f"exec {sys.executable} -m msgsvc serve --port {port} --database {database} {redirection}"
    with subprocess.Popen(["bash", "-c", command], env=environment(MSGSVC_SEND_RATE="0"), **streams) as process:
        try:
            service = Unlogged(process, port)
            assert until(service.answers, START_SECONDS)
            yield service
        finally:
            process.kill()


@contextmanager
def small_pipe() -> Iterator[tuple[int, int]]:
    """Holds a dozen lines."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading), os.fdopen(writing, "w"):
        yield reading, writing


@pytest.mark.fault
@pytest.mark.parametrize("redirection", ["", "2>&-", "2>/dev/full", "2> >(true)"])
def test_calls_are_answered_and_the_service_stops_when_standard_error_fails(
    database_path: str, redirection: str
) -> None:
    """Every lane: reads on the event loop, writes on the batcher's thread, logins on the workers."""
    tokens = sign_in(database_path, thea="therapist", uma="user")
    message = {"recipient": "uma", "content": "Hello"}
    with small_pipe() as (_, unread), unlogged(database_path, redirection, stderr=unread) as service:
        with closing(service.connection()) as connection:
            for _ in range(100):
                assert call(connection, "GET", f"{API}/unread", Authorization=tokens["uma"]).status == 200
                assert call(connection, "POST", f"{API}/send", message, Authorization=tokens["thea"]).status == 201
                assert call(connection, "POST", "/api/auth/logout", Authorization="Bearer x").status == 401
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 30
    with closing(sqlite3.connect(database_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (100,)


def loss_line(lost: int) -> str:
    return f'{{"lost": {lost}}}\n'


def numbered(number: int, length: int = 0) -> str:
    return json.dumps({"number": number, "text": "x" * length}) + "\n"


@pytest.fixture
def descriptor() -> Iterator[Callable[[Path], int]]:
    opened: list[int] = []

    def open_file(path: Path) -> int:
        opened.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        return opened[-1]

    yield open_file
    for number in opened:
        os.close(number)


def test_lines_beyond_the_queue_are_lost_and_counted() -> None:
    count = QUEUE_LIMIT * 2
    with small_pipe() as (reading, writing):
        os.set_blocking(writing, False)
        writer = LogWriter(writing, loss_line)
        for number in range(count):
            writer.write(numbered(number))
        written: list[dict[str, int]] = []
        rest = b""

        def has_counted_all() -> bool:
            nonlocal rest
            writer.write(numbered(-1))
            *lines, rest = (rest + os.read(reading, 1_000_000)).split(b"\n")
            written.extend(json.loads(line) for line in lines)
            lost = sum(line.get("lost", 0) for line in written)
            return lost + sum(line.get("number", -1) >= 0 for line in written) >= count

        assert until(has_counted_all)
    numbers = [line["number"] for line in written if line.get("number", -1) >= 0]
    assert numbers == sorted(set(numbers))
    assert QUEUE_LIMIT <= len(numbers) < count


def test_lines_that_a_full_disk_refused_are_counted_once_there_is_room(
    tmp_path: Path, descriptor: Callable[[Path], int]
) -> None:
    target = descriptor(Path("/dev/full"))
    writer = LogWriter(target, loss_line)
    for number in range(3):
        writer.write(numbered(number))
        writer.drain()
    os.dup2(descriptor(tmp_path / "log"), target)
    writer.write(numbered(3))
    writer.drain()
    assert (tmp_path / "log").read_text() == numbered(3) + loss_line(3)


def test_a_line_that_was_begun_is_ended_once_there_is_room(tmp_path: Path, descriptor: Callable[[Path], int]) -> None:
    """Python ignores the signal of the limit on the size of a file, so the write fails in the middle of a line."""
    log = tmp_path / "log"
    writer = LogWriter(descriptor(log), loss_line)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        writer.write("".join(numbered(number, 300) for number in range(5)))
        writer.drain()
        assert log.stat().st_size == 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.write(numbered(5, 300))
    writer.drain()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line.get("number", line.get("lost")) for line in lines] == [0, 1, 2, 3, 5, 1]


def test_what_cannot_be_encoded_is_escaped(tmp_path: Path, descriptor: Callable[[Path], int]) -> None:
    writer = LogWriter(descriptor(tmp_path / "log"), loss_line)
    writer.write("caf\udce9\n")
    writer.drain()
    assert (tmp_path / "log").read_text() == "caf\\udce9\n"
