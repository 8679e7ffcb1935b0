"""The process of its own: waitress with the limits that a service on the open net needs, and its signals."""

import errno
import logging
import re
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from queue import SimpleQueue
from types import FrameType
from typing import Any, cast

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, Error, build_http_date

from msgsvc.app import App
from msgsvc.errors import ApiError
from msgsvc.json_http import error_response
from msgsvc.logs import write_request
from msgsvc.middleware import LOG_REQUEST, RUN_LATER, new_request_id, standard_headers
from msgsvc.routes import ACCOUNT_ROUTES
from msgsvc.storage.engines import engine_for

log = logging.getLogger("msgsvc")

REQUEST_SECONDS = 15.0
"""A request that has not arrived whole after this long is cut off; waitress itself would wait for ever."""

IDLE_SECONDS = 120
"""A connection is kept this long between requests, or while its client does not read what it asked for."""

CROWDED_IDLE_SECONDS = 5
"""The same when three quarters of the connections are taken."""

UNSENT_BYTES = 64 * 1024
"""The next request of a connection waits while more than this of its answers is unsent."""

TOGETHER = 64
"""So many calls at most take their steps together, or share a commit, so that none waits long for the others."""

ANSWERING_SECONDS = 0.02
"""For so long at a time the thread that waits on the net enters and acts on reading calls; the rest is for workers."""

ACCEPTED_TOGETHER = 64
"""So many new connections at most are accepted at a time."""

COLLECTING_SECONDS = 0.002
"""Writing calls are collected until a look at the net brings no more of them, or for this long; told at each look."""

YIELDING_SECONDS = sys.getswitchinterval()
"""For so long at a time the thread that waits on the net leaves the interpreter to the writer: as long as it would wait
for the interpreter's lock before demanding it.
"""

WRITING = ("POST", "PUT", "PATCH", "DELETE")

DRAIN_SECONDS = 8.0
"""How long SIGTERM waits for the requests that have begun."""

CONNECTION_LIMIT = 4096
HEADER_LIMIT = 16 * 1024
DISCARD_LIMIT = 1024 * 1024
"""A body up to this size is read to its end, so that the client gets to read the 413."""

_ERRORS = {
    400: ApiError("bad_request"),
    413: ApiError("body_too_large", f"The body is longer than {DISCARD_LIMIT} bytes"),
    431: ApiError("headers_too_large", f"The headers are longer than {HEADER_LIMIT} bytes"),
}


_DECISIVE = re.compile(
    rb"^(host|content-length|transfer-encoding)[ \t]*:([^\r\n]*)\r?$", flags=re.IGNORECASE | re.MULTILINE
)


