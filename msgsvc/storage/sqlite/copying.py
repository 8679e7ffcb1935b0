"""A SQLite database as the source or the destination of a copy."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager

from msgsvc.storage.base import MigrationError, Row
from msgsvc.storage.sqlite import host_tables, schema
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection, inspection_mode
from msgsvc.storage.sqlite.errors import storage_error
from msgsvc.storage.sqlite.location import real_path
from msgsvc.storage.sqlite.migrations import migrate, pending


class _Tables:
    """See copying.Tables and copying.Destination."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> Collection[str]:
        return host_tables.columns(self._connection, table)

    def count(self, table: str) -> int:
        ((number,),) = self._connection.execute(f"SELECT count(*) FROM {table}")
        return int(number)

    def rows(self, table: str, columns: Iterable[str]) -> Iterator[Row]:
        self._connection.raw.text_factory = lambda text: text.decode(errors="replace")
        try:
            yield from self._connection.raw.execute(f"SELECT {', '.join(columns)} FROM {table}")
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def insert(self, table: str, columns: Iterable[str], rows: Iterator[Row]) -> None:
        names = list(columns)
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        try:
            self._connection.raw.executemany(statement, rows)
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def complete(self) -> None:
        schema.restore(self._connection)


@contextmanager
def source(path: str) -> Iterator[_Tables]:
    """The tables as one transaction sees them. Raises MigrationError, StorageError."""
    path = real_path(path)
    with closing(Connection(path, {}, mode=inspection_mode(path), busy_seconds=BUSY_SECONDS)) as connection:
        connection.execute("BEGIN")
        if pending(connection):
            raise MigrationError(f"{path} has not the present schema; run msgsvc migrate")
        yield _Tables(connection)


@contextmanager
def destination(path: str) -> Iterator[_Tables]:
    """The tables of a file that is made where there is none; committed at the end of the block.

    Messages that name no account are taken as a host has left them. Raises MigrationError, StorageError, OSError.
    """
    migrate(path)
    with closing(Connection(real_path(path), {}, mode="rw", busy_seconds=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN EXCLUSIVE")
        ours = r"SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'msgsvc~_%' ESCAPE '~'"
        for (name,) in connection.execute(ours):
            connection.execute(f"DROP TRIGGER {name}")
        yield _Tables(connection)
        connection.execute("COMMIT")


def seal(path: str) -> None:
    """Brings the log into the file, so that the file alone is the database. Raises StorageError."""
    with closing(Connection(path, {}, mode="rw", busy_seconds=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
