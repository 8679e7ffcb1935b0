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

OTHER_DESCRIPTORS = 256
"""File descriptors left for the database and the logs."""


class ConnectionLimits:
    """Closes the connections that have exceeded a time limit."""

    def __init__(self) -> None:
        self.connections = _raise_descriptor_limit()
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


def _raise_descriptor_limit() -> int:
    """The number of connections for which the process may have descriptors, after raising its limit if it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTION_LIMIT + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTION_LIMIT if soft == resource.RLIM_INFINITY else min(CONNECTION_LIMIT, soft - OTHER_DESCRIPTORS)
