"""A PostgreSQL database as the source or the destination of a copy."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager

import psycopg

from msgsvc.storage.base import MigrationError, Row
from msgsvc.storage.postgresql import schema
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import storage_error
from msgsvc.storage.postgresql.host_tables import columns_of
from msgsvc.storage.postgresql.migrations import migrate, pending
from msgsvc.storage.postgresql.uri import connection_string, shown
from msgsvc.storage.sql_files import load_migrations

_FETCHED_AT_A_TIME = 1000


class _Tables:
    """See copying.Tables and copying.Destination."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> Collection[str]:
        return columns_of(self._connection, table)

    def count(self, table: str) -> int:
        ((number,),) = self._connection.execute(f"SELECT count(*) FROM {table}".encode())
        return int(number)

    def rows(self, table: str, columns: Iterable[str]) -> Iterator[Row]:
        with self._connection.cursor(name="msgsvc_copy") as cursor:
            cursor.itersize = _FETCHED_AT_A_TIME
            yield from cursor.execute(f"SELECT {', '.join(columns)} FROM {table}".encode())

    def insert(self, table: str, columns: Iterable[str], rows: Iterator[Row]) -> None:
        command = f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()
        with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            for row in rows:
                copy.write_row([_storable(value) for value in row])

    def complete(self) -> None:
        schema.restore(self._connection)


def _storable(value: object) -> object:
    """PostgreSQL stores every character but NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@contextmanager
def _transaction(uri: str, mode: bytes = b"") -> Iterator[Connection]:
    """A transaction without time limits, committed at the end of the block."""
    try:
        with closing(Connection.open(connection_string(uri))) as connection:
            connection.begin(mode)
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection
            connection.execute("COMMIT")
    except psycopg.Error as error:
        raise storage_error(error) from error


@contextmanager
def source(uri: str) -> Iterator[_Tables]:
    """The tables as one transaction sees them. Raises MigrationError, StorageError."""
    with _transaction(uri, b"ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
        if pending(connection, load_migrations("postgresql")):
            raise MigrationError(f"{shown(uri)} has not the present schema; run msgsvc migrate")
        yield _Tables(connection)


@contextmanager
def destination(uri: str) -> Iterator[_Tables]:
    """The tables, locked until they are committed at the end of the block. Raises MigrationError, StorageError."""
    migrate(uri)
    with _transaction(uri) as connection:
        for table in ("users", "messages"):
            for name in schema.triggers_of(table):
                connection.execute(f"DROP TRIGGER {name} ON {table}".encode())
        yield _Tables(connection)
