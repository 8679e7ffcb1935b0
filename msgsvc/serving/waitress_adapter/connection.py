"""A connection: it receives requests, and sends their responses in the same order."""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from waitress.channel import ClientDisconnected, HTTPChannel

from msgsvc.serving.callers import Caller, caller_at
from msgsvc.serving.waitress_adapter.parser import RequestParser
from msgsvc.serving.waitress_adapter.refusal import RefusalTask
from msgsvc.serving.waitress_adapter.task import Task
from msgsvc.serving.waitress_adapter.unsent import UnsentResponses

if TYPE_CHECKING:
    from msgsvc.serving.waitress_adapter.listener import Listener

logger = logging.getLogger("msgsvc")


class Connection(HTTPChannel):
    """A connection: its requests, its unsent responses, and the task of the one request that is being answered."""

    server: "Listener"
    parser_class = RequestParser
    request: RequestParser | None
    requests: list[RequestParser]
    error_task_class = RefusalTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.incomplete_since: float | None = time.monotonic()
        self._unsent = UnsentResponses()
        self.outbufs = cast("Any", [self._unsent])
        self.responded_at = 0.0
        self.is_parked = False
        self.address = caller_at(self.addr[0])
        self.caller = self.address
        self._owes_continue = False
        self._task: Task | None = None

    @property
    def last_activity(self) -> float:
        """When the connection last received or sent, by the monotonic clock."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, _wall_clock: float) -> None:
        """waitress sets the wall clock at each activity."""
        self._last_activity = time.monotonic()

    def is_refused(self) -> bool:
        """Whether the next request is not valid HTTP, or too large."""
        return bool(self.requests[0].error)

    def unsent_bytes(self) -> int:
        """How much of the responses has not been sent."""
        return self.total_outbufs_len

    def held_bytes(self) -> int:
        """Bytes in memory of unsent responses and of requests that have not been answered."""
        requests = self.requests if self.request is None else [*self.requests, self.request]
        return self._unsent.held_bytes() + sum(request.held_bytes() for request in requests)

    def write_soon(self, data: bytes) -> int:
        """Send a long response as far as the client takes it now; the event loop sends the rest.

        Raises ClientDisconnected.
        """
        with self.outbuf_lock:
            if not self.connected:
                raise ClientDisconnected
            self.responded_at = time.monotonic()
            self._unsent.append(data)
            self.total_outbufs_len += len(data)
            if self.total_outbufs_len >= self.adj.send_bytes:
                self._flush_exception(self._flush_some, do_close=False)  # type: ignore[attr-defined]
        return len(data)

    def received(self, data: bytes) -> bool:
        """Parse what has arrived, and note since when a request has been incomplete."""
        received = super().received(data)
        if self.request is None:
            self.incomplete_since = None
        elif self.incomplete_since is None:
            self.incomplete_since = time.monotonic()
        return received

    def find_caller(self) -> None:
        """Find the caller whose turn the next request takes."""
        headers = self.requests[0].headers
        self.caller = self.server.callers.find(headers.get("AUTHORIZATION")) or self._client(headers)

    def _client(self, headers: dict[str, str]) -> Caller:
        """The address of the connection, or the one that a trusted proxy forwards."""
        addresses = self.server.app.services.addresses
        forwarded = headers.get(addresses.key)
        return caller_at(addresses.find_behind(self.addr[0], forwarded)) if forwarded else self.address

    def begin_task(self) -> Task:
        """Parse the next request; send_response() or a worker will use this task."""
        self._task = Task(self, self.requests[0])
        self._task.parse()
        return self._task

    def task_class(self, _connection: "Connection", _request: Any) -> Task:  # type: ignore[override]
        """The task that service() executes: the one that has begun, or a new one."""
        task, self._task = self._task or self.begin_task(), None
        return task

    def send_response(self) -> None:
        """Run service() on the event loop, which must survive an unexpected error; waitress's workers do."""
        try:
            self.service()
        except Exception as error:
            close_after_error([self], error)

    def send_continue(self) -> None:
        """Leave ``100 Continue`` to the event loop, which writes to the socket without a lock.

        waitress would write it on the worker that answered the request before, and a closed socket would end that
        worker.
        """
        if self.server.is_event_loop():
            super().send_continue()
        else:
            self._owes_continue = True

    def readable(self) -> bool:
        """Whether to wait for data. Also resumes what has waited for the event loop or for the client to read."""
        if self._owes_continue:
            self._owes_continue = False
            try:
                if self.request is not None and self.request.expect_continue:
                    super().send_continue()
            except OSError:
                self.will_close = True
        if self.is_parked and self.total_outbufs_len < self.adj.send_bytes:
            self.is_parked = False
            self.server.run_on_worker(self)
        return not self.server.is_stopping and self.connected and bool(super().readable())

    def close_soon(self) -> None:
        """Let the event loop close the connection; any thread may call this."""
        self.will_close = True

    def is_busy(self) -> bool:
        """Whether a request has begun whose response has not been sent completely."""
        return bool(self.requests or self.total_outbufs_len)

    def is_idle(self) -> bool:
        """Whether the connection waits for its client, be it for a request or for reading a response."""
        return self.is_parked or not self.requests


def close_after_error(connections: Iterable[Connection], error: Exception) -> None:
    """An unexpected error closes its connections, but does not end the thread."""
    logger.error("connections were closed after an error: %s", type(error).__name__)
    for connection in connections:
        connection.close_soon()
