"""One SQLite connection, and the running of named statements on it."""

import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from msgsvc.storage.base import Row, StorageError
from msgsvc.storage.sqlite.errors import result_code, storage_error

BUSY_SECONDS = 1.0
"""Lock timeout of a write. It is short because a waiting writer keeps a thread from the readers."""

FETCHED_AT_A_TIME = 16


class Connection:
    """One SQLite connection. Every method raises StorageError when the database fails."""

    def __init__(
        self,
        path: str,
        statements: Mapping[str, str],
        *,
        mode: str,
        busy_seconds: float,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        """mode is SQLite's, as in a URI (sqlite.org/uri.html). Raises StorageError.

        on_open is called when the file is open, before the file or its WAL is read.
        """
        self._statements = statements
        self._is_open = True
        try:
            self.raw = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
                timeout=busy_seconds,
            )
        except sqlite3.Error as error:
            raise storage_error(error) from error
        try:
            on_open()
            if mode == "rw":
                _spill_beside(self.raw, path)
            self.execute("PRAGMA foreign_keys = ON")
            self.execute("PRAGMA synchronous = FULL")
        except StorageError:
            self.close()
            raise

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Runs one statement given as text; its rows. Bytes of a host's text that are not UTF-8 become U+FFFD."""
        try:
            return self.raw.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            if not _is_undecodable(error) or self.raw.text_factory is _decode:
                raise self._storage_error(error) from error
        self.raw.text_factory = _decode
        return self.execute(sql, parameters)

    def all(self, name: str, **parameters: object) -> list[Row]:
        """All rows of the named statement."""
        return self.execute(self._statements[name], parameters)

    def first(self, name: str, **parameters: object) -> Row | None:
        """The first row of the named statement, or None."""
        rows = self.execute(self._statements[name], parameters)
        return rows[0] if rows else None

    def one(self, name: str, **parameters: object) -> Row:
        """The only row of a named statement that always gives one."""
        (row,) = self.execute(self._statements[name], parameters)
        return row

    def each(self, name: str, **parameters: object) -> Generator[Row, None, None]:
        """The rows of the named statement, fetched a few at a time. Close it where not all of them are read."""
        fetched = 0
        try:
            cursor = self.raw.execute(self._statements[name], parameters)
            while rows := cursor.fetchmany(FETCHED_AT_A_TIME):
                yield from rows
                fetched += len(rows)
        except sqlite3.Error as error:
            if not _is_undecodable(error) or self.raw.text_factory is _decode:
                raise self._storage_error(error) from error
            self.raw.text_factory = _decode
            yield from islice(self.each(name, **parameters), fetched, None)

    def run(self, name: str, **parameters: object) -> int:
        """Runs the named statement; the number of rows it changed."""
        try:
            return self.raw.execute(self._statements[name], parameters).rowcount
        except sqlite3.Error as error:
            raise self._storage_error(error) from error

    enqueue = run

    def insert(self, name: str, **parameters: object) -> int:
        """Runs the named statement, which inserts a row; its id. RETURNING costs a send 2 % more."""
        try:
            cursor = self.raw.execute(self._statements[name], parameters)
        except sqlite3.Error as error:
            raise self._storage_error(error) from error
        if not cursor.rowcount:
            raise StorageError("refused_by_host", "a trigger ignored the row")
        return int(cursor.lastrowid or 0)

    def on_progress(self, callback: Callable[[], None]) -> None:
        """Calls the function again and again while a statement of this connection runs."""
        self.raw.set_progress_handler(callback, 1_000_000)

    def copy_to(self, target: "Connection", progress: Callable[[int], None]) -> None:
        """Copies the whole database as this connection's transaction sees it; progress is given the percentage."""

        def report(_status: int, remaining: int, total: int) -> None:
            progress(100 - 100 * remaining // max(total, 1))

        try:
            self.raw.backup(target.raw, pages=1000, progress=report)
        except sqlite3.Error as error:
            raise self._storage_error(error) from error

    def close(self) -> None:
        """Closes the connection; an open transaction is rolled back."""
        self._is_open = False
        self.raw.close()

    def _storage_error(self, error: sqlite3.Error) -> StorageError:
        if not self._is_open:
            return StorageError("storage_unavailable", "the connection is closed")
        return storage_error(error)


def _is_undecodable(error: sqlite3.Error) -> bool:
    """The sqlite3 module itself raises this one, so it has no result code."""
    return isinstance(error, sqlite3.OperationalError) and not result_code(error)


def _decode(text: bytes) -> str:
    return text.decode(errors="replace")


def wal_path(path: str) -> Path:
    """The write-ahead log of a database file."""
    return Path(f"{path}-wal")


def inspection_mode(path: str) -> str:
    """The mode in which reading a file changes nothing: a connection that may write checkpoints the WAL at its end.

    In a directory that is not writable, SQLite reads a WAL only together with its index. Without a WAL it needs
    neither.
    Raises StorageError where that index is missing.
    """
    wal = wal_path(path)
    holds_commits = wal.exists() and wal.stat().st_size > 0
    if os.access(wal.parent, os.W_OK):
        return "ro" if holds_commits else "rw"
    if Path(f"{path}-shm").exists():
        return "ro"
    if holds_commits:
        raise StorageError(
            "storage_unavailable",
            "its write-ahead log cannot be read in a directory that is not writable; copy both files",
        )
    return "ro&immutable=1"


def split_script(script: str) -> Iterator[str]:
    """The statements of an SQL script, one by one; a trigger's body stays in one piece."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""


_spill_lock = threading.Lock()


def _spill_beside(raw: sqlite3.Connection, path: str) -> None:
    """Lets SQLite create its temporary files in the directory of the database, which must have room anyway.

    No other directory may be writable, and a full one would look like a full disk. In memory a change
    of 100,000 messages would take 400 MB. The pragma sets a variable of the process, so it is only run for a new value.
    """
    directory = str(Path(path).parent)
    with _spill_lock, suppress(sqlite3.Error, UnicodeEncodeError):
        if raw.execute("PRAGMA temp_store_directory").fetchall() != [(directory,)]:
            raw.execute("PRAGMA temp_store_directory = '{}'".format(directory.replace("'", "''")))
