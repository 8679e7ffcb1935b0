"""The facts about waitress's internals on which serving/waitress_adapter relies; a failure names the lost fact."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
LIMITS = {"max_request_header_size": 200, "max_request_body_size": 300}


class RecordingTask(WSGITask):
    """Sends ``done`` on its own, or fails."""

    fault: Exception | None = None

    def execute(self) -> None:
        if self.fault:
            raise self.fault
        self.wrote_header = True
        self.channel.write_soon(b"done")


class RecordingErrorTask(ErrorTask):
    def execute(self) -> None:
        self.channel.server.refused.append(self.request.error.code)
        super().execute()


class RecordingChannel(HTTPChannel):
    error_task_class = RecordingErrorTask
    activities = 0

    @property
    def last_activity(self) -> float:
        return math.inf

    @last_activity.setter
    def last_activity(self, _: float) -> None:
        self.activities += 1

    def task_class(self, channel: HTTPChannel, request: HTTPRequestParser) -> WSGITask:
        self.server.executed.append((channel, request))
        return RecordingTask(channel, request)

    def send_continue(self) -> None:
        self.server.continued.append(self)
        super().send_continue()


class RecordingServer(TcpWSGIServer):
    channel_class = RecordingChannel

    def __init__(self) -> None:
        self.added: list[Any] = []
        self.executed: list[Any] = []
        self.refused: list[int] = []
        self.continued: list[Any] = []
        self.maintained = 0
        self.sockets: dict[int, Any] = {}
        options = Adjustments(host="127.0.0.1", port=0, threads=1, log_socket_errors=False, **LIMITS)
        super().__init__(None, map=self.sockets, adj=options)

    def add_task(self, task: Any) -> None:
        self.added.append(task)

    def maintenance(self, _now: float) -> None:
        self.maintained += 1

    def poll_until(self, condition: Callable[[], object], lost_fact: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, lost_fact
            wasyncore.loop(timeout=0.2, use_poll=True, map=self.sockets, count=1)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    server = RecordingServer()
    yield server
    server.task_dispatcher.shutdown()
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    wasyncore.close_all(server.sockets)


@pytest.fixture
def client(server: RecordingServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(server.effective_port)), timeout=60) as client:
        yield client


def received_by(server: RecordingServer, client: socket.socket, sent: bytes) -> RecordingChannel:
    """The channel, once it has given its first request to the server."""
    client.sendall(sent)
    server.poll_until(lambda: server.added, "received() no longer calls server.add_task() for a complete request")
    (channel,) = server.added
    assert isinstance(channel, RecordingChannel), "server.add_task() is no longer called with the channel"
    assert list(server.active_channels.values()) == [channel], "active_channels no longer holds the open channels"
    return channel


# Parser


def parsed(*parts: bytes, parser_class: type[HTTPRequestParser] = HTTPRequestParser) -> HTTPRequestParser:
    parser = parser_class(Adjustments(**LIMITS))
    for part in parts:
        parser.received(part)
    return parser


def test_parse_header_gets_the_whole_head_and_may_refuse_it() -> None:
    heads = []

    class Refusing(HTTPRequestParser):
        def parse_header(self, header_plus: bytes) -> None:
            heads.append(header_plus)
            raise ParsingError("refused")

    parser = parsed(REQUEST[:10], REQUEST[10:], parser_class=Refusing)
    assert [head.rstrip() for head in heads] == [REQUEST.rstrip()], (
        "parse_header() no longer gets the head in one piece"
    )
    assert (parser.completed, parser.error.code) == (True, 400), (
        "a ParsingError no longer completes the request as a 400"
    )


def test_headers_are_named_as_in_cgi_and_joined_by_commas() -> None:
    headers = parsed(b"GET / HTTP/1.1\r\nHost: a\r\nconnection: TE\r\nConnection: close\r\n\r\n").headers
    assert headers == {"HOST": "a", "CONNECTION": "TE, close"}, (
        "headers are no longer named as in CGI and joined by commas"
    )


def test_requests_that_are_too_large_are_told_apart() -> None:
    head = b"GET / HTTP/1.1\r\nX: " + b"x" * 200
    body = b"POST / HTTP/1.1\r\nContent-Length: 300\r\n\r\n"
    assert parsed(head).error.code == 431, "headers over max_request_header_size are no longer a 431"
    assert parsed(body).error.code == 413, "a body over max_request_body_size is no longer a 413"


# Channel and task


def test_requests_of_a_channel_are_added_one_after_the_other(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST * 2)
    assert len(channel.requests) == 2, "channel.requests no longer holds the requests that wait"
    channel.service()
    assert server.added == [channel] * 2, "service() no longer adds the next request of the channel"
    assert len(channel.requests) == 1, "service() no longer removes the request it has answered"


def test_service_executes_what_task_class_gives(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST)
    request = channel.requests[0]
    channel.service()
    assert server.executed == [(channel, request)], "service() no longer calls task_class(channel, request)"
    assert client.recv(100) == b"done", "a task that sets wrote_header no longer sends only what it writes itself"


def test_a_failed_task_is_answered_by_error_task_class(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST)
    RecordingTask.fault = KeyError("x")
    try:
        channel.service()
    finally:
        RecordingTask.fault = None
    assert server.refused == [500], "an exception of execute() is no longer answered as a 500 by error_task_class"
    assert b"500" in client.recv(100)


def test_a_refused_request_is_answered_by_error_task_class(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, b"nonsense\r\n\r\n")
    assert channel.requests[0].error, "request.error no longer tells a refused request"
    channel.service()
    assert (server.refused, server.executed) == ([400], []), "a refused request no longer goes to error_task_class"


def test_a_worker_asks_for_the_next_body_by_send_continue(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST + EXPECTING)
    assert server.continued == [], "100 Continue is sent before the response of the request ahead"
    channel.service()
    assert server.continued == [channel], "service() no longer calls send_continue() for the next request"


def test_unsent_bytes_are_counted(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST)
    channel.write_soon(b"x" * 12_000_000)
    assert 0 < channel.total_outbufs_len < 12_000_000, "total_outbufs_len no longer counts the bytes that are unsent"


def test_will_close_closes_the_channel_on_the_event_loop(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST)
    channel.will_close = True
    server.poll_until(lambda: not channel.connected, "will_close no longer lets the event loop close the channel")
    assert client.recv(100) == b""
    assert server.active_channels == {}, "a closed channel stays in active_channels"


def test_each_activity_sets_last_activity(server: RecordingServer, client: socket.socket) -> None:
    channel = received_by(server, client, REQUEST)
    before = channel.activities
    assert before >= 2, "accepting and receiving no longer set last_activity"
    channel.service()
    assert channel.activities > before, "sending no longer sets last_activity"


def test_a_request_to_close_is_answered_so() -> None:
    class Channel:
        server = type("Server", (), {"adj": Adjustments(ident=None)})
        adj = server.adj

    task = Task(Channel(), parsed(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert b"\r\nConnection: close\r\n" in task.build_response_header(), "Connection: close is no longer answered so"
    assert task.close_on_finish, "Connection: close no longer closes the connection"


# Server and workers


def test_maintenance_runs_only_when_next_channel_cleanup_has_come(server: RecordingServer) -> None:
    server.next_channel_cleanup = math.inf
    server.readable()
    assert server.maintained == 0, "next_channel_cleanup no longer delays waitress's own maintenance"


def test_one_connection_is_accepted_at_a_time(server: RecordingServer) -> None:
    address = ("127.0.0.1", int(server.effective_port))
    before = len(server.sockets)
    with socket.create_connection(address), socket.create_connection(address):
        for count in (1, 2, 2):
            server.handle_accept()
            assert len(server.sockets) == before + count, "handle_accept() no longer adds one connection to the map"


def test_workers_call_service_and_end_when_told() -> None:
    class Work:
        cancelled = False

        def __init__(self) -> None:
            self.done = threading.Event()
            self.thread = ""

        def service(self) -> None:
            self.thread = threading.current_thread().name
            self.done.set()

        def cancel(self) -> None:
            self.cancelled = True

    workers, work, late = ThreadedTaskDispatcher(), Work(), Work()
    workers.set_thread_count(1)
    workers.add_task(work)
    assert work.done.wait(60), "a worker no longer calls service() of what is added"
    assert work.thread.startswith("waitress-"), "workers have other names"
    workers.set_thread_count(0)
    with workers.lock:
        ended = workers.thread_exit_cv.wait_for(lambda: not workers.threads, 60)
    assert ended, "set_thread_count(0) no longer ends the workers and notifies thread_exit_cv"
    workers.add_task(late)
    workers.shutdown(timeout=-math.inf)
    assert late.cancelled, "shutdown() no longer cancels what no worker has begun"
