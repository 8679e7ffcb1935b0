"""Connections, transactions and the running of named statements: the only module that imports sqlite3.

Readers work on connections of their own from a pool and never wait for a writer. Writers share one connection and
take turns on it; those who queue at the same time share one commit (group commit).
"""

import logging
import os
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

Row = tuple[Any, ...]

log = logging.getLogger("msgsvc")

BUSY_SECONDS = 1.0
"""How long a write waits for a lock that another process holds. Waiting writers keep threads from the readers."""

PAUSE_SECONDS = 10.0
"""How long a fork or the end waits for the transaction that runs."""

LOG_BYTES = 48 * 1024 * 1024
"""How long the write-ahead log becomes before a commit brings it into the database, for which its calls wait about
25 ms. Where 16 clients send without a pause, fewer than one call in a hundred waits; with SQLite's own 1,000 pages one
in five would wait 5 ms. And pages that change often are brought in once for all their changes.
"""

LONGEST_LOG_BYTES = 64 * 1024 * 1024
"""Readers may keep the log from being begun anew. From this length on a commit waits for them, BUSY_SECONDS at most."""

HELD_LOG_SECONDS = 10.0
"""How long no commit waits for readers again after one did in vain."""

BUSY_AGAIN_SECONDS = 0.3
"""How long the writes wait that follow one which waited in vain."""


