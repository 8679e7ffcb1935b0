"""Compares the database and its write-ahead log at the path with those that this process has open."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgsvc.storage.base import StorageError
from msgsvc.storage.sqlite.connection import wal_path

RECENT_SECONDS = 0.01
"""How long a comparison is believed by what acknowledges nothing. One takes up to 15 µs, a tenth of a read."""

Identity = tuple[int, int] | None
"""Device and inode of a file; None where there is none."""


class Files(NamedTuple):
    """The three files of a database in WAL mode."""

    database: Identity
    wal: Identity
    wal_index: Identity


class FileWatch:
    """Knows the files that this process has open, and what stands at the path now."""

    def __init__(self, path: str, reopen: Callable[[], None]) -> None:
        """reopen goes on with what stands at the path; it raises StorageError until that is sound."""
        self._path = Path(path)
        self._wal = wal_path(path)
        self._wal_index = Path(f"{path}-shm")
        self._reopen = reopen
        self._opened: Files | None = None
        self._log: int | None = None
        self._compared_at = float("-inf")

    def present(self) -> Files:
        """The files at the path."""
        return Files(identity(self._path), identity(self._wal), identity(self._wal_index))

    def database_to_open(self) -> Identity:
        """The database that the next connection must find: the one that the others have open, if there are any."""
        return self._opened.database if self._opened else identity(self._path)

    def require_database(self, expected: Identity) -> None:
        """Raises StorageError where another file stands at the path."""
        if identity(self._path) != expected:
            raise _changed()

    def note_opened(self) -> None:
        """To be called when a connection has read and so opened its log. Raises StorageError."""
        if self._opened is None or self._opened.wal is None:
            # A file that is not in WAL mode has no log.
            with suppress(FileNotFoundError):
                self._log = os.open(self._wal, os.O_RDONLY)
            self._opened = self.present()
        self.require_unchanged()

    def is_unchanged(self) -> bool:
        """Whether the files that are open stand at the path."""
        if self._opened is None:
            return True
        if self.present() != self._opened:
            return False
        self._compared_at = time.monotonic()
        return True

    def ensure_unchanged(self) -> None:
        """Reopens where others than the open files stand at the path; it may notice RECENT_SECONDS too late.

        Raises StorageError.
        """
        if time.monotonic() - self._compared_at > RECENT_SECONDS and not self.is_unchanged():
            self._reopen()

    def require_unchanged(self) -> None:
        """Raises StorageError where others than the open files stand at the path."""
        if not self.is_unchanged():
            self._compared_at = float("-inf")
            raise _changed()

    def forget(self) -> None:
        """To be called when no connection is open, and the next one may open whatever stands at the path."""
        self.forget_log()
        self._opened = None

    def forget_log(self) -> None:
        """To be called when no connection is open, and the next one may open the same database only."""
        if self._opened:
            self._opened = Files(self._opened.database, None, None)
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def is_replaced(self) -> bool:
        """Whether another database stands at the path."""
        return self._opened is not None and identity(self._path) != self._opened.database

    def is_log_astray(self) -> bool:
        """Whether the open log holds commits that nobody would find again: it no longer belongs to a database here.

        Another process that had it open too has emptied it when it went on before this one.
        """
        if self._log is None or os.fstat(self._log).st_size == 0:
            return False
        return self.is_replaced() or identity(self._wal) != _identity(os.fstat(self._log))

    def is_other_log_in_use(self) -> bool:
        """Whether another process has begun a log of its own for the database that is open here."""
        return not self.is_replaced() and self._wal.exists() and self._wal.stat().st_size > 0

    def remove_old_log(self) -> None:
        """Takes away the log of the database that stood at the path before: SQLite would take it for the new one's.

        One that is not empty holds what could not be written into its own database, so it is kept under another name.
        """
        if self._opened is None:
            return
        if self._opened.wal and identity(self._wal) == self._opened.wal:
            if self._wal.stat().st_size:
                self._wal.rename(f"{self._wal}.old")
            else:
                self._wal.unlink()
        if self._opened.wal_index and identity(self._wal_index) == self._opened.wal_index:
            self._wal_index.unlink()


def identity(path: Path) -> Identity:
    """What tells a file from another one of its name."""
    try:
        return _identity(os.stat(path))  # noqa: PTH116 (Path.stat costs a microsecond more)
    except OSError:
        return None


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _changed() -> StorageError:
    return StorageError("storage_unavailable", "the database or its log was removed or replaced")
