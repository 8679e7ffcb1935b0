"""The connections of a process, each for one transaction at a time.

psycopg_pool connects in the background and waits longer after each failure. Here the caller connects, so a failure is
known at once, and the first call after its cause is gone succeeds; there is no thread that a fork would lose.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from psycopg.pq import TransactionStatus

from msgsvc.storage.base import StorageError
from msgsvc.storage.postgresql.connection import Connection

WAIT_SECONDS = 1.0
"""How long a call waits for a connection that another one uses."""


class Pool:
    """At most ``size`` connections; those that are idle are kept."""

    failed_at = -math.inf
    """When a call last waited for the database in vain, as time.monotonic() tells it."""

    def __init__(self, size: int, connect: Callable[[float | None], Connection]) -> None:
        self._connect = connect
        self._free = threading.BoundedSemaphore(size)
        self._idle: deque[Connection] = deque()
        self._is_closed = False

    def take(self, deadline: float) -> Connection:
        """A connection of which every wait ends at the deadline. Raises StorageError, psycopg.Error."""
        if self._is_closed:
            raise StorageError("storage_unavailable", "the application is closed")
        if not self._free.acquire(timeout=WAIT_SECONDS):
            self.failed_at = time.monotonic()
            raise StorageError("storage_busy", "all connections to the database are in use")
        try:
            connection = self._idle_one() or self._connect(deadline)
        except BaseException:
            self._free.release()
            raise
        connection.deadline = deadline
        return connection

    def replace(self, cut: Connection) -> Connection:
        """Another connection in the place of one that was cut. The idle ones are closed, they may be cut too.

        Raises psycopg.Error; then the place is still to be given back.
        """
        cut.close()
        self.close_idle()
        return self._connect(cut.deadline)

    def _idle_one(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def give_back(self, connection: Connection) -> None:
        """Keeps the connection for the next call, unless it is broken or in the middle of a transaction."""
        connection.is_new = False
        is_free = connection.runner.is_ending or connection.pgconn.transaction_status == TransactionStatus.IDLE
        if is_free and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        self._free.release()

    def close_idle(self) -> None:
        """Closes the connections that nobody uses."""
        while connection := self._idle_one():
            connection.close()

    def close(self) -> None:
        """Closes the idle connections, and each of the others when it is given back."""
        self._is_closed = True
        self.close_idle()
