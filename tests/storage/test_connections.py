"""Readers see one committed snapshot; opening and closing leaves no file behind.

SQLite's connections; the ones to PostgreSQL are in test_postgresql_faults.
"""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from notes import SCHEMA, STATEMENTS, RefusedError, in_threads, inserting, notes, write
from support import open_files

from msgsvc import Settings, create_app
from msgsvc.storage.base import StorageError
from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.storage import SqliteStorage


def test_readers_do_not_wait_for_writers_or_see_uncommitted_work(storage: SqliteStorage) -> None:
    write(storage, "before")

    def read_beside(transaction: Connection) -> None:
        transaction.run("insert_note", text="uncommitted")
        with storage.read() as snapshot:
            assert snapshot.all("select_notes") == [("before",)]
        assert transaction.one("count_notes") == (2,)

    storage.write(read_beside)
    with storage.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def test_every_statement_of_a_reader_sees_the_same_snapshot(storage: SqliteStorage) -> None:
    write(storage, "before")
    with storage.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)
        write(storage, "later")
        assert snapshot.all("select_notes") == [("before",)]
        with storage.read() as newer:
            assert newer.one("count_notes") == (2,)
    with storage.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def counted(storage: SqliteStorage) -> int:
    with storage.read() as snapshot:
        (count,) = snapshot.one("count_notes")
    return int(count)


def test_shared_snapshot_begins_with_the_first_read_and_ends_with_the_block(storage: SqliteStorage) -> None:
    def count_on_another_thread() -> None:
        assert counted(storage) == 2

    with storage.share_snapshot():
        write(storage, "before")
        assert counted(storage) == 1
        write(storage, "later")
        assert counted(storage) == 1
        assert in_threads(count_on_another_thread) == [None]
    assert counted(storage) == 2
    with closing(sqlite3.connect(storage.path)) as connection:
        ((is_blocked, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not is_blocked


def test_read_after_a_failed_one_begins_another_shared_snapshot(storage: SqliteStorage) -> None:
    def read_and_fail() -> None:
        with storage.read() as snapshot:
            snapshot.one("count_notes")
            raise StorageError("storage_unavailable", "as of a broken disk")

    with storage.share_snapshot():
        assert counted(storage) == 0
        write(storage, "later")
        with pytest.raises(StorageError):
            read_and_fail()
        assert counted(storage) == 1


def test_reader_works_after_an_error_in_its_block(storage: SqliteStorage) -> None:
    def read_and_refuse() -> None:
        with storage.read() as snapshot:
            snapshot.one("count_notes")
            raise RefusedError

    with pytest.raises(RefusedError):
        read_and_refuse()
    write(storage, "after")
    with storage.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)


def test_readers_and_writers_at_once_never_see_half_of_a_transaction(storage: SqliteStorage) -> None:
    def write_pair(transaction: Connection, number: int) -> None:
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} left")
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} right")

    def write_pairs() -> None:
        for number in range(40):
            storage.write(lambda transaction, number=number: write_pair(transaction, number))

    def read_pairs() -> None:
        for _ in range(80):
            with storage.read() as snapshot:
                (count,) = snapshot.one("count_notes")
                assert count % 2 == 0
                assert len(snapshot.all("select_notes")) == count

    assert in_threads(write_pairs, write_pairs, read_pairs, read_pairs) == [None] * 4


# Files, forks and the end


def test_read_creates_no_missing_database(tmp_path: Path) -> None:
    storage = SqliteStorage(str(tmp_path / "missing.db"), STATEMENTS)
    for use in (lambda: storage.read().__enter__(), lambda: storage.write(inserting("text"))):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "storage_unavailable"
    with pytest.raises(StorageError):
        storage.probe()
    assert list(tmp_path.iterdir()) == []


def test_path_may_contain_uri_characters(tmp_path: Path) -> None:
    path = tmp_path / "a %41?mode=ro&x#y.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    storage = SqliteStorage(str(path), STATEMENTS)
    write(storage, "here")
    assert notes(storage) == {"here"}
    storage.close()


def test_the_probe_notices_a_file_overwritten_in_place(storage: SqliteStorage) -> None:
    write(storage, "before")
    storage.probe()
    with Path(storage.path).open("r+b") as file:
        file.write(b"Dear diary, " * 1000)
    with pytest.raises(StorageError):
        storage.probe()
    storage.close()
    assert storage.path not in open_files()


def test_closing_twice_is_harmless_and_nothing_works_afterwards(storage: SqliteStorage) -> None:
    write(storage, "before")
    with storage.read() as snapshot:
        snapshot.one("count_notes")
    storage.close()
    storage.close()
    for use in (lambda: storage.read().__enter__(), lambda: storage.write(inserting("text"))):
        with pytest.raises(StorageError):
            use()


def test_a_closed_database_leaves_no_file_beside_its_own(storage: SqliteStorage) -> None:
    write(storage, "before")
    storage.close()
    assert [file.name for file in Path(storage.path).parent.iterdir()] == [Path(storage.path).name]


def test_memory_database_is_shared_by_threads_until_close() -> None:
    app = create_app(Settings(database=":memory:"))
    storage = app.services.database
    directory = Path(storage.path).parent

    def add(number: int) -> None:
        assert storage.write(lambda transaction: transaction.run("insert_user", username=f"user{number}", role="user"))
        with storage.read() as snapshot:
            assert snapshot.first("select_account", username=f"user{number}")

    assert in_threads(*(lambda number=number: add(number) for number in range(4))) == [None] * 4
    with storage.read() as snapshot:
        assert all(snapshot.first("select_account", username=f"user{number}") for number in range(4))
    assert directory.exists()
    app.close()
    app.close()
    assert not directory.exists()


def test_two_memory_databases_share_nothing() -> None:
    one, two = create_app(Settings(database=":memory:")), create_app(Settings(database=":memory:"))
    one.services.database.write(lambda transaction: transaction.run("insert_user", username="uma", role="user"))
    with two.services.database.read() as snapshot:
        assert snapshot.first("select_account", username="uma") is None
    one.close()
    two.close()