class _Parser(HTTPRequestParser):
    """Refuses requests whose end two parties could see at different places."""

    path = ""
    """Also of a request that is refused before its path is known: waitress logs it where the client is gone."""

    def received(self, data: bytes) -> int:
        """As waitress's, but what its parser stumbles over is a bad request."""
        try:
            consumed = super().received(data)
        except ValueError:
            self.error = BadRequest("")
            self.completed = True
            consumed = len(data)
        if self.completed:
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError."""
        found = [(name.lower(), value.strip(b" \t").lower()) for name, value in _DECISIVE.findall(header_plus)]
        hosts = [value for name, value in found if name == b"host"]
        if len(hosts) > 1 or len(found) - len(hosts) > 1:
            raise ParsingError("a header that must be unique is not")
        if any(name == b"transfer-encoding" and value != b"chunked" for name, value in found):
            raise ParsingError("a Transfer-Encoding other than chunked")
        super().parse_header(header_plus)
        if self.version == "1.1" and not hosts:
            raise ParsingError("no Host")
        if self.version != "1.1" and "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding is of HTTP/1.1")


class _Task(WSGITask):
    """A request in steps, each of which can be taken for many requests in a row."""

    channel: "_Channel"
    response = b""
    fault: Exception | None = None

    def __init__(self, channel: "_Channel", request: Any) -> None:
        super().__init__(channel, request)
        self._remaining = self._steps()

    def _steps(self) -> Iterator[None]:
        call = self.channel.server.app.call(self.get_environment())
        call.parse()
        yield
        call.handle()
        yield
        self.start()
        self.status, self.response_headers, body = call.respond()
        self.response = self.build_response_header() + body

    def step(self) -> None:
        """Takes the next of three steps: finds out who calls and for what, does that, writes the answer down."""
        try:
            next(self._remaining, None)
        except Exception as error:
            self.fault = error

    def execute(self) -> None:
        """Sends the answer, after the steps that have not been taken.

        Raises what nobody foresaw in one of them, of which waitress makes a 500.
        """
        for _ in self._remaining:
            pass
        if self.fault:
            raise self.fault
        self.complete = self.wrote_header = True
        self.channel.write_soon(self.response)

    def get_environment(self) -> dict[str, Any]:
        """waitress's, with LATER and perhaps LOG."""
        environ: dict[str, Any] = super().get_environment()
        environ.update(self.channel.server.offers)
        return environ

    def build_response_header(self) -> bytes:
        """The head as the application gave it.

        waitress normalises what is normal already, and ends the connection after every 204 and 304, so that clients
        that poll would connect anew each time.
        """
        request = cast("HTTPRequestParser", self.request)
        if self.version != "1.1" or request.headers.get("CONNECTION", "").lower() == "close":
            return super().build_response_header()
        lines = [f"{name}: {value}" for name, value in self.response_headers]
        return "\r\n".join(
            [f"HTTP/1.1 {self.status}", *lines, f"Date: {_http_date(int(self.start_time))}", "\r\n"]
        ).encode("latin-1")


_http_date = lru_cache(maxsize=1)(build_http_date)


class _ErrorTask(ErrorTask):
    def execute(self) -> None:
        """What waitress refuses by itself is answered in the service's own form."""
        error = cast("Error", cast("HTTPRequestParser", self.request).error)
        refusal = _ERRORS.get(error.code) or ApiError("internal_error")
        body = error_response(refusal).payload()
        self.status = f"{error.code} {error.reason}"
        self.content_length = len(body)
        request_id = new_request_id()
        self.response_headers = [*standard_headers(request_id), ("Content-Type", "application/json")]
        self.set_close_on_finish()
        log.info("refused", extra={"fields": {"request_id": request_id, "status": error.code, "code": refusal.code}})
        self.write(body)


class _Later:
    """Work for a worker, in waitress's terms a task."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.service = work

    def cancel(self) -> None:
        """It is not done when the server stops first."""


class _Channel(HTTPChannel):
    server: "Server"
    parser_class = _Parser
    error_task_class = _ErrorTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since: float | None = time.monotonic()
        self.is_parked = False
        self.is_continue_due = False
        self.task: _Task | None = None

    def received(self, data: bytes) -> bool:
        """Notes since when a request is incomplete, as a new connection is."""
        received = super().received(data)
        if self.request is None:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = time.monotonic()
        return received

    def begin(self) -> _Task:
        """Takes the first step of the request whose turn it is; service() will take what it gives."""
        self.task = _Task(self, self.requests[0])
        self.task.step()
        return self.task

    def task_class(self, _channel: "_Channel", request: Any) -> _Task:  # type: ignore[override]
        """What service() asks for a task: gives away the one that has begun, or a new one."""
        task, self.task = self.task or _Task(self, request), None
        return task

    def finish(self) -> None:
        """service(), for a thread that is no worker of waitress's, which would survive what nobody foresaw."""
        try:
            self.service()
        except Exception as error:
            _give_up([self], error)

    def send_continue(self) -> None:
        """Leaves it to the thread that waits on the net, which writes to the socket without a lock.

        waitress lets whoever answered the request before do it, and that thread does not survive a closed socket.
        """
        if self.server.is_own_thread():
            super().send_continue()
        else:
            self.is_continue_due = True

    def readable(self) -> bool:
        """Nothing new is read once the server is stopping. What waited for the client to read goes on once it has."""
        if self.is_continue_due:
            self.is_continue_due = False
            try:
                if self.request is not None and self.request.expect_continue:
                    super().send_continue()
            except OSError:
                self.will_close = True
        if self.is_parked and self.total_outbufs_len < self.adj.send_bytes:
            self.is_parked = False
            self.server.hand_over(self)
        return not self.server.stopping and self.connected and bool(super().readable())

    def is_busy(self) -> bool:
        """Whether a request has begun whose answer has not left yet."""
        return bool(self.requests or self.total_outbufs_len)