class StorageError(Exception):
    """The database did not do what was asked. ``code`` is storage_full, storage_busy or storage_unavailable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _storage_error(error: sqlite3.Error | StorageError) -> StorageError:
    if isinstance(error, StorageError):
        return error
    detail = str(error)
    if detail == "database or disk is full":
        return StorageError("storage_full", detail)
    if detail.startswith("database ") and "is locked" in detail:
        return StorageError("storage_busy", detail)
    return StorageError("storage_unavailable", detail)


class Connection:
    """One SQLite connection. Every method raises StorageError when the database fails."""

    def __init__(self, path: str, statements: Mapping[str, str], *, mode: str, busy_seconds: float) -> None:
        """mode is SQLite's, as in a URI (sqlite.org/uri.html). Raises StorageError."""
        self._statements = statements
        try:
            self.raw = sqlite3.connect(
                f"file:{quote(path)}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
                timeout=busy_seconds,
            )
        except sqlite3.Error as error:
            raise _storage_error(error) from error
        try:
            self.execute("PRAGMA foreign_keys = ON")
            self.execute("PRAGMA synchronous = FULL")
        except StorageError:
            self.close()
            raise

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Runs one statement given as text; its rows. Text that is not UTF-8, a host's, is shown as far as it is."""
        try:
            return self.raw.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            if "decode to UTF-8" not in str(error) or self.raw.text_factory is _decode:
                raise _storage_error(error) from error
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
        """The rows of the named statement, fetched as they are asked for; to be closed where not all of them are."""
        self.raw.text_factory = _decode
        try:
            yield from self.raw.execute(self._statements[name], parameters)
        except sqlite3.Error as error:
            raise _storage_error(error) from error
        finally:
            self.raw.text_factory = str

    def run(self, name: str, **parameters: object) -> int:
        """Runs the named statement; the number of rows it changed."""
        try:
            return self.raw.execute(self._statements[name], parameters).rowcount
        except sqlite3.Error as error:
            raise _storage_error(error) from error

    def on_progress(self, callback: Callable[[], None]) -> None:
        """Calls back again and again while a statement of this connection runs."""
        self.raw.set_progress_handler(callback, 1_000_000)

    def copy_to(self, target: "Connection", progress: Callable[[int], None]) -> None:
        """Copies the whole database as this connection's transaction sees it; progress is told the percentage."""

        def report(_status: int, remaining: int, total: int) -> None:
            progress(100 - 100 * remaining // max(total, 1))

        try:
            self.raw.backup(target.raw, pages=1000, progress=report)
        except sqlite3.Error as error:
            raise _storage_error(error) from error

    def close(self) -> None:
        """Closes the connection; an open transaction is rolled back."""
        self.raw.close()


def _decode(text: bytes) -> str:
    return text.decode(errors="replace")


def log_sqlite_version() -> None:
    """Says which SQLite this is, and warns of the WAL-reset fault (sqlite.org/wal.html) that 3.51.3 mended."""
    log.info("SQLite %s", sqlite3.sqlite_version)
    if (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3):
        log.warning(
            "this SQLite can damage a database in WAL mode when two processes commit and checkpoint at one moment; "
            "let one process at a time use the file, or install SQLite 3.51.3 or newer"
        )


def lengthen_log(connection: Connection) -> None:
    """Lets the write-ahead log grow to LOG_BYTES before a commit of this connection brings it in."""
    ((page_bytes,),) = connection.execute("PRAGMA page_size")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // page_bytes}")


def _log_file(path: str) -> Path:
    return Path(f"{path}-wal")


def inspection_mode(path: str) -> str:
    """The mode in which looking at a file changes nothing: whoever may write brings the log into it at the end."""
    log_file = _log_file(path)
    return "ro" if log_file.exists() and log_file.stat().st_size else "rw"


def split_script(script: str) -> Iterator[str]:
    """The statements of an SQL script, one by one; a trigger's body stays in one piece."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""


class Commit:
    """One commit, and whether what it holds has been stored."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: StorageError | None = StorageError("storage_unavailable", "the transaction was rolled back")

    def wait(self) -> None:
        """Returns once all is stored for good. Raises StorageError where nothing is."""
        self.ended.wait()
        if self.error:
            raise self.error


class _Writer:
    """The one connection of a process that writes, and the turn-taking on it."""

    def __init__(
        self,
        log_file: Path,
        shared: bool,
        open_connection: Callable[[], Connection],
        close_idle_readers: Callable[[], None],
    ) -> None:
        self._log_file = log_file
        self._log_held_until = float("-inf")
        self._shared = shared
        self._open_connection = open_connection
        self._close_idle_readers = close_idle_readers
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queued = 0
        self._together_since: float | None = None
        self._commit: Commit | None = None
        self._refused_at = float("-inf")
        self._failure: StorageError | None = None

    @contextmanager
    def transaction(self, commits: list[Commit]) -> Iterator[Connection]:
        """See Database.transaction_in."""
        queued_at = self._together_since or time.monotonic()
        with self._queue_lock:
            self._queued += 1
        with self._turn:
            with self._queue_lock:
                self._queued -= 1
            commit, connection = self._join_commit(queued_at)
            raw = connection.raw
            try:
                raw.execute("SAVEPOINT request")
                commits.append(commit)
                try:
                    yield connection
                except BaseException:
                    if raw.in_transaction:
                        raw.execute("ROLLBACK TO request")
                        raw.execute("RELEASE request")
                    raise
                raw.execute("RELEASE request")
            except (sqlite3.Error, StorageError) as error:
                failure = _storage_error(error)
                self._failure = failure
                if not raw.in_transaction:
                    commit.error = failure
                raise failure from error
            finally:
                if self._queued == 0 or not raw.in_transaction:
                    self._end_commit(commit, raw)

    @contextmanager
    def together(self) -> Iterator[None]:
        """See Database.batch."""
        with self._queue_lock:
            self._queued += 1
        self._together_since = time.monotonic()
        try:
            with suppress(StorageError), self.transaction([]):
                pass
            yield
        finally:
            self._together_since = None
            with self._turn:
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
            raise StorageError(self._failure.code, f"as the writer ahead: {self._failure}")
        if self._failure and "readonly" in str(self._failure):
            self._close_idle_readers()
        self._failure = None
        connection = self._connection or self._open_connection()
        patience = BUSY_SECONDS if self._refused_at < 0 else BUSY_AGAIN_SECONDS
        try:
            connection.raw.execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
            connection.raw.execute("BEGIN IMMEDIATE")
            if self._connection is None and not self._shared:
                lengthen_log(connection)
        except (sqlite3.Error, StorageError) as error:
            self._refused_at = time.monotonic()
            self._failure = _storage_error(error)
            self._connection = None
            connection.close()
            raise self._failure from error
        self._refused_at = float("-inf")
        self._connection = connection
        self._commit = Commit()
        return self._commit, connection

    def _end_commit(self, commit: Commit, raw: sqlite3.Connection) -> None:
        """Where the commit fails, all that it would have held fails."""
        try:
            if raw.in_transaction:
                raw.execute("COMMIT")
                commit.error = None
        except sqlite3.Error as error:
            self._failure = commit.error = _storage_error(error)
            with suppress(sqlite3.Error):
                raw.execute("ROLLBACK")
        finally:
            if raw.in_transaction or (self._failure and self._failure.code == "storage_unavailable"):
                raw.close()
                self._connection = None
            self._commit = None
            commit.ended.set()
        if self._connection:
            self._bound_log(raw)

    def _bound_log(self, raw: sqlite3.Connection) -> None:
        """While somebody is always reading, SQLite's own checkpoints seldom get to begin the log anew.

        And the database may have to grow by as much as the log holds, so the disk must have that much left.
        """
        try:
            log_bytes = self._log_file.stat().st_size
            is_long = log_bytes > min(LONGEST_LOG_BYTES, shutil.disk_usage(self._log_file.parent).free)
            if not is_long or time.monotonic() < self._log_held_until:
                return
            raw.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
            ((is_held, *_),) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if is_held:
                self._log_held_until = time.monotonic() + HELD_LOG_SECONDS
                log.warning("readers hold the write-ahead log, which is %d bytes long by now", log_bytes)
        except (OSError, sqlite3.Error) as error:
            log.warning("the write-ahead log was not brought into the database: %s", error)

    def pause(self) -> bool:
        """Commits what has been done, closes the connection, and lets nobody write until resume().

        False where that transaction does not end; nothing is closed or held up then.
        """
        paused = self._turn.acquire(timeout=PAUSE_SECONDS)
        if paused and self._commit and self._connection:
            self._end_commit(self._commit, self._connection.raw)
        if paused and self._connection:
            self._connection.close()
            self._connection = None
        return paused

    def resume(self) -> None:
        """Lets writers go on after pause()."""
        self._turn.release()


class Database:
    """One SQLite file, usable from any number of threads and after a fork."""

    serves_inline_reads = True
    batches_writes = True

    def __init__(self, path: str, statements: Mapping[str, str], *, shared: bool = False) -> None:
        """path ``:memory:`` stands for a private file that close() removes, so that every thread sees the same.

        The log of a file that is shared with a host is brought in at SQLite's own 1,000 pages: a longer one would be
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
        self._idle_readers: deque[Connection] = deque()
        self._writer = self._new_writer()
        _close_connections_around_forks()
        _databases.add(self)

    def _new_writer(self) -> _Writer:
        return _Writer(_log_file(self.path), self._shared, self._open, self._close_idle_readers)

    def _open(self, mode: str = "rw") -> Connection:
        if self._closed:
            raise StorageError("storage_unavailable", "the application is closed")
        return Connection(self.path, self._statements, mode=mode, busy_seconds=BUSY_SECONDS)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads and on which every statement sees the same snapshot.

        Raises StorageError when the database fails.
        """
        idle_readers = self._idle_readers
        connection = self._reader(idle_readers)
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.raw.in_transaction:
                    connection.execute("COMMIT")
        except StorageError:
            connection.close()
            raise
        except BaseException:
            self._give_back(idle_readers, connection)
            raise
        self._give_back(idle_readers, connection)

    def first(self, name: str, **parameters: object) -> Row | None:
        """The first row of one statement, which needs no snapshot to agree with itself. Raises StorageError."""
        idle_readers = self._idle_readers
        connection = self._reader(idle_readers)
        try:
            row = connection.first(name, **parameters)
        except StorageError:
            connection.close()
            raise
        self._give_back(idle_readers, connection)
        return row

    def _reader(self, idle_readers: deque[Connection]) -> Connection:
        try:
            return idle_readers.pop()
        except IndexError:
            connection = self._open()
            connection.execute("PRAGMA query_only = ON")
            return connection

    def _give_back(self, idle_readers: deque[Connection], connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            idle_readers.append(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The writing connection, for work that is stored as a whole when the block ends, or not at all.

        Raises StorageError when the database fails.
        """
        commits: list[Commit] = []
        with self._writer.transaction(commits) as connection:
            yield connection
        for commit in commits:
            commit.wait()

    def transaction_in(self, commits: list[Commit]) -> AbstractContextManager[Connection]:
        """The same, but nobody waits here: the commit that will hold the work is added to commits, and has to be waited
        for before anybody is told.

        Writers take turns, each in a savepoint of its own. Whoever finds nobody queued behind it commits for all
        who worked since the last commit.
        """
        return self._writer.transaction(commits)

    def batch(self) -> AbstractContextManager[None]:
        """Writers within the block, which must not wait for their commits in it, share the one at its end.

        That one has ended when the block has, well or not. Where the lock can be had, no other process writes until
        then, so a session found alive is alive when the block writes. Where it cannot, each writer hears why.
        """
        return self._writer.together()

    def probe(self) -> None:
        """Reads the database afresh, past every cache, and the head of the file past the write-ahead log as well.

        Raises StorageError. What lies behind the head may be halfway through a checkpoint, so only the log tells it.
        """
        with closing(self._open()) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
        try:
            with closing(self._open("ro&immutable=1")) as connection:
                connection.execute("PRAGMA schema_version")
        except StorageError as error:
            if "not a database" in str(error):
                raise

    def close(self) -> None:
        """Closes the connections of this process and removes a ``:memory:`` file. Closing twice is harmless."""
        self._closed = True
        if self.pause():
            self.resume()
        self._remove_file()

    def pause(self) -> bool:
        """Closes the connections that nobody uses and lets nobody write until resume(); see _Writer.pause."""
        self._close_idle_readers()
        return self._writer.pause()

    def resume(self) -> None:
        """Lets writers go on after pause()."""
        self._writer.resume()

    def _close_idle_readers(self) -> None:
        """SQLite hands a read-only file on to new connections while an old one is open."""
        while self._idle_readers:
            self._idle_readers.pop().close()

    def start_afresh(self) -> None:
        """In a child after a fork: nothing of the parent's is used."""
        self._idle_readers = deque()
        self._writer = self._new_writer()


_databases: "weakref.WeakSet[Database]" = weakref.WeakSet()


def _remove_directory(directory: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


@cache
def _close_connections_around_forks() -> None:
    """SQLite keeps state for each process that a child would inherit with the connections that are open: its locks
    would be wrong on both sides. So none is open at a fork, and each side opens its own afterwards.
    """
    paused: list[Database] = []

    def before() -> None:
        paused.extend(database for database in list(_databases) if database.pause())

    def after_in_parent() -> None:
        while paused:
            paused.pop().resume()

    def after_in_child() -> None:
        paused.clear()
        for database in list(_databases):
            database.start_afresh()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
