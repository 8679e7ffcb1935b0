"""How many connections are kept, and for how long, by the monotonic clock."""

import resource
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgsvc.serving.waitress_adapter.connection import Connection

REQUEST_SECONDS = 15.0
"""A connection is closed if a request has not arrived completely after this time. waitress would wait forever."""

IDLE_SECONDS = 120.0
"""A connection is closed after this time between two requests, or while its client does not read the response."""

CROWDED_IDLE_SECONDS = 5.0
"""The same while more than three quarters of the connections are in use."""

CHECK_SECONDS = 1.0
"""Time between two checks of all connections."""

CONNECTION_LIMIT = 4096

MINIMUM_CONNECTIONS = 16
"""Room for fewer connections stops the start."""

BASE_DESCRIPTORS = 32
"""File descriptors left for the listening socket, the log, the writing connection of the database and spare ones."""

DESCRIPTORS_PER_THREAD = 3
"""File descriptors of a reading connection of the database: the file, the write-ahead log and its index."""


class ConnectionLimits:
    """Closes the connections that have exceeded a time limit."""

    def __init__(self, threads: int) -> None:
        """Raises OSError if the limit on open files leaves no room for connections."""
        self.connections = _raise_descriptor_limit(BASE_DESCRIPTORS + DESCRIPTORS_PER_THREAD * threads)
        self._next_check = 0.0

    def enforce(self, connections: Collection["Connection"]) -> None:
        """Check all connections, unless the last check was a moment ago."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        is_crowded = len(connections) > self.connections * 3 // 4
        idle_since = now - (CROWDED_IDLE_SECONDS if is_crowded else IDLE_SECONDS)
        incomplete_since = now - REQUEST_SECONDS
        for connection in connections:
            since = connection.incomplete_since
            is_overdue = since is not None and since < incomplete_since
            if is_overdue or (connection.is_idle() and connection.last_activity < idle_since):
                connection.close_soon()


def _raise_descriptor_limit(others: int) -> int:
    """The number of connections for which the process may have descriptors, after raising its limit if it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTION_LIMIT + others
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return CONNECTION_LIMIT
    if soft < others + MINIMUM_CONNECTIONS:
        needed = others + MINIMUM_CONNECTIONS
        raise OSError(f"only {soft} open files are allowed, at least {needed} are needed: raise the limit (ulimit -n)")
    return min(CONNECTION_LIMIT, soft - others)
