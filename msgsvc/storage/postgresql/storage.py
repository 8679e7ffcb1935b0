"""The PostgreSQL engine: a pool of connections, bounded waits, and work that is run again after a conflict."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import psycopg

from msgsvc.storage import base, forks
from msgsvc.storage.base import Ahead, Commit, Result, Storage, StorageError
from msgsvc.storage.postgresql import host_tables, schema
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import is_conflict, storage_error
from msgsvc.storage.postgresql.pool import Pool
from msgsvc.storage.postgresql.statements import Statement
from msgsvc.storage.postgresql.transaction import Snapshot, Transaction
from msgsvc.storage.postgresql.uri import connection_string

ANSWER_SECONDS = 4.0
"""How long a transaction may take, with every wait in it and however often its work is run again."""

LATE_SECONDS = 1.0
"""A call that has waited longer for its turn does not wait once more for what others have waited for in vain."""

POOL_SIZE = 16
CONFLICT_PAUSE_SECONDS = 0.01
"""Pause before the first repetition; it doubles each time, and half of it is drawn at random."""


class PostgresqlStorage(Storage):
    """A PostgreSQL database."""

    serves_inline_reads = False
    batches_writes = False
    sends_ahead = True

    def __init__(self, uri: str, statements: Mapping[str, Statement]) -> None:
        """Raises MigrationError for a malformed URI. Connects when it is first used."""
        self._conninfo = connection_string(uri)
        self._statements = statements
        self._inherited: list[Pool] = []
        self._pool = self._new_pool()
        forks.watch(self)

    def _new_pool(self) -> Pool:
        return Pool(POOL_SIZE, lambda deadline: Connection.open(self._conninfo, deadline))

    def read(self, ahead: Ahead = ()) -> Snapshot:
        """See Storage."""
        return Snapshot(self._pool, self._statements, time.monotonic() + ANSWER_SECONDS, ahead)

    def write(
        self,
        work: Callable[[base.Transaction], Result],
        commits: list[Commit] | None = None,  # noqa: ARG002
        ahead: Ahead = (),
    ) -> Result:
        """See Storage. Returns after the commit, also with ``commits``."""
        deadline = time.monotonic() + ANSWER_SECONDS
        pause = CONFLICT_PAUSE_SECONDS
        while True:
            try:
                return self._write_once(work, deadline, ahead)
            except StorageError as error:
                if not is_conflict(error) or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause *= 2

    def _write_once(self, work: Callable[[base.Transaction], Result], deadline: float, ahead: Ahead) -> Result:
        with Transaction(self._pool, self._statements, deadline, ahead) as transaction:
            result = work(transaction)
            transaction.commit()
        return result

    def refuse_late(self, arrived: float) -> None:
        """See Storage. So the calls that wait behind others are answered with them, not one after another."""
        if arrived < self._pool.failed_at and time.monotonic() - arrived > LATE_SECONDS:
            raise StorageError("storage_busy", "the calls before it waited in vain")

    def batch(self) -> AbstractContextManager[None]:
        """See Storage. Every write has a commit of its own."""
        return nullcontext()

    def probe(self) -> None:
        """Looks on a server that takes writes for every object of ours, and every column of the two tables."""
        with Transaction(self._pool, self._statements, time.monotonic() + ANSWER_SECONDS) as transaction:
            try:
                connection = transaction.begin()
                missing = schema.missing_objects(connection) + host_tables.missing_columns(connection)
            except psycopg.Error as error:
                raise storage_error(error) from error
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
