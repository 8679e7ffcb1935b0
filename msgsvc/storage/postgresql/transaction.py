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

from msgsvc.storage.base import Ahead, Row, StorageError
from msgsvc.storage.postgresql.command_runner import Call
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import is_conflict, is_cut, storage_error
from msgsvc.storage.postgresql.pool import Pool
from msgsvc.storage.postgresql.statements import Command, Statement

_WITHOUT_TIMEOUT = Command(b"SET LOCAL statement_timeout = 0")
"""A statement timeout would end the wait for a synchronous standby, and the commit would look like any other."""

_COMMIT = Command(b"COMMIT")


class Snapshot:
    """A reading transaction, which takes no locks; see base.Snapshot."""

    _begin = Command(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def __init__(self, pool: Pool, statements: Mapping[str, Statement], deadline: float, ahead: Ahead = ()) -> None:
        """Every wait in it ends at the deadline. The statements ``ahead`` are sent with the first one."""
        self._pool = pool
        self._statements = statements
        self._deadline = deadline
        self._has_begun = False
        self._ahead = ahead
        self._sent_ahead: dict[str, tuple[dict[str, object], PGresult]] = {}

    def __enter__(self) -> Self:
        try:
            self._connection = self._pool.take(self._deadline)
        except psycopg.Error as error:
            raise self._failure(error) from error
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
            raise self._failure(error) from error

    def _failure(self, error: psycopg.Error) -> StorageError:
        failure = storage_error(error)
        if failure.code != "refused_by_host" and not is_conflict(failure):
            self._pool.failed_at = time.monotonic()
        return failure

    def _run_first(self, calls: list[Call]) -> list[PGresult]:
        connection = self._connection
        try:
            return self._begin_and_run(calls)
        except psycopg.Error as error:
            if connection.is_new or not is_cut(error) or time.monotonic() > self._deadline:
                raise
        self._connection = self._pool.replace(connection)
        return self._begin_and_run(calls)

    def _begin_and_run(self, calls: list[Call]) -> list[PGresult]:
        beginning = self._connection.beginning(self._begin)
        return self._connection.runner.run(beginning + calls)[len(beginning) :]

    def _calls(self, name: str, parameters: dict[str, object]) -> list[Call]:
        return [(self._statements[name].command, parameters)]

    def _execute(self, name: str, parameters: dict[str, object]) -> PGresult:
        sent = self._sent_ahead.pop(name, None)
        if sent and sent[0] == parameters:
            return sent[1]
        ahead, self._ahead = self._ahead, ()
        calls: list[Call] = []
        places = []
        for statement in ((name, parameters), *ahead):
            calls += self._calls(*statement)
            places.append(len(calls) - 1)
        results = self._run(calls)
        first, *others = [results[place] for place in places]
        for (sent_name, given), result in zip(ahead, others, strict=True):
            self._sent_ahead[sent_name] = given, result
        return first

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

    def __init__(self, pool: Pool, statements: Mapping[str, Statement], deadline: float, ahead: Ahead = ()) -> None:
        """See Snapshot."""
        super().__init__(pool, statements, deadline, ahead)
        self._queue: list[Call] = []

    def _run(self, calls: list[Call]) -> list[PGresult]:
        queue, self._queue = self._queue, []
        return super()._run(queue + calls)[len(queue) :]

    def _calls(self, name: str, parameters: dict[str, object]) -> list[Call]:
        statement = self._statements[name]
        return [(command, parameters) for command in (*statement.locks, statement.command)]

    def enqueue(self, name: str, **parameters: object) -> None:
        """Sends the statement with the next one, or with the commit."""
        self._queue += self._calls(name, parameters)

    def run(self, name: str, **parameters: object) -> int:
        """Runs the statement; the number of rows it changed."""
        return self._execute(name, parameters).command_tuples or 0

    def insert(self, name: str, **parameters: object) -> int:
        """Runs the statement, which inserts a row and returns its id."""
        row = self.first(name, **parameters)
        if row is None:
            raise StorageError("refused_by_host", "a trigger ignored the row")
        return int(row[0])

    def commit(self) -> None:
        """Commits. Raises StorageError, also where the outcome is unknown."""
        if not self._has_begun:
            self.begin()
        try:
            self._connection.runner.run([*self._queue, (_WITHOUT_TIMEOUT, {}), (_COMMIT, {})])
        except psycopg.Error as error:
            if is_cut(error):
                raise StorageError("storage_unavailable", "the outcome of the commit is unknown") from error
            raise storage_error(error) from error
