"""The size of the write-ahead log: when it is checkpointed, and what happens while a reader holds it.

SQLite's; a PostgreSQL server checkpoints by itself.
"""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from notes import notes, write

from msgsvc import Settings, create_app
from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.storage import SqliteStorage


@pytest.mark.parametrize("page_bytes", [512, 8192])
def test_long_wal_is_checkpointed_and_restarted(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA page_size = {page_bytes}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_CHECKPOINT_BYTES", 128 * 1024)
    log = Path(f"{storage.path}-wal")
    for number in range(40):
        write(storage, f"{number} " + "x" * 4000)
    assert 128 * 1024 < log.stat().st_size < 256 * 1024
    assert Path(storage.path).stat().st_size > 64 * 1024


def test_wal_stays_bounded_under_constant_reads(storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With constant readers, SQLite's own checkpoints almost never restart the WAL."""
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_CHECKPOINT_BYTES", 128 * 1024)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_LIMIT_BYTES", 256 * 1024)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.CHECKPOINT_RETRY_SECONDS", 0.0)
    over = threading.Event()

    def keep_reading() -> None:
        while not over.is_set():
            notes(storage)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(keep_reading)
        longest = 0
        for number in range(300):
            write(storage, f"{number} " + "x" * 4000)
            longest = max(longest, Path(f"{storage.path}-wal").stat().st_size)
        over.set()
    assert longest < 1024 * 1024


@pytest.mark.parametrize(("seconds", "waits"), [(1000.0, 1), (0.0, 5)])
def test_reader_that_blocks_the_checkpoint_is_logged_at_intervals(
    storage: SqliteStorage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    waits: int,
) -> None:
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.CHECKPOINT_RETRY_SECONDS", seconds)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.BUSY_SECONDS", 0.01)
    log = Path(f"{storage.path}-wal")
    with storage.read() as reader:
        reader.one("count_notes")
        write(storage, "long " + "x" * 100_000)
        monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_LIMIT_BYTES", 64 * 1024)
        for number in range(5):
            write(storage, str(number))
        assert log.stat().st_size > 64 * 1024
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "readers hold the write-ahead log"
    ] * waits
    write(storage, "after")
    assert (log.stat().st_size == 0) == (seconds == 0)


def test_wal_shared_with_a_host_is_checkpointed_at_sqlites_default(database_path: str) -> None:
    """Otherwise the next commit of the host would have to checkpoint everything that msgsvc left in the WAL."""
    app = create_app(Settings(database=database_path, send_rate=0), authenticate=lambda _: None)
    with closing(app), closing(sqlite3.connect(database_path)) as connection:
        ((page_bytes,),) = connection.execute("PRAGMA page_size")

        def grow(transaction: Connection) -> None:
            transaction.execute("CREATE TABLE IF NOT EXISTS ballast (content)")
            transaction.execute("INSERT INTO ballast VALUES (zeroblob(:bytes))", {"bytes": 100 * page_bytes})

        for _ in range(20):
            app.services.database.write(grow)
        assert Path(f"{database_path}-wal").stat().st_size < 1200 * page_bytes
