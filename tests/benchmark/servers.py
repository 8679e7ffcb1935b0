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


class Checkout(NamedTuple):
    """A checkout of this project, of any version: only its public command line is used."""

    directory: Path
    python: str

    @classmethod
    def at(cls, directory: Path) -> "Checkout":
        """With the interpreter of its own ``.venv``, else with this one."""
        own = directory / ".venv" / "bin" / "python"
        return cls(directory, str(own) if own.exists() else sys.executable)

    def environment(self) -> dict[str, str]:
        """The environment without what sets msgsvc."""
        foreign = {name: value for name, value in os.environ.items() if not name.startswith(("MSGSVC_", "RAILWAY_"))}
        foreign.pop("PORT", None)
        return {**foreign, "PYTHONPATH": str(self.directory)}

    def run(self, *arguments: str, typed: str = "") -> str:
        """What ``python -m msgsvc`` prints. Raises ServerError where it fails."""
        command = [self.python, "-m", "msgsvc", *arguments]
        ran = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment(),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise ServerError(f"{' '.join(command)} in {self.directory}: {ran.stderr.strip()[-2000:]}")
        return ran.stdout.strip()


HERE = Checkout(Path(__file__).resolve().parents[2], sys.executable)


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
        self._cpu_clock = (~process.pid << 3) | 2  # Linux, clock_getcpuclockid(3): CPUCLOCK_SCHED of the process

    def cpu_seconds(self) -> float:
        """Processor time so far, to the nanosecond; 0 where the system does not tell."""
        try:
            return time.clock_gettime(self._cpu_clock)
        except OSError:
            return 0.0

    def resident_megabytes(self) -> float:
        """Resident memory; 0 where the system does not tell."""
        try:
            pages = int((self._proc / "statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def peak_megabytes(self) -> float:
        """The largest resident memory so far; 0 where the system does not tell."""
        try:
            found = re.search(r"VmHWM:\s+([0-9]+)", (self._proc / "status").read_text())
        except OSError:
            return 0.0
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def open_descriptors(self) -> int:
        """Open files and connections; 0 where the system does not tell."""
        try:
            return len(list((self._proc / "fd").iterdir()))
        except OSError:
            return 0


@contextmanager
def msgsvc(
    checkout: Checkout, database: Path | str, threads: int, on: set[int] | None, log: Path | None = None
) -> Iterator[Server]:
    """``msgsvc serve`` on a free port, as a user would start it; only the limit on sending is lifted.

    The log is beside the database, unless it is given.
    """
    environ = {**checkout.environment(), "MSGSVC_SEND_RATE": "0"}
    arguments = ["serve", "--database", str(database), "--port", "0", "--threads", str(threads)]
    log = log or Path(database).with_suffix(".log")
    with _process(checkout, ["-m", "msgsvc", *arguments], log, on, environ) as process:
        yield Server(process, _await_port(process, log))


@contextmanager
def bare(log: Path, threads: int, on: set[int] | None, uri: str = "") -> Iterator[Server]:
    """The bare application, with a statement on a PostgreSQL database where its URI is given."""
    module = ["tests.benchmark.bare_postgresql", str(threads), uri] if uri else ["tests.benchmark.bare", str(threads)]
    with _process(HERE, ["-m", *module], log, on, dict(os.environ)) as process:
        yield Server(process, _await_port(process, log))


@contextmanager
def _process(
    checkout: Checkout, arguments: list[str], log: Path, on: set[int] | None, environ: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output, running_on(on):
        command = [checkout.python, *arguments]
        process = subprocess.Popen(command, cwd=checkout.directory, env=environ, stdout=output, stderr=output)
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
