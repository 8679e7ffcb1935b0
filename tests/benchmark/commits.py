"""Group commit against a plain lock: the same work by the same threads on the same file."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from msgsvc.database import Connection, Database, lengthen_log
from msgsvc.queries import load, sql_directory

from .load import Measurement
from .seed import Seed

THREADS = 8

Transaction = Callable[[], AbstractContextManager[Connection]]


class PlainLock:
    """What group commit is compared with: one writer at a time, and a commit for each."""

    def __init__(self, path: Path, statements: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._connection = Connection(str(path), statements, mode="rw", busy_seconds=5.0)
        lengthen_log(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As Database.transaction, for work that does not fail."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def compare(seed: Seed, seconds: float, rounds: int) -> dict[str, list[Measurement]]:
    """The rounds of each way, in turn. A latency is the time from asking for a transaction to its commit."""
    statements = load(sql_directory() / "queries")
    with closing(Database(str(seed.path), statements)) as grouped, closing(PlainLock(seed.path, statements)) as plain:
        ways: dict[str, Transaction] = {"plain lock": plain.transaction, "group commit": grouped.transaction}
        measured: dict[str, list[Measurement]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, transaction in ways.items():
                measured[name].append(_measure(transaction, seed.active, seconds))
    return measured


def _measure(transaction: Transaction, people: list[str], seconds: float) -> Measurement:
    """All threads store messages until the seconds are over."""
    measurement = Measurement()
    deadline = time.perf_counter() + seconds

    def work(sender: str, recipient: str) -> None:
        now = time.perf_counter()
        while now < deadline:
            asked_at = now
            with transaction() as connection:
                connection.one(
                    "insert_message",
                    sender=sender,
                    recipient=recipient,
                    subject=None,
                    content="Shall we talk about it tomorrow?",
                    now="2026-02-05 10:30:45",
                )
            now = time.perf_counter()
            measurement.latencies.append(now - asked_at)

    started = time.perf_counter()
    threads = [threading.Thread(target=work, args=(people[n], people[n + 1])) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measurement.seconds = time.perf_counter() - started
    return measurement
