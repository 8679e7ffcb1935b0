"""The listening socket, its connections, and the workers."""

import math
import socket
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any, cast

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from msgsvc.app import App
from msgsvc.middleware import LOG_REQUEST, RUN_LATER
from msgsvc.serving import http_rules
from msgsvc.serving.callers import Caller, Callers
from msgsvc.serving.connection_limits import ConnectionLimits
from msgsvc.serving.logs import write_request
from msgsvc.serving.waitress_adapter.connection import Connection
from msgsvc.serving.waitress_adapter.workers import Workers

ACCEPT_LIMIT = 64
"""At most this many new connections are accepted per iteration of the event loop."""

WORKER_STOP_SECONDS = 1.0
"""How long the workers may take to end."""

SEND_BUFFER_BYTES = 32 * 1024
"""What the system may keep of the unsent responses of a connection; Linux doubles it."""


class Listener(TcpWSGIServer):
    """The listening socket, its connections and the workers."""

    channel_class = Connection
    next_channel_cleanup = math.inf  # type: ignore[assignment]  # waitress would close by the wall clock.
    effective_host: str
    effective_port: int
    active_channels: dict[int, Connection]  # type: ignore[assignment]

    schedule: Callable[[Connection], None]
    """Is called for each request that has arrived, once the response before it has been written."""

    def __init__(self, app: App, limits: ConnectionLimits) -> None:
        settings = app.services.settings
        adjustments = Adjustments(
            host=settings.host,
            port=settings.port,
            ident=None,
            asyncore_use_poll=True,
            connection_limit=limits.connections,
            inbuf_overflow=sys.maxsize,
            max_request_header_size=http_rules.HEADER_LIMIT,
            max_request_body_size=http_rules.RECEIVE_LIMIT,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        adjustments.socket_options = [
            *adjustments.socket_options,
            (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES),
        ]
        self.app = app
        self.callers = Callers()
        self._limits = limits
        self.is_stopping = False
        self.environ_keys: dict[str, object] = {RUN_LATER: self.run_in_background}
        if settings.log_format == "json":
            self.environ_keys[LOG_REQUEST] = write_request
        self._in_background: set[Hashable] = set()
        self._thread = threading.get_ident()
        self._sockets: Any = {}
        self._workers = Workers(settings.threads)
        super().__init__(app, map=self._sockets, dispatcher=self._workers, adj=adjustments)

    def set_reuse_addr(self) -> None:
        """waitress calls this before it binds. The address ``::`` takes IPv4 too, which waitress forbids."""
        super().set_reuse_addr()
        if self.family == socket.AF_INET6:
            cast("socket.socket", self.socket).setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)

    def url(self) -> str:
        """Where the service is reached."""
        host = f"[{self.effective_host}]" if ":" in self.effective_host else self.effective_host
        return f"http://{host}:{self.effective_port}"

    def is_event_loop(self) -> bool:
        """Whether the calling thread is the one that runs the event loop."""
        return threading.get_ident() == self._thread

    def poll(self, timeout: float) -> None:
        """Wait for sockets; then accept connections, read, schedule requests, write, and close what is overdue."""
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._sockets, count=1)
        self._limits.enforce(self.active_channels.values())

    def handle_accept(self) -> None:
        """Accept all waiting connections up to a limit; waitress accepts one per iteration."""
        for _ in range(ACCEPT_LIMIT):
            count = len(self._sockets)
            super().handle_accept()
            if len(self._sockets) == count:
                break

    def add_task(self, task: Any) -> None:
        """waitress calls this with the connection whose next request may be answered."""
        self.schedule(task)

    def run_on_worker(self, connection: Connection) -> None:
        """Let a worker answer the next request of the connection."""
        self._workers.run(connection.caller, connection.service, connection.cancel)

    def run_in_background(self, key: Hashable, work: Callable[[], None]) -> None:
        """Let a worker run a function that no response waits for, unless another one with this key has not ended."""
        if key in self._in_background:
            return
        self._in_background.add(key)

        def run() -> None:
            try:
                work()
            finally:
                self._in_background.discard(key)

        self._workers.run(Caller(), run)

    def pull_trigger(self) -> None:
        """Wake the event loop, unless it calls this itself."""
        if not self.is_event_loop():
            super().pull_trigger()

    def stop(self) -> None:
        """Read no further requests, and wake the event loop. For a signal handler."""
        self.is_stopping = True
        super().pull_trigger()

    def stop_accepting(self) -> None:
        """Close the listening socket."""
        wasyncore.dispatcher.close(self)

    def is_busy(self) -> bool:
        """Whether a request has begun whose response has not been sent completely."""
        return any(connection.is_busy() for connection in self.active_channels.values())

    def close_all(self) -> None:
        """End the workers and close all connections."""
        workers = self._workers
        workers.set_thread_count(0)
        with workers.lock:
            workers.thread_exit_cv.wait_for(lambda: not workers.threads, WORKER_STOP_SECONDS)
        # waitress would wait by the wall clock.
        workers.shutdown(timeout=-math.inf)  # type: ignore[arg-type]
        wasyncore.close_all(self._sockets)
