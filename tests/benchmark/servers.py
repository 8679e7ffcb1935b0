"""The servers, as processes of their own, and where they and the load may run."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .load import Address

START_SECONDS = 30.0


class ServerError(Exception):
    """A server did not start."""


class Cores(NamedTuple):
    """The cores of the pinned server, those of the load beside it, and all."""

    server: set[int]
    load: set[int]
    every: set[int]


def cores() -> Cores | None:
    """One core for the server and the rest for the load; None where processes cannot be pinned so."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    every = os.sched_getaffinity(0)
    return Cores({min(every)}, every - {min(every)}, every)


@contextmanager
def running_on(chosen: set[int] | None) -> Iterator[None]:
    """Keeps this process, and what it starts meanwhile, on the chosen cores; None changes nothing."""
    if chosen is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running server process."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.address: Address = ("127.0.0.1", port)
        self._proc = Path("/proc", str(process.pid))

    def cpu_seconds(self) -> float:
        """Processor time so far; 0 where the system does not tell."""
        try:
            figures = (self._proc / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")

    def resident_megabytes(self) -> float:
        """Resident memory; 0 where the system does not tell."""
        try:
            pages = int((self._proc / "statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def msgsvc(database: Path, threads: int, on: set[int] | None) -> Iterator[Server]:
    """``msgsvc serve`` on a free port, as a user would start it; only the limit on sending is lifted."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MSGSVC_") and name != "PORT"}
    environ["MSGSVC_SEND_RATE"] = "0"
    command = ["-m", "msgsvc", "serve", "--database", str(database), "--port", "0", "--threads", str(threads)]
    log = database.with_suffix(".log")
    with _process(command, log, on, environ) as process:
        yield Server(process, _await_port(process, log))


@contextmanager
def bare(log: Path, threads: int, on: set[int] | None) -> Iterator[Server]:
    """The bare application."""
    with _process(["-m", "tests.benchmark.bare", str(threads)], log, on, dict(os.environ)) as process:
        yield Server(process, _await_port(process, log))


@contextmanager
def _process(
    command: list[str], log: Path, on: set[int] | None, environ: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output, running_on(on):
        process = subprocess.Popen([sys.executable, *command], env=environ, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _await_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """The port that the server says it listens on."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        said = re.search(r"127\.0\.0\.1:([0-9]+)\b.*\n", log.read_text(encoding="utf-8"))
        if said:
            return int(said[1])
        time.sleep(0.02)
    raise ServerError(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")
