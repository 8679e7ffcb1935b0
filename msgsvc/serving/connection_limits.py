"""The limits on connections: their number, the memory that they hold, and how long they may wait."""

import heapq
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgsvc.serving.callers import Caller
    from msgsvc.serving.waitress_adapter.connection import Connection

REQUEST_SECONDS = 15.0
"""A connection is closed if a request has not arrived completely after this time. waitress would wait forever."""

IDLE_SECONDS = 120.0
"""A connection is closed after this time between two requests."""

CROWDED_IDLE_SECONDS = 5.0
"""The same while more than five eighths of the allowed connections are open."""

READ_SECONDS = 60.0
"""A connection is closed if its client has not read a response completely after this time."""

CHECK_SECONDS = 1.0
"""Time between two checks of how long each connection has been waiting."""

HELD_CHECK_SECONDS = 0.1
"""Time between two checks of how much all connections hold."""

HELD_LIMIT = 64 * 1024 * 1024
"""Bytes in memory of responses that have not been sent and of requests that have not been answered."""

CONNECTION_LIMIT = 4096

MINIMUM_CONNECTIONS = 16
"""Room for fewer connections stops the start."""

BASE_DESCRIPTORS = 32
"""File descriptors left for the listening socket, the log, the writing connection of the database and spare ones."""

DESCRIPTORS_PER_THREAD = 3
"""File descriptors of a reading connection of the database: the file, the write-ahead log and its index."""


class ConnectionLimits:
    """Closes overdue connections. Where there are too many, or they hold too much memory, closes those of the caller
    who has most.
    """

    def __init__(self, threads: int) -> None:
        """Raises OSError if the limit on open files leaves no room for connections."""
        self.connections = _raise_descriptor_limit(BASE_DESCRIPTORS + DESCRIPTORS_PER_THREAD * threads)
        self._next_check = 0.0
        self._next_held_check = 0.0

    def enforce(self, connections: Collection["Connection"]) -> None:
        """Check the connections. Only the event loop may call this, between two polls."""
        if len(connections) > self.connections * 7 // 8:
            close_of_greatest_holders(connections, lambda _connection: 1, self.connections * 7 // 8)
        now = time.monotonic()
        if now >= self._next_held_check:
            self._next_held_check = now + HELD_CHECK_SECONDS
            close_of_greatest_holders(connections, lambda connection: connection.held_bytes(), HELD_LIMIT)
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._close_overdue(connections, now)

    def _close_overdue(self, connections: Collection["Connection"], now: float) -> None:
        is_crowded = len(connections) > self.connections * 5 // 8
        idle_since = now - (CROWDED_IDLE_SECONDS if is_crowded else IDLE_SECONDS)
        for connection in list(connections):
            since = connection.incomplete_since
            if (
                (since is not None and since < now - REQUEST_SECONDS)
                or (connection.unsent_bytes() and connection.responded_at < now - READ_SECONDS)
                or (connection.is_idle() and connection.last_activity < idle_since)
            ):
                connection.handle_close()


def close_of_greatest_holders(
    connections: Collection["Connection"], cost_of: Callable[["Connection"], int], limit: int
) -> None:
    """If the costs exceed the limit, close connections until a quarter of the limit is free. Each time the caller with
    the highest costs loses one.

    Of a caller's connections, unfinished ones (request incomplete or response unread) are closed first, then idle ones;
    among equals, the one that has waited longest.
    """
    costs = {connection: cost_of(connection) for connection in connections}
    total = sum(costs.values())
    if total <= limit:
        return
    excess = total - limit * 3 // 4
    held: dict[Caller, list[Connection]] = defaultdict(list)
    for connection in sorted(costs, key=_closed_last_first):
        held[connection.caller].append(connection)
    greatest = [(-sum(map(costs.__getitem__, of_caller)), caller) for caller, of_caller in held.items()]
    heapq.heapify(greatest)
    while excess > 0:
        negative, caller = greatest[0]
        connection = held[caller].pop()
        connection.handle_close()
        excess -= costs[connection]
        heapq.heapreplace(greatest, (negative + costs[connection], caller))


def _closed_last_first(connection: "Connection") -> tuple[bool, bool, float]:
    is_unfinished = connection.incomplete_since is not None or connection.unsent_bytes() > 0
    return is_unfinished, connection.is_idle(), -connection.last_activity


def _raise_descriptor_limit(others: int) -> int:
    """Raises the limit on open files if it can; returns how many connections it allows."""
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
