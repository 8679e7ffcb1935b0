"""The PostgreSQL engine: a pool of connections, bounded waits, and work that is run again after a conflict."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import psycopg
from psycopg.pq import TransactionStatus

from msgsvc.storage import forks
from msgsvc.storage.base import Commit, Result, Snapshot, Storage, StorageError, Transaction
from msgsvc.storage.postgresql import connection as wire
from msgsvc.storage.postgresql import host_tables, schema
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import is_conflict, storage_error
from msgsvc.storage.postgresql.pool import Pool
from msgsvc.storage.postgresql.statements import Statement
from msgsvc.storage.postgresql.uri import connection_string

ANSWER_SECONDS = 4.0
"""How long a transaction may take, with every wait in it and however often its work is run again."""

POOL_SIZE = 16
CONFLICT_PAUSE_SECONDS = 0.01
"""Pause before the first repetition; it doubles each time, and half of it is drawn at random."""

_READ = b"ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan"
"""No plan of a reading statement depends on the values, and making one takes longer than reading a page."""

_WRITE = b"ISOLATION LEVEL READ COMMITTED READ WRITE"
_COMMIT = b"SET LOCAL statement_timeout = 0; COMMIT"
"""A statement timeout would end the wait for a synchronous standby, and the commit would look like any other."""


class PostgresqlStorage(Storage):
    """A PostgreSQL database."""

    serves_inline_reads = False
    batches_writes = False

    def __init__(self, uri: str, statements: Mapping[str, Statement]) -> None:
        """Raises MigrationError for a malformed URI. Connects when it is first used."""
        self._conninfo = connection_string(uri)
        self._statements = statements
        self._inherited: list[Pool] = []
        self._pool = self._new_pool()
        forks.watch(self)

    def _new_pool(self) -> Pool:
        return Pool(POOL_SIZE, lambda deadline: Connection.open(self._conninfo, deadline))

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """See Storage."""
        connection = self._begin(_READ, time.monotonic() + ANSWER_SECONDS)
        try:
            yield wire.Snapshot(connection, self._statements)
        finally:
            self._end(connection)

    def write(self, work: Callable[[Transaction], Result], commits: list[Commit] | None = None) -> Result:  # noqa: ARG002
        """See Storage. Returns after the commit, also with ``commits``."""
        deadline = time.monotonic() + ANSWER_SECONDS
        pause = CONFLICT_PAUSE_SECONDS
        while True:
            try:
                return self._write_once(work, deadline)
            except wire.StaleConnectionError:
                self._pool.close_idle()
                if time.monotonic() > deadline:
                    raise
                continue
            except StorageError as error:
                if not is_conflict(error) or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause *= 2

    def _write_once(self, work: Callable[[Transaction], Result], deadline: float) -> Result:
        connection = self._take(deadline)
        try:
            result = work(wire.Transaction(connection, self._statements, _WRITE))
            self._commit(connection)
        finally:
            self._end(connection)
        return result

    def _take(self, deadline: float) -> Connection:
        try:
            return self._pool.take(deadline)
        except psycopg.Error as error:
            raise storage_error(error) from error

    def _begin(self, mode: bytes, deadline: float) -> Connection:
        """A connection in a new transaction. One that was cut while it was idle is replaced.

        Raises StorageError.
        """
        while True:
            connection = self._take(deadline)
            try:
                connection.begin(mode)
            except psycopg.Error as error:
                connection.close()
                was_new = connection.is_new
                self._pool.give_back(connection)
                self._pool.close_idle()
                if was_new or time.monotonic() > deadline:
                    raise storage_error(error) from error
            except BaseException:
                connection.close()
                self._pool.give_back(connection)
                raise
            else:
                return connection

    def _commit(self, connection: Connection) -> None:
        try:
            connection.command(_COMMIT)
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(("08", "57")):
                raise StorageError("storage_unavailable", "the outcome of the commit is unknown") from error
            raise storage_error(error) from error

    def _end(self, connection: Connection) -> None:
        """Rolls back what is open, and gives the connection back. One that is in doubt is closed.

        So is one on which a statement failed: psycopg counts as prepared what the server has skipped after the error.
        """
        with suppress(psycopg.Error):
            if connection.pgconn.transaction_status == TransactionStatus.INTRANS:
                connection.send_rollback()
        self._pool.give_back(connection)

    def batch(self) -> AbstractContextManager[None]:
        """See Storage. Every write has a commit of its own."""
        return nullcontext()

    def probe(self) -> None:
        """Looks on a server that takes writes for every object of ours, and every column of the two tables."""
        connection = self._begin(_WRITE, time.monotonic() + ANSWER_SECONDS)
        try:
            missing = schema.missing_objects(connection) + host_tables.missing_columns(connection)
        except psycopg.Error as error:
            raise storage_error(error) from error
        finally:
            self._end(connection)
        if missing:
            detail = f"somebody's DDL dropped {', '.join(missing)}; a restart or migrate restores what is ours"
            raise StorageError("storage_unavailable", detail)

    def close(self) -> None:
        """Closes the connections of this process. Closing twice is harmless."""
        self._pool.close()

    def pause(self) -> bool:
        """Nothing has to be closed before a fork: the child leaves the connections to its parent."""
        return False

    def resume(self) -> None:
        """See pause()."""

    def start_afresh(self) -> None:
        """Uses no connection opened before. They are kept, because collecting them would end the parent's sessions."""
        self._inherited.append(self._pool)
        self._pool = self._new_pool()