class Server(TcpWSGIServer):
    """A server bound to the address of the settings."""

    channel_class = _Channel
    effective_host: str
    effective_port: int
    active_channels: dict[int, _Channel]  # type: ignore[assignment]

    def __init__(self, app: App) -> None:
        settings = app.services.settings
        adjustments = Adjustments(
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            ident=None,
            asyncore_use_poll=True,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            connection_limit=_connection_limit(),
            max_request_header_size=HEADER_LIMIT,
            max_request_body_size=DISCARD_LIMIT,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        self.app = app
        self.stopping = False
        self.offers: dict[str, object] = {RUN_LATER: self.later}
        if settings.log_format == "json":
            self.offers[LOG_REQUEST] = write_request
        self._thread = threading.get_ident()
        self._prefix = f"{settings.prefix}/"
        self._quick_paths = tuple(self._prefix + call for call in ("inbox", "unread", "conversation/"))
        self._sockets: Any = {}
        self._account_paths = tuple(route.path.partition("<")[0] for route in ACCOUNT_ROUTES)
        self._arrived: list[_Channel] = []
        self._due: deque[_Channel] = deque()
        self._begun: deque[_Task] = deque()
        self._collecting_until = 0.0
        self._interpreter_is_free = threading.Event()
        self._interpreter_is_free.set()
        self._writes: SimpleQueue[_Channel] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        super().__init__(app, map=self._sockets, adj=adjustments)

    @classmethod
    def for_app(cls, app: App) -> "Server":
        """A server for the application. Raises OSError naming the address where it cannot be had."""
        address = f"{app.services.settings.host}:{app.services.settings.port}"
        try:
            return cls(app)
        except ValueError:
            raise OSError(errno.EADDRNOTAVAIL, "no such address", address) from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, address) from error

    def handle_accept(self) -> None:
        """Accepts all who wait, up to a limit; waitress accepts one at each look at the net."""
        for _ in range(ACCEPTED_TOGETHER):
            connections = len(self._sockets)
            super().handle_accept()
            if len(self._sockets) == connections:
                break

    def add_task(self, task: Any) -> None:
        """The inbox, the badge and conversations are answered by the thread that waits on the net, writing calls by one
        that does all that have arrived and commits once, all others by the workers.

        Handing a call over to another thread, and the fight of both for the interpreter lock, costs more than
        reading a page from the database does, or storing a message.
        """
        request = task.requests[0]
        is_fresh = self.is_own_thread() and not request.error
        if task.total_outbufs_len >= UNSENT_BYTES:
            task.is_parked = True
        elif is_fresh and request.command == "GET" and request.path.startswith(self._quick_paths):
            self._due.append(task)
        elif is_fresh and request.command in WRITING and self._is_writing_path(request.path):
            if not self._arrived:
                self._collecting_until = time.monotonic() + COLLECTING_SECONDS
            self._arrived.append(task)
        else:
            self.hand_over(task)

    def is_own_thread(self) -> bool:
        """Whether the thread that waits on the net asks."""
        return threading.get_ident() == self._thread

    def _is_writing_path(self, path: str) -> bool:
        return path.startswith(self._prefix) and not path.startswith(self._account_paths)

    def hand_over(self, task: Any) -> None:
        """Lets a worker do it."""
        self.task_dispatcher.add_task(task)

    def _write(self) -> None:
        while True:
            channels = [self._writes.get()]
            while len(channels) < TOGETHER and not self._writes.empty():
                channels.append(self._writes.get())
            try:
                with self.app.services.database.batch():
                    begun = [channel.begin() for channel in channels if channel.connected]
                    for task in begun:
                        task.step()
                    self._interpreter_is_free.set()
                self._begun.extend(begun)
            except Exception as error:
                _give_up(channels, error)
                self._interpreter_is_free.set()
            self.pull_trigger()

    def later(self, work: Callable[[], None]) -> None:
        """Lets a worker do what is no request."""
        self.hand_over(_Later(work))

    def pull_trigger(self) -> None:
        """Wakes the thread that waits on the net, unless it is this one."""
        if not self.is_own_thread():
            super().pull_trigger()

    def maintenance(self, now: float) -> None:
        """Also cuts off requests that do not arrive, counted by the monotonic clock."""
        super().maintenance(now)  # type: ignore[arg-type]
        is_crowded = len(self.active_channels) > self.adj.connection_limit * 3 // 4
        idle_since = now - (CROWDED_IDLE_SECONDS if is_crowded else IDLE_SECONDS)
        overdue = time.monotonic() - REQUEST_SECONDS
        for channel in self.active_channels.values():
            is_overdue = channel.waiting_since is not None and channel.waiting_since < overdue
            is_idle = channel.is_parked or not channel.is_busy()
            if is_overdue or (is_idle and channel.last_activity < idle_since):
                channel.will_close = True

    def serve(self) -> None:
        """Serves until SIGTERM or SIGINT, finishes what has begun, and refuses the rest."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        host = f"[{self.effective_host}]" if ":" in self.effective_host else self.effective_host
        log.info("listening on http://%s:%s", host, self.effective_port)
        engine_for(self.app.services.settings.database).log_version()
        self._writer.start()
        while not self.stopping:
            self._turn()
        wasyncore.dispatcher.close(self)
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(channel.is_busy() for channel in self.active_channels.values()) and time.monotonic() < deadline:
            self._turn()
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._sockets)
        log.info("stopped")

    def _turn(self) -> None:
        """One look at the net: reads, answers, and hands over the writing calls collected.

        They go over many at a time, and this thread rests while they are begun: where both are at work, each waits for
        the interpreter's lock at every statement and every packet.
        """
        self._interpreter_is_free.wait(YIELDING_SECONDS)
        waiting = len(self._arrived)
        wasyncore.loop(timeout=0 if waiting else 1, use_poll=True, map=self._sockets, count=1)
        self._answer()
        is_enough = len(self._arrived) == waiting or time.monotonic() > self._collecting_until
        if self._arrived and is_enough:
            self._interpreter_is_free.clear()
            for channel in self._arrived:
                self._writes.put(channel)
            self._arrived.clear()

    def _answer(self) -> None:
        """Takes each step for all calls that are due, and sends all answers in one go, which makes the inbox half as
        fast again: the processor keeps the code and data of a step at hand, and an answer that leaves alone may have
        to wake a client.
        """
        until = time.monotonic() + ANSWERING_SECONDS
        while self._due or self._begun:
            tasks = [self._begun.popleft() for _ in range(len(self._begun))]
            entered: deque[_Task] = deque()
            while self._due and len(entered) < TOGETHER and time.monotonic() < until:
                channel = self._due.popleft()
                if channel.connected:
                    entered.append(channel.begin())
            while entered and time.monotonic() < until:
                task = entered.popleft()
                task.step()
                tasks.append(task)
            for task in tasks:
                task.step()
            for task in tasks:
                task.channel.finish()
            if time.monotonic() >= until:
                self._leave_to_workers([*(task.channel for task in entered), *self._due])
                self._due.clear()

    def _leave_to_workers(self, channels: Iterable[_Channel]) -> None:
        """They find out anew who calls: until they come to it, a session may have ended."""
        for channel in channels:
            channel.task = None
            self.hand_over(channel)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True
        super().pull_trigger()


def _give_up(channels: Iterable[_Channel], error: Exception) -> None:
    """What nobody foresaw ends connections, and not the thread."""
    log.error("connections were given up: %s", type(error).__name__)
    for channel in channels:
        channel.will_close = True


def _connection_limit() -> int:
    """As many as the process may have open files for, less what the database and the logs need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTION_LIMIT + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTION_LIMIT if soft == resource.RLIM_INFINITY else min(CONNECTION_LIMIT, soft - 256)
