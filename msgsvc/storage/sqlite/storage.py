"""The SQLite engine: one file, read on snapshots of a pool and written through one connection by group commit."""

import logging
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from msgsvc.storage import forks
from msgsvc.storage.base import (
    Ahead,
    Commit,
    MigrationError,
    Result,
    RolledBackError,
    Row,
    Snapshot,
    Storage,
    StorageError,
    Transaction,
)
from msgsvc.storage.sqlite import schema
from msgsvc.storage.sqlite.checkpoints import WalBound, checkpoint_whole
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection, wal_path
from msgsvc.storage.sqlite.errors import result_code
from msgsvc.storage.sqlite.group_commit import GroupCommit
from msgsvc.storage.sqlite.location import real_path
from msgsvc.storage.sqlite.migrations import require_ready
from msgsvc.storage.sqlite.readers import Readers, close_all
from msgsvc.storage.sqlite.watch import FileWatch, files_changed

logger = logging.getLogger("msgsvc")

REOPEN_SECONDS = 1.0
"""Time between two attempts to open the files that have replaced the open ones."""


class SqliteStorage(Storage):
    """One SQLite file."""

    serves_inline_reads = True
    batches_writes = True
    sends_ahead = False

    def __init__(self, path: str, statements: Mapping[str, str], *, shared: bool = False) -> None:
        """path ``:memory:`` stands for a private file that close() removes, so that every thread sees the same.

        The WAL of a file that is shared with a host is checkpointed at SQLite's own 1,000 pages: a longer one would be
        left to the host's commits.
        """
        self._statements = statements
        self._shared = shared
        self._closed = False
        self._complete_at: list[Row] = []
        self._remove_file: Callable[[], object] = lambda: None
        if path == ":memory:":
            directory = tempfile.mkdtemp(prefix="msgsvc-")
            self._remove_file = weakref.finalize(self, _remove_directory, directory, os.getpid())
            path = str(Path(directory, "messages.db"))
        self.path = real_path(path)
        self._files = FileWatch(self.path, self._reopen)
        self.start_afresh()
        forks.watch(self)

    def start_afresh(self) -> None:
        """Uses no connection opened before: at the beginning, and in a child after a fork."""
        self._files.forget()
        self._reopen_at = float("-inf")
        self._reopen_failure = ""
        self._readers = Readers(self._open)
        self._group_commit = GroupCommit(
            WalBound(wal_path(self.path)), self._shared, self._files, self._open_to_write, self._close_idle_readers
        )

    def _open(self) -> Connection:
        connection = self._connect("rw")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
            self._files.note_opened()
        except StorageError:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str) -> Connection:
        if self._closed:
            raise StorageError("storage_unavailable", "the application is closed")
        require_database = partial(self._files.require_database, self._files.database_to_open())
        return Connection(self.path, self._statements, mode=mode, busy_seconds=BUSY_SECONDS, on_open=require_database)

    def _open_to_write(self) -> Connection:
        self._readers.keep_one_open()
        return self._open()

    def _close_idle_readers(self) -> None:
        if self._readers.close_idle():
            self._files.forget()

    def _reopen(self) -> None:
        """Opens the files that the path names now. Raises StorageError while they are not usable."""
        self._readers.end_shared()
        if time.monotonic() < self._reopen_at:
            raise StorageError("storage_unavailable", self._reopen_failure)
        try:
            with self._exclusive_access() as readers:
                if self._files.is_unchanged():
                    return
                self._close_old_files(readers)
                require_ready(self.path)
                self._files.forget()
                self._complete_at = []
        except (StorageError, MigrationError, OSError) as error:
            self._reopen_at = time.monotonic() + REOPEN_SECONDS
            self._reopen_failure = str(error)
            raise StorageError("storage_unavailable", self._reopen_failure) from error
        logger.warning("the database or its write-ahead log was removed or replaced; reopened %s", self.path)

    @contextmanager
    def _exclusive_access(self) -> Iterator[list[Connection]]:
        """The idle readers, the only connections that are open while the block lasts. Raises StorageError."""
        if not self._group_commit.pause(seconds=0):
            raise files_changed()
        try:
            with self._readers.all_idle() as readers:
                yield readers
        finally:
            self._group_commit.resume()

    def _close_old_files(self, readers: list[Connection]) -> None:
        """Checkpoints the open WAL into its own database, and closes both."""
        if readers and self._files.is_wal_detached():
            store = self._rescue if self._files.is_other_wal_in_use() else checkpoint_whole
            store(readers[-1])
        if not Path(self.path).exists():
            raise StorageError("storage_unavailable", f"{self.path} was removed")
        close_all(readers)
        if self._files.is_replaced():
            self._files.remove_old_wal()
        self._files.forget_wal()

    def _rescue(self, reader: Connection) -> None:
        """Copies the database as the open WAL shows it: another process has written a WAL since, so a checkpoint of
        this one would overwrite its commits.
        """
        destination = Path(f"{self.path}.rescued-{secrets.token_hex(4)}")
        destination.touch(mode=0o600, exist_ok=False)
        with closing(Connection(str(destination), {}, mode="rw", busy_seconds=BUSY_SECONDS)) as copy:
            reader.copy_to(copy, lambda _percent: None)
        logger.error(
            "another process wrote after the write-ahead log was removed; its messages are kept in %s", destination
        )

    def watch(self) -> None:
        """See Storage."""
        with suppress(StorageError):
            self._files.ensure_unchanged()

    def read(self, ahead: Ahead = ()) -> AbstractContextManager[Snapshot]:  # noqa: ARG002
        """See Storage."""
        shared = self._readers.shared()
        if shared and shared.has_begun():
            return shared
        self._files.ensure_unchanged()
        return shared or self._readers.snapshot()

    def share_snapshot(self) -> AbstractContextManager[None]:
        """See Storage."""
        return self._readers.share_snapshot()

    def write(
        self,
        work: Callable[[Transaction], Result],
        commits: list[Commit] | None = None,
        ahead: Ahead = (),  # noqa: ARG002
    ) -> Result:
        """See Storage."""
        if commits is not None:
            return self._group_commit.write(work, commits)
        with suppress(RolledBackError):
            return self._write_and_wait(work)
        return self._write_and_wait(work, alone=True)

    def _write_and_wait(self, work: Callable[[Transaction], Result], *, alone: bool = False) -> Result:
        own_commits: list[Commit] = []
        result = self._group_commit.write(work, own_commits, alone=alone)
        for commit in own_commits:
            commit.wait()
        return result

    def batch(self) -> AbstractContextManager[None]:
        """See Storage."""
        return self._group_commit.batch()

    def probe(self) -> None:
        """Reads the schema without any cache, and the first page of the file without the WAL.

        A checkpoint may be writing the later pages at this moment, so they are not read without the WAL.
        """
        if not self._files.is_unchanged():
            self._reopen()
        with self._readers.snapshot() as connection:
            connection.execute("PRAGMA shrink_memory")
            connection.execute("SELECT count(*) FROM sqlite_master")
            self._refuse_incomplete(connection)
        try:
            with closing(self._connect("ro&immutable=1")) as connection:
                connection.execute("PRAGMA schema_version")
        except StorageError as error:
            is_of_sqlite = result_code(error) != 0
            if not is_of_sqlite or result_code(error) == sqlite3.SQLITE_NOTADB:
                raise

    def _refuse_incomplete(self, connection: Connection) -> None:
        """Looks for every object of ours, but only where the schema has changed since the last probe."""
        version = connection.execute("PRAGMA schema_version")
        if version == self._complete_at:
            return
        missing = schema.missing_objects(connection)
        if missing:
            raise StorageError(
                "storage_unavailable", f"a host's DDL dropped {', '.join(missing)}; a restart or migrate restores it"
            )
        self._complete_at = version

    def close(self) -> None:
        """Closes the connections of this process and removes a ``:memory:`` file. Closing twice is harmless."""
        if not self._files.is_unchanged():
            with suppress(StorageError, OSError), self._exclusive_access() as readers:
                self._close_old_files(readers)
        self._closed = True
        self._readers.close()
        if self.pause():
            self.resume()
        self._remove_file()

    def pause(self) -> bool:
        """Closes the connections that nobody uses and lets nobody write until resume(); see GroupCommit.pause."""
        is_paused = self._group_commit.pause()
        if is_paused:
            self._close_idle_readers()
        return is_paused

    def resume(self) -> None:
        """Lets writers work again after pause()."""
        self._group_commit.resume()


def _remove_directory(directory: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def log_version() -> None:
    """Logs the SQLite version, and warns of the WAL-reset bug (sqlite.org/wal.html), fixed in 3.51.3."""
    logger.info("SQLite %s", sqlite3.sqlite_version)
    if (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3):
        logger.warning(
            "this SQLite can damage a database in WAL mode when two processes commit and checkpoint at the same time; "
            "let one process at a time use the file, or install SQLite 3.51.3 or newer"
        )
