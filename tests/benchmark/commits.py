"""Group commit against a plain lock: the same work by the same threads on the same file."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgsvc.storage.base import Transaction
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite.checkpoints import checkpoint_late
from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.storage import SqliteStorage

from .load import Measurement
from .seed import Seed

THREADS = 8

Work = Callable[[Transaction], int]
Write = Callable[[Work], int]


class PlainLock:
    """What group commit is compared with: one writer at a time, and a commit for each."""

    def __init__(self, path: Path, statements: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._connection = Connection(str(path), statements, mode="rw", busy_seconds=5.0)
        checkpoint_late(self._connection)

    def write(self, work: Work) -> int:
        """As SqliteStorage.write, for work that does not fail."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            row = work(self._connection)
            self._connection.execute("COMMIT")
        return row

    def close(self) -> None:
        self._connection.close()


def compare(seed: Seed, seconds: float, rounds: int) -> dict[str, list[Measurement]]:
    """The rounds of each way, in turn. A latency is the time from asking for a transaction to its commit."""
    statements = load_statements("sqlite")
    with (
        closing(SqliteStorage(str(seed.path), statements)) as grouped,
        closing(PlainLock(seed.path, statements)) as plain,
    ):
        ways: dict[str, Write] = {"plain lock": plain.write, "group commit": grouped.write}
        measured: dict[str, list[Measurement]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, write in ways.items():
                measured[name].append(_measure(write, seed.active, seconds))
    return measured


def _measure(write: Write, people: list[str], seconds: float) -> Measurement:
    """All threads store messages until the seconds are over."""
    measurement = Measurement()
    deadline = time.perf_counter() + seconds

    def send(sender: str, recipient: str) -> None:
        def insert(transaction: Transaction) -> int:
            return transaction.insert(
                "insert_message",
                sender=sender,
                recipient=recipient,
                subject=None,
                content="Shall we talk about it tomorrow?",
                now="2026-02-05 10:30:45",
            )

        now = time.perf_counter()
        while now < deadline:
            asked_at = now
            write(insert)
            now = time.perf_counter()
            measurement.latencies.append(now - asked_at)

    started = time.perf_counter()
    threads = [threading.Thread(target=send, args=(people[n], people[n + 1])) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measurement.seconds = time.perf_counter() - started
    return measurement
