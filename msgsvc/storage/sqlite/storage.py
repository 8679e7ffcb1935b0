"""The SQLite engine: one file, read on snapshots of a pool and written through one connection by group commit."""

import logging
import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path

from msgsvc.storage.base import Commit, Result, Snapshot, Storage, StorageError, Transaction
from msgsvc.storage.sqlite import forks
from msgsvc.storage.sqlite.checkpoints import WalBound
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection, wal_path
from msgsvc.storage.sqlite.errors import result_code
from msgsvc.storage.sqlite.group_commit import GroupCommit
from msgsvc.storage.sqlite.readers import Readers

logger = logging.getLogger("msgsvc")


class SqliteStorage(Storage):
    """One SQLite file."""

    serves_inline_reads = True
    batches_writes = True

    def __init__(self, path: str, statements: Mapping[str, str], *, shared: bool = False) -> None:
        """path ``:memory:`` stands for a private file that close() removes, so that every thread sees the same.

        The WAL of a file that is shared with a host is checkpointed at SQLite's own 1,000 pages: a longer one would be
        left to the host's commits.
        """
        self._statements = statements
        self._shared = shared
        self._closed = False
        self._remove_file: Callable[[], object] = lambda: None
        if path == ":memory:":
            directory = tempfile.mkdtemp(prefix="msgsvc-")
            self._remove_file = weakref.finalize(self, _remove_directory, directory, os.getpid())
            path = str(Path(directory, "messages.db"))
        self.path = str(Path(path).absolute())
        self.start_afresh()
        forks.watch(self)

    def start_afresh(self) -> None:
        """Uses no connection opened before: at the beginning, and in a child after a fork."""
        self._readers = Readers(self._open)
        self._group_commit = GroupCommit(
            WalBound(wal_path(self.path)), self._shared, self._open_to_write, self._readers.close_idle
        )

    def _open(self, mode: str = "rw") -> Connection:
        if self._closed:
            raise StorageError("storage_unavailable", "the application is closed")
        return Connection(self.path, self._statements, mode=mode, busy_seconds=BUSY_SECONDS)

    def _open_to_write(self) -> Connection:
        self._readers.keep_one_open()
        return self._open()

    def read(self) -> AbstractContextManager[Snapshot]:
        """See Storage."""
        return self._readers.snapshot()

    def write(self, work: Callable[[Transaction], Result], commits: list[Commit] | None = None) -> Result:
        """See Storage."""
        if commits is not None:
            return self._group_commit.write(work, commits)
        own_commits: list[Commit] = []
        result = self._group_commit.write(work, own_commits)
        for commit in own_commits:
            commit.wait()
        return result

    def batch(self) -> AbstractContextManager[None]:
        """See Storage."""
        return self._group_commit.batch()

    def probe(self) -> None:
        """Reads past every cache, and the head of the file past the write-ahead log as well.

        What lies behind the head may be halfway through a checkpoint, so only the WAL tells whether it is sound.
        """
        with closing(self._open()) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
        try:
            with closing(self._open("ro&immutable=1")) as connection:
                connection.execute("PRAGMA schema_version")
        except StorageError as error:
            if result_code(error) == sqlite3.SQLITE_NOTADB:
                raise

    def close(self) -> None:
        """Closes the connections of this process and removes a ``:memory:`` file. Closing twice is harmless."""
        self._closed = True
        self._readers.close()
        if self.pause():
            self.resume()
        self._remove_file()

    def pause(self) -> bool:
        """Closes the connections that nobody uses and lets nobody write until resume(); see GroupCommit.pause."""
        self._readers.close_idle()
        return self._group_commit.pause()

    def resume(self) -> None:
        """Lets writers go on after pause()."""
        self._group_commit.resume()


def _remove_directory(directory: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def log_version() -> None:
    """Logs the SQLite version, and warns of the WAL-reset fault (sqlite.org/wal.html) that 3.51.3 mended."""
    logger.info("SQLite %s", sqlite3.sqlite_version)
    if (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3):
        logger.warning(
            "this SQLite can damage a database in WAL mode when two processes commit and checkpoint at one moment; "
            "let one process at a time use the file, or install SQLite 3.51.3 or newer"
        )
