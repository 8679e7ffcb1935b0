"""Tells SQLite's errors apart by their result codes (sqlite.org/rescode.html)."""

import sqlite3

from msgsvc.storage.base import StorageError

_CODES = {
    sqlite3.SQLITE_FULL: "storage_full",
    sqlite3.SQLITE_BUSY: "storage_busy",
    sqlite3.SQLITE_LOCKED: "storage_busy",
    sqlite3.SQLITE_CONSTRAINT: "refused_by_host",
}


def storage_error(error: sqlite3.Error | StorageError) -> StorageError:
    """The error as the storage interface knows it. Raises a misuse of the module, such as a forgotten parameter."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, sqlite3.ProgrammingError):
        raise error
    code = _CODES.get(result_code(error), "storage_unavailable")
    # The text of a host's trigger may quote a message, and details are logged.
    failure = StorageError(code, error.sqlite_errorname if code == "refused_by_host" else str(error))
    failure.__cause__ = error
    return failure


def result_code(error: BaseException | None) -> int:
    """SQLite's primary result code, also behind a StorageError; 0 for what did not come from SQLite itself."""
    if isinstance(error, StorageError):
        error = error.__cause__
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
