"""A pool of connections that only read, each for one snapshot at a time; they never wait for a writer."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgsvc.storage.base import StorageError
from msgsvc.storage.sqlite.connection import Connection


class Readers:
    """The reading connections of a process."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open_connection = open_connection
        self._idle: deque[Connection] = deque()
        self._is_closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection on which every statement sees the same state. Raises StorageError."""
        connection = self._take()
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
            self._give_back(connection)
            raise
        self._give_back(connection)

    def _take(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            connection = self._open_connection()
            connection.execute("PRAGMA query_only = ON")
            return connection

    def _give_back(self, connection: Connection) -> None:
        if self._is_closed:
            connection.close()
        else:
            self._idle.append(connection)

    def keep_one_open(self) -> None:
        """Lets reads go on when the writing connection has to be closed: the last connection takes the WAL with it."""
        if not self._idle:
            with self.snapshot() as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")

    def close_idle(self) -> None:
        """SQLite opens a file read-only again while an old connection to it, opened read-only, is open."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Closes the idle connections, and each of the others when its snapshot ends."""
        self._is_closed = True
        self.close_idle()
