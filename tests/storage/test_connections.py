"""Readers see one committed snapshot; opening and closing leaves no file behind."""

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


def test_readers_do_not_wait_for_writers_or_see_uncommitted_work(database: SqliteStorage) -> None:
    write(database, "before")

    def read_beside(transaction: Connection) -> None:
        transaction.run("insert_note", text="uncommitted")
        with database.read() as snapshot:
            assert snapshot.all("select_notes") == [("before",)]
        assert transaction.one("count_notes") == (2,)

    database.write(read_beside)
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def test_every_statement_of_a_reader_sees_the_same_snapshot(database: SqliteStorage) -> None:
    write(database, "before")
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)
        write(database, "later")
        assert snapshot.all("select_notes") == [("before",)]
        with database.read() as newer:
            assert newer.one("count_notes") == (2,)
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def counted(database: SqliteStorage) -> int:
    with database.read() as snapshot:
        (count,) = snapshot.one("count_notes")
    return int(count)


def test_shared_snapshot_begins_with_the_first_read_and_ends_with_the_block(database: SqliteStorage) -> None:
    def count_on_another_thread() -> None:
        assert counted(database) == 2

    with database.share_snapshot():
        write(database, "before")
        assert counted(database) == 1
        write(database, "later")
        assert counted(database) == 1
        assert in_threads(count_on_another_thread) == [None]
    assert counted(database) == 2
    with closing(sqlite3.connect(database.path)) as connection:
        ((is_blocked, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not is_blocked


def test_read_after_a_failed_one_begins_another_shared_snapshot(database: SqliteStorage) -> None:
    def read_and_fail() -> None:
        with database.read() as snapshot:
            snapshot.one("count_notes")
            raise StorageError("storage_unavailable", "as of a broken disk")

    with database.share_snapshot():
        assert counted(database) == 0
        write(database, "later")
        with pytest.raises(StorageError):
            read_and_fail()
        assert counted(database) == 1


def test_reader_works_after_an_error_in_its_block(database: SqliteStorage) -> None:
    def read_and_refuse() -> None:
        with database.read() as snapshot:
            snapshot.one("count_notes")
            raise RefusedError

    with pytest.raises(RefusedError):
        read_and_refuse()
    write(database, "after")
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)


def test_readers_and_writers_at_once_never_see_half_of_a_transaction(database: SqliteStorage) -> None:
    def write_pair(transaction: Connection, number: int) -> None:
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} left")
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} right")

    def write_pairs() -> None:
        for number in range(40):
            database.write(lambda transaction, number=number: write_pair(transaction, number))

    def read_pairs() -> None:
        for _ in range(80):
            with database.read() as snapshot:
                (count,) = snapshot.one("count_notes")
                assert count % 2 == 0
                assert len(snapshot.all("select_notes")) == count

    assert in_threads(write_pairs, write_pairs, read_pairs, read_pairs) == [None] * 4


# Files, forks and the end


def test_read_creates_no_missing_database(tmp_path: Path) -> None:
    database = SqliteStorage(str(tmp_path / "missing.db"), STATEMENTS)
    for use in (lambda: database.read().__enter__(), lambda: database.write(inserting("text"))):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "storage_unavailable"
    with pytest.raises(StorageError):
        database.probe()
    assert list(tmp_path.iterdir()) == []


def test_path_may_contain_uri_characters(tmp_path: Path) -> None:
    path = tmp_path / "a %41?mode=ro&x#y.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    database = SqliteStorage(str(path), STATEMENTS)
    write(database, "here")
    assert notes(database) == {"here"}
    database.close()


def test_the_probe_notices_a_file_overwritten_in_place(database: SqliteStorage) -> None:
    write(database, "before")
    database.probe()
    with Path(database.path).open("r+b") as file:
        file.write(b"Dear diary, " * 1000)
    with pytest.raises(StorageError):
        database.probe()
    database.close()
    assert database.path not in open_files()


def test_closing_twice_is_harmless_and_nothing_works_afterwards(database: SqliteStorage) -> None:
    write(database, "before")
    with database.read() as snapshot:
        snapshot.one("count_notes")
    database.close()
    database.close()
    for use in (lambda: database.read().__enter__(), lambda: database.write(inserting("text"))):
        with pytest.raises(StorageError):
            use()


def test_a_closed_database_leaves_no_file_beside_its_own(database: SqliteStorage) -> None:
    write(database, "before")
    database.close()
    assert [file.name for file in Path(database.path).parent.iterdir()] == [Path(database.path).name]


def test_memory_database_is_shared_by_threads_until_close() -> None:
    app = create_app(Settings(database=":memory:"))
    database = app.services.database
    directory = Path(database.path).parent

    def add(number: int) -> None:
        assert database.write(lambda transaction: transaction.run("insert_user", username=f"user{number}", role="user"))
        with database.read() as snapshot:
            assert snapshot.first("select_account", username=f"user{number}")

    assert in_threads(*(lambda number=number: add(number) for number in range(4))) == [None] * 4
    with database.read() as snapshot:
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
