"""A database with one table of notes, for the tests of the storage layer."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.storage import SqliteStorage

SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE people (name TEXT PRIMARY KEY);
    CREATE TABLE notes (text TEXT PRIMARY KEY, author TEXT REFERENCES people DEFERRABLE INITIALLY DEFERRED);
"""
STATEMENTS = {
    "insert_note": "INSERT INTO notes (text) VALUES (:text)",
    "insert_orphan": "INSERT INTO notes (text, author) VALUES (:text, 'nobody')",
    "select_notes": "SELECT text FROM notes ORDER BY text",
    "count_notes": "SELECT count(*) FROM notes",
}


def inserting(text: str, then: Exception | None = None) -> Callable[[Connection], None]:
    def work(transaction: Connection) -> None:
        transaction.run("insert_note", text=text)
        if then:
            raise then

    return work


def write(database: SqliteStorage, text: str) -> None:
    database.write(inserting(text))


def notes(database: SqliteStorage) -> set[str]:
    """The committed notes, read by another connection."""
    with closing(sqlite3.connect(database.path)) as connection:
        return {text for (text,) in connection.execute("SELECT text FROM notes")}


def in_threads(*works: Callable[[], object]) -> list[BaseException | None]:
    """Runs each in its own thread; returns what each raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.exception() for future in [pool.submit(work) for work in works]]


class RefusedError(Exception):
    """Stands for an error that a handler raises."""
