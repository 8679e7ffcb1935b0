"""The one connection of a process that writes: writers queue for it, and those who queue together share one commit."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from msgsvc.storage import base
from msgsvc.storage.base import Result, RolledBackError, StorageError, Transaction
from msgsvc.storage.sqlite.checkpoints import WalBound, checkpoint_late
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection
from msgsvc.storage.sqlite.errors import result_code, storage_error
from msgsvc.storage.sqlite.watch import FileWatch

BUSY_AGAIN_SECONDS = 0.3
"""Lock timeout while the previous attempt timed out."""

PAUSE_SECONDS = 10.0
"""How long a fork or the end of the process waits for the running transaction."""


class Commit:
    """One commit, and whether its work has been stored."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: StorageError | None = StorageError("storage_unavailable", "the transaction was rolled back")

    def wait(self) -> None:
        """See base.Commit."""
        self.ended.wait()
        if self.error:
            raise self.error


class GroupCommit:
    """Runs each writer's work in a savepoint; the last queued writer commits the batch."""

    def __init__(
        self,
        wal_bound: WalBound,
        shared: bool,
        files: FileWatch,
        open_connection: Callable[[], Connection],
        close_idle_readers: Callable[[], object],
    ) -> None:
        self._wal_bound = wal_bound
        self._shared = shared
        self._files = files
        self._open_connection = open_connection
        self._close_idle_readers = close_idle_readers
        self._connection: Connection | None = None
        self._write_lock = threading.RLock()
        self._queue_lock = threading.Lock()
        self._queued = 0
        self._batch_since: float | None = None
        self._commit: Commit | None = None
        self._refused_at = float("-inf")
        self._failure: StorageError | None = None

    def write(
        self, work: Callable[[Transaction], Result], commits: list[base.Commit], *, alone: bool = False
    ) -> Result:
        """Runs the work; adds the commit that will store it to the list. Alone, it shares its commit with nobody."""
        queued_at = self._batch_since or time.monotonic()
        with self._queue_lock:
            self._queued += 1
        with self._write_lock:
            with self._queue_lock:
                self._queued -= 1
            if alone and self._commit and self._connection:
                self._end_commit(self._commit, self._connection.raw)
            commit, connection = self._join_commit(queued_at)
            raw = connection.raw
            try:
                return self._in_savepoint(work, connection, commit, commits)
            except (sqlite3.Error, StorageError) as error:
                failure = storage_error(error)
                self._failure = failure
                if not raw.in_transaction:
                    commit.error = RolledBackError("storage_busy", f"another call ended the transaction: {failure}")
                    if commit in commits:
                        commits.remove(commit)
                raise failure from failure.__cause__
            finally:
                if alone or self._queued == 0 or not raw.in_transaction:
                    self._end_commit(commit, raw, alone=alone)

    @staticmethod
    def _in_savepoint(
        work: Callable[[Transaction], Result], connection: Connection, commit: Commit, commits: list[base.Commit]
    ) -> Result:
        raw = connection.raw
        raw.execute("SAVEPOINT request")
        commits.append(commit)
        try:
            result = work(connection)
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK TO request")
                raw.execute("RELEASE request")
            raise
        raw.execute("RELEASE request")
        return result

    @contextmanager
    def batch(self) -> Iterator[None]:
        """See Storage.batch. The write lock is taken at entry; if it cannot be had, every write inside fails.

        While it is held no other process writes, so a session that is alive when a call is authorized is alive when
        the call writes.
        """
        with self._queue_lock:
            self._queued += 1
        self._batch_since = time.monotonic()
        try:
            with suppress(StorageError):
                self.write(lambda _transaction: None, [])
            yield
        finally:
            self._batch_since = None
            with self._write_lock:
                with self._queue_lock:
                    self._queued -= 1
                commit = self._commit
                if commit and self._connection and self._queued == 0:
                    self._end_commit(commit, self._connection.raw)
            if commit:
                commit.ended.wait()

    def _join_commit(self, queued_at: float) -> tuple[Commit, Connection]:
        if self._commit and self._connection:
            return self._commit, self._connection
        if self._failure and self._refused_at > queued_at:
            raise StorageError(self._failure.code, f"the writer ahead failed: {self._failure}")
        if result_code(self._failure) == sqlite3.SQLITE_READONLY:
            self._close_idle_readers()
        self._failure = None
        self._files.ensure_unchanged()
        connection = self._connection or self._open_connection()
        busy_seconds = BUSY_SECONDS if self._refused_at < 0 else BUSY_AGAIN_SECONDS
        try:
            connection.raw.execute(f"PRAGMA busy_timeout = {busy_seconds * 1000:.0f}")
            connection.raw.execute("BEGIN IMMEDIATE")
            if self._connection is None and not self._shared:
                checkpoint_late(connection)
        except (sqlite3.Error, StorageError) as error:
            self._refused_at = time.monotonic()
            self._failure = storage_error(error)
            self._connection = None
            connection.close()
            raise self._failure from self._failure.__cause__
        self._refused_at = float("-inf")
        self._connection = connection
        self._commit = Commit()
        return self._commit, connection

    def _end_commit(self, commit: Commit, raw: sqlite3.Connection, *, alone: bool = False) -> None:
        """A commit that fails fails for every writer in it; a deferred constraint does not say whose work broke it."""
        try:
            if raw.in_transaction:
                self._files.require_unchanged()
                raw.execute("COMMIT")
                self._files.require_unchanged()
                commit.error = None
        except (sqlite3.Error, StorageError) as error:
            self._failure = commit.error = storage_error(error)
            if self._failure.code == "refused_by_host" and not alone:
                commit.error = RolledBackError("storage_busy", f"the commit of the batch failed: {self._failure}")
            with suppress(sqlite3.Error):
                raw.execute("ROLLBACK")
        finally:
            if raw.in_transaction or (self._failure and self._failure.code == "storage_unavailable"):
                raw.close()
                self._connection = None
            self._commit = None
            commit.ended.set()
        if self._connection:
            self._wal_bound.enforce(raw)

    def pause(self, seconds: float = PAUSE_SECONDS) -> bool:
        """Commits the batch, closes the connection, and lets nobody write until resume().

        False where the running transaction does not end in time; then nothing is closed and writers work on.
        """
        paused = self._write_lock.acquire(timeout=seconds)
        if paused and self._commit and self._connection:
            self._end_commit(self._commit, self._connection.raw)
        if paused and self._connection:
            self._connection.close()
            self._connection = None
        return paused

    def resume(self) -> None:
        """Lets writers work again after pause()."""
        self._write_lock.release()
