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
"""How long reads and the event loop rely on the last comparison. A comparison takes up to 15 µs, a tenth of a read."""

Identity = tuple[int, int] | None
"""Device and inode of a file; None where there is none."""


class Files(NamedTuple):
    """The three files of a database in WAL mode."""

    database: Identity
    wal: Identity
    wal_index: Identity


class FileWatch:
    """Compares the files that this process has open with those that the path names now."""

    def __init__(self, path: str, reopen: Callable[[], None]) -> None:
        """reopen opens the files that the path names; it raises StorageError while they are not usable."""
        self._path = Path(path)
        self._wal = wal_path(path)
        self._wal_index = Path(f"{path}-shm")
        self._reopen = reopen
        self._opened: Files | None = None
        self._wal_descriptor: int | None = None
        self._compared_at = float("-inf")

    def present(self) -> Files:
        """The files that the path names now."""
        return Files(identity(self._path), identity(self._wal), identity(self._wal_index))

    def database_to_open(self) -> Identity:
        """The database that the next connection must open: the one that the other connections have open, if any."""
        return self._opened.database if self._opened else identity(self._path)

    def require_database(self, expected: Identity) -> None:
        """Raises StorageError where the path names another file."""
        if identity(self._path) != expected:
            raise files_changed()

    def note_opened(self) -> None:
        """To be called when a connection has read, and so has opened the WAL. Raises StorageError."""
        if self._opened is None or self._opened.wal is None:
            # A file that is not in WAL mode has none.
            with suppress(FileNotFoundError):
                self._wal_descriptor = os.open(self._wal, os.O_RDONLY)
            self._opened = self.present()
        self.require_unchanged()

    def is_unchanged(self) -> bool:
        """Whether the path still names the open files."""
        if self._opened is None:
            return True
        if self.present() != self._opened:
            return False
        self._compared_at = time.monotonic()
        return True

    def ensure_unchanged(self) -> None:
        """Reopens where the path names other files; it may notice that RECENT_SECONDS late. Raises StorageError."""
        if time.monotonic() - self._compared_at > RECENT_SECONDS and not self.is_unchanged():
            self._reopen()

    def require_unchanged(self) -> None:
        """Raises StorageError where the path names other files than the open ones."""
        if not self.is_unchanged():
            self._compared_at = float("-inf")
            raise files_changed()

    def forget(self) -> None:
        """To be called when no connection is open; the next one may open any database at the path."""
        self.forget_wal()
        self._opened = None

    def forget_wal(self) -> None:
        """To be called when no connection is open; the next one must open the same database."""
        if self._opened:
            self._opened = Files(self._opened.database, None, None)
        if self._wal_descriptor is not None:
            os.close(self._wal_descriptor)
            self._wal_descriptor = None

    def is_replaced(self) -> bool:
        """Whether the path names another database, or none."""
        return self._opened is not None and identity(self._path) != self._opened.database

    def is_wal_detached(self) -> bool:
        """Whether the open WAL holds commits that no later start would find, because the path no longer leads to it.

        It is empty where another process that had it open too has checkpointed it first.
        """
        if self._wal_descriptor is None:
            return False
        opened = os.fstat(self._wal_descriptor)
        return opened.st_size > 0 and (self.is_replaced() or identity(self._wal) != _identity(opened))

    def is_other_wal_in_use(self) -> bool:
        """Whether another process writes a WAL of its own for the database that is open here."""
        return not self.is_replaced() and self._wal.exists() and self._wal.stat().st_size > 0

    def remove_old_wal(self) -> None:
        """Removes the WAL of the replaced database, which SQLite would apply to the new one.

        A WAL that is not empty holds commits that could not be checkpointed, so it is renamed instead.
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
    """The device and inode of the file that the path names."""
    try:
        return _identity(os.stat(path))  # noqa: PTH116 (Path.stat costs a microsecond more)
    except OSError:
        return None


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def files_changed() -> StorageError:
    """The error while the path names other files than the open ones."""
    return StorageError("storage_unavailable", "the database or its write-ahead log was removed or replaced")
