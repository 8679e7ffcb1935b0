"""Transactions, which run named statements. Each begins with its first statement, in one round trip.

A connection that was cut while it was idle is replaced then; nothing has been read or written on it.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from msgsvc.storage.base import Row, StorageError
from msgsvc.storage.postgresql.command_runner import Call
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import is_cut, storage_error
from msgsvc.storage.postgresql.pool import Pool
from msgsvc.storage.postgresql.statements import Command, Statement

_WITHOUT_TIMEOUT = Command(b"SET LOCAL statement_timeout = 0")
"""A statement timeout would end the wait for a synchronous standby, and the commit would look like any other."""

_COMMIT = Command(b"COMMIT")


class Snapshot:
    """A reading transaction, which takes no locks; see base.Snapshot."""

    _begin = Command(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def __init__(self, pool: Pool, statements: Mapping[str, Statement], deadline: float) -> None:
        """Every wait in it ends at the deadline."""
        self._pool = pool
        self._statements = statements
        self._deadline = deadline
        self._has_begun = False

    def __enter__(self) -> Self:
        try:
            self._connection = self._pool.take(self._deadline)
        except psycopg.Error as error:
            raise storage_error(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Rolls back what is open, and gives the connection back."""
        with suppress(psycopg.Error):
            if self._connection.pgconn.transaction_status == TransactionStatus.INTRANS:
                self._connection.runner.send_rollback()
        self._pool.give_back(self._connection)

    def begin(self) -> Connection:
        """Begins without a statement; the connection. Raises StorageError."""
        self._run([])
        return self._connection

    def _run(self, calls: list[Call]) -> list[PGresult]:
        has_begun, self._has_begun = self._has_begun, True
        try:
            return self._connection.runner.run(calls) if has_begun else self._run_first(calls)
        except psycopg.Error as error:
            raise storage_error(error) from error

    def _run_first(self, calls: list[Call]) -> list[PGresult]:
        connection = self._connection
        try:
            return connection.runner.run(connection.beginning(self._begin) + calls)
        except psycopg.Error as error:
            if connection.is_new or not is_cut(error) or time.monotonic() > self._deadline:
                raise
        self._connection = self._pool.replace(connection)
        return self._connection.runner.run(self._connection.beginning(self._begin) + calls)

    def _execute(self, name: str, parameters: dict[str, object]) -> PGresult:
        return self._run([(self._statements[name].command, parameters)])[-1]

    def all(self, name: str, **parameters: object) -> list[Row]:
        """All rows of the statement."""
        return self._connection.runner.rows(self._execute(name, parameters))

    def first(self, name: str, **parameters: object) -> Row | None:
        """The first row of the statement, or None."""
        return next(iter(self.all(name, **parameters)), None)

    def one(self, name: str, **parameters: object) -> Row:
        """The only row of a statement that always gives one."""
        (row,) = self.all(name, **parameters)
        return row

    def each(self, name: str, **parameters: object) -> Generator[Row, None, None]:
        """The rows of the statement."""
        yield from self.all(name, **parameters)


class Transaction(Snapshot):
    """A writing transaction; see base.Transaction. The locks that a statement begins with travel with it."""

    _begin = Command(b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def _execute(self, name: str, parameters: dict[str, object]) -> PGresult:
        statement = self._statements[name]
        return self._run([(command, parameters) for command in (*statement.locks, statement.command)])[-1]

    def run(self, name: str, **parameters: object) -> int:
        """Runs the statement; the number of rows it changed."""
        return self._execute(name, parameters).command_tuples or 0

    def commit(self) -> None:
        """Commits. Raises StorageError, also where the outcome is unknown."""
        try:
            self._connection.runner.run([(_WITHOUT_TIMEOUT, {}), (_COMMIT, {})])
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(("08", "57")):
                raise StorageError("storage_unavailable", "the outcome of the commit is unknown") from error
            raise storage_error(error) from error
