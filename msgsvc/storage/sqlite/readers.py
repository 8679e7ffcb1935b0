"""A pool of read-only connections, each used for one snapshot at a time; they never wait for a writer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from msgsvc.storage.base import StorageError
from msgsvc.storage.sqlite.connection import Connection


class Readers:
    """The reading connections of a process."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open_connection = open_connection
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._used = 0
        self._is_closed = False
        self._of_thread = threading.local()

    def snapshot(self) -> "Reading":
        """A connection on which every statement sees the same state. Raises StorageError."""
        return Reading(self)

    @contextmanager
    def share_snapshot(self) -> Iterator[None]:
        """See Storage."""
        self._of_thread.shared = SharedReading(self)
        try:
            yield
        finally:
            self.end_shared()
            self._of_thread.shared = None

    def shared(self) -> "SharedReading | None":
        """What the reads of this thread share within share_snapshot()."""
        return getattr(self._of_thread, "shared", None)

    def end_shared(self) -> None:
        """Ends the shared snapshot of this thread; the next read begins another."""
        if shared := self.shared():
            shared.end()

    def take(self) -> Connection:
        """An idle connection, or a new one. Raises StorageError."""
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = self._open_connection()
                connection.execute("PRAGMA query_only = ON")
            self._used += 1
            return connection

    def give_back(self, connection: Connection, *, is_sound: bool) -> None:
        """Keeps a sound connection for the next snapshot; closes another."""
        with self._lock:
            self._used -= 1
            if is_sound and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def keep_one_open(self) -> None:
        """Keeps the WAL when the writing connection has to be closed: the last connection to close removes it."""
        if not self._idle:
            with self.snapshot() as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")

    @contextmanager
    def all_idle(self) -> Iterator[list[Connection]]:
        """The connections, unused until the block ends. Raises StorageError where one is in use."""
        with self._lock:
            if self._used:
                raise StorageError("storage_unavailable", "the old files are still being read")
            yield self._idle

    def close_idle(self) -> bool:
        """Closes the unused connections; whether none is left.

        SQLite opens a file read-only again while an old connection to it, opened read-only, is open.
        """
        with self._lock:
            close_all(self._idle)
            return not self._used

    def close(self) -> None:
        """Closes the idle connections, and each of the others when its snapshot ends."""
        self._is_closed = True
        self.close_idle()


class Reading:
    """One snapshot, as a context manager. A class costs each read 1 µs less than a generator."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def __enter__(self) -> Connection:
        self._connection = self._readers.take()
        try:
            self._connection.execute("BEGIN")
        except BaseException:
            self._readers.give_back(self._connection, is_sound=False)
            raise
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        is_sound = False
        try:
            if self._connection.raw.in_transaction:
                self._connection.execute("COMMIT")
            is_sound = not isinstance(error, StorageError)
        finally:
            self._readers.give_back(self._connection, is_sound=is_sound)


class SharedReading:
    """One snapshot for several reads in a row. It begins with the first read; an error of the database ends it."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._reading: Reading | None = None

    def has_begun(self) -> bool:
        """Whether a read has begun the snapshot."""
        return self._reading is not None

    def __enter__(self) -> Connection:
        if self._reading is None:
            reading = self._readers.snapshot()
            self._connection = reading.__enter__()
            self._reading = reading
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, StorageError):
            self.end(error)

    def end(self, error: StorageError | None = None) -> None:
        """Ends the snapshot; the next read begins another. A connection that fails here is closed."""
        reading, self._reading = self._reading, None
        if reading:
            with suppress(StorageError):
                reading.__exit__(None, error, None)


def close_all(connections: list[Connection]) -> None:
    """Closes the connections and takes them off the list."""
    while connections:
        connections.pop().close()
