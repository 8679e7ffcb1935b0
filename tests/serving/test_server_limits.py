"""The server process against clients that are slow, many, malformed or lying, and how it ends."""

import http.client
import json
import re
import select
import signal
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from served import Service, call, received, serving, sign_in
from support import API

from msgsvc.serving import connection_limits, http_rules

DEADLINE = 2.0
"""What the process under test takes for msgsvc.serving.connection_limits.REQUEST_SECONDS."""

ADDRESS = "127.0.0.1"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


class Served(NamedTuple):
    service: Service
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for all tests that leave it as they found it, with a short deadline."""
    database = str(tmp_path_factory.mktemp("server") / "messages.db")
    tokens = sign_in(database, thea="therapist", uma="user")
    with serving(database, prepare=f"msgsvc.serving.connection_limits.REQUEST_SECONDS = {DEADLINE}") as service:
        yield Served(service, tokens)
        assert service.stop() == 0
        assert all(line["message"] for line in service.log_lines())
        assert max(len(line) for line in service.log.read_text().splitlines()) < 400


@pytest.fixture
def service(served: Served) -> Service:
    return served.service


# ---- framing

BAD, OK, UNAUTHORIZED = (400, "bad_request"), (200, None), (401, "wrong_credentials")
LOGIN = b'{"username": "nobody", "password": "x"}'
SIZE = b"%d" % len(LOGIN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LOGIN), LOGIN)

# fmt: off
FRAMES: list[tuple[bytes, tuple[int, str | None]]] = [
    # ---- as it should be
    (HEALTH + b"\r\n", OK),
    (b"\r\n\r\n" + HEALTH + b"\r\n", OK),
    (POST + b"Content-Length: " + SIZE + b"\r\n\r\n" + LOGIN, UNAUTHORIZED),
    (POST + CHUNKED + b"\r\n" + IN_CHUNKS, UNAUTHORIZED),
    (POST + b"transfer-encoding: CHUNKED\r\n\r\n" + IN_CHUNKS, UNAUTHORIZED),
    (HEALTH + b"Expect: 100-continue\r\n\r\n", OK),
    # ---- two ways to see the end of the body
    (POST + b"Content-Length: " + SIZE + b"\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"Content-Length: " + SIZE + b"\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"CONTENT-LENGTH: 0\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding:\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: ,\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding : chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: identity\r\n\r\n", BAD),
    (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: \xffchunked\r\n\r\n" + IN_CHUNKS, BAD),
    (b"POST /api/auth/login HTTP/1.0\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (b"POST /api/auth/login\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + b"Content-Length: 0\r\nContent-Length: 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39\r\nContent-Length: 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"X: y\r\n Content-Length: 1\r\nContent-Length: 39\r\nContent-Length: 2\r\n\r\n" + LOGIN, BAD),
    # ---- lengths that are none
    (POST + b"Content-Length:\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: -1\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: +39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 3_9\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 0x27\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39, 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39.0\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: \xb2\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: \xd9\xa3\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length : 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 3\r\n 9\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 99999999999999999999\r\n\r\n" + LOGIN, (413, "body_too_large")),
    # ---- chunks that are none
    (POST + CHUNKED + b"\r\nxyz\r\n", BAD),
    (POST + CHUNKED + b"\r\n-1\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n+27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n0x27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n 27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27\n" + LOGIN + b"\n0\n\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n2_7\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27\r\n" + LOGIN + b"more\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27;\x00\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    # ---- lines that are none
    (b"GET /healthz HTTP/1.1\nHost: a\n\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", BAD),
    (b"GET /health\rz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (HEALTH + b"X: a\0b\r\n\r\n", BAD),
    (HEALTH + b"X\0: a\r\n\r\n", BAD),
    (HEALTH + b"X: a\x7f\r\n\r\n", BAD),
    (HEALTH + b"no colon\r\n\r\n", BAD),
    (HEALTH + b": no name\r\n\r\n", BAD),
    (HEALTH + b"two words: x\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    (HEALTH + b"X-Request-ID: a\r\n b\r\n\r\n", OK),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.0\r\n\r\n", OK),
    # ---- request lines that are none
    (b"nonsense\r\n\r\n", BAD),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", BAD),
    (b"get /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz  HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1 x\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTTP/11\r\nHost: a\r\n\r\n", BAD),
    (b"M" * http_rules.METHOD_LIMIT + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
    (b"M" * (http_rules.METHOD_LIMIT + 1) + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"M" * 15_900 + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTCPCP/1.0\r\nHost: a\r\n\r\n", BAD),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (404, "not_found")),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET http://a]/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n", OK),
    (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /%FF HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (HEALTH + b"Host\xc3\xa9: a\r\n\r\n", BAD),
    # ---- too much of it
    (HEALTH + b"X: " + b"x" * http_rules.HEADER_LIMIT + b"\r\n\r\n", (431, "headers_too_large")),
    (HEALTH + b"X: y\r\n" * 4000 + b"\r\n", (431, "headers_too_large")),
    (b"GET /" + b"x" * http_rules.HEADER_LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n", (431, "headers_too_large")),
    (b"x" * 100_000, (431, "headers_too_large")),
]
# fmt: on


def answers(raw: bytes) -> list[tuple[int, dict[str, str], Any]]:
    """Status, headers and JSON of every final answer in what was received."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split()[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        raw = rest[length:]
        if status >= 200:
            found.append((status, headers, json.loads(rest[:length])))
    return found


@pytest.mark.parametrize(("sent", "expected"), FRAMES, ids=[repr(sent)[2:70] for sent, _ in FRAMES])
def test_hostile_framing_gets_one_answer_in_the_services_own_words(
    service: Service, sent: bytes, expected: tuple[int, str | None]
) -> None:
    """And nothing behind what was refused is taken for a further request."""
    ((status, headers, body),) = answers(service.raw(sent))
    assert (status, body.get("code")) == expected
    if expected != OK:
        assert set(body) == {"error", "code"}
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "via" not in headers
    if expected == BAD:
        assert headers["connection"] == "close"


def test_a_body_beyond_the_limit_is_answered_readably(service: Service) -> None:
    for size in (65_537, 500_000, 1_000_000):
        answer = service.call("POST", "/api/auth/login", b" " * size)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large"), size
    assert service.call("POST", "/api/auth/login", b" " * 65_536).status == 400


def test_a_body_that_a_client_asks_leave_for_is_refused_before_it_is_sent(service: Service) -> None:
    head = POST + b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((ADDRESS, service.port), timeout=DEADLINE / 2) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def until_it_says(client: socket.socket, words: bytes) -> bytes:
    said = b""
    while words not in said:
        data = client.recv(65536)
        assert data, said
        said += data
    return said


@pytest.mark.fault
def test_a_call_behind_another_is_asked_for_its_body_once(served: Served) -> None:
    service, tokens = served
    body = b'{"recipient": "uma", "content": "x"}'
    head = f"POST {API}/send HTTP/1.1\r\nHost: a\r\nAuthorization: {tokens['thea']}\r\n".encode()
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    expecting = head + b"Expect: 100-continue\r\n\r\n"

    def exchange(_: int) -> None:
        with socket.create_connection((ADDRESS, service.port), timeout=20) as client:
            client.sendall(head + b"\r\n" + body + expecting)
            said = until_it_says(client, b"100 Continue\r\n\r\n")
            client.sendall(body)
            client.shutdown(socket.SHUT_WR)
            said += received(client)
        assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"201", b"100", b"201"]

    def give_up(_: int) -> None:
        with socket.create_connection((ADDRESS, service.port), timeout=20) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(head + b"\r\n" + body + expecting)

    with ThreadPoolExecutor(32) as pool:
        for made in (exchange, give_up, exchange):
            list(pool.map(made, range(300)))


# ---- slow and many clients


def resources(service: Service) -> tuple[int, int]:
    """Open descriptors, and resident memory in MiB."""
    process = Path(f"/proc/{service.process.pid}")
    memory = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    assert memory
    return sum(1 for _ in (process / "fd").iterdir()), int(memory[1]) // 1024


def until(condition: Any, seconds: float = 20) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def connected(stack: ExitStack, service: Service, count: int, sent: bytes) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection((ADDRESS, service.port), timeout=20))
        client.sendall(sent)
        clients.append(client)
    return clients


def test_the_deadline_of_a_whole_request_is_the_documented_one() -> None:
    assert connection_limits.REQUEST_SECONDS == 15.0


@pytest.mark.fault
@pytest.mark.parametrize(
    "begun",
    [HEALTH, POST + b"Content-Length: 1000\r\n\r\n", POST + CHUNKED + b"\r\n", b""],
    ids=["in the headers", "in the body", "in the chunks", "before anything"],
)
def test_clients_that_trickle_are_cut_off_and_take_nothing_from_the_others(service: Service, begun: bytes) -> None:
    before, _ = resources(service)
    with ExitStack() as stack:
        clients = connected(stack, service, 150, begun)
        started = time.monotonic()
        assert service.call("GET", "/healthz").status == 200
        while time.monotonic() < started + DEADLINE / 2:
            for client in clients:
                client.sendall(b"0" if begun and begun != HEALTH else b"X" if begun else b"")
            time.sleep(0.25)
        assert resources(service)[0] >= before + 140
        assert until(lambda: resources(service)[0] <= before + 2, DEADLINE + 5)
        assert service.call("GET", "/healthz").status == 200
        for client in clients:
            assert received(client) == b""


@pytest.mark.fault
def test_a_thousand_idle_connections_leave_the_service_to_the_others(served: Served) -> None:
    service, tokens = served
    service.call("GET", "/healthz")
    descriptors, memory = resources(service)
    with ExitStack() as stack:
        clients = connected(stack, service, 1000, HEALTH + b"\r\n")
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        # Idle between two requests is no request that fails to arrive.
        time.sleep(DEADLINE + 1.5)
        answer = service.call("POST", f"{API}/send", {"recipient": "uma", "content": "x"}, Authorization=tokens["thea"])
        assert answer.status == 201
        for client in (clients[0], clients[-1]):
            client.sendall(HEALTH + b"\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
    # Each thread may have opened the database meanwhile.
    assert until(lambda: resources(service)[0] <= descriptors + 40)
    assert resources(service)[1] <= memory + 50


SHOW_WHO_ANSWERS = """
import threading
from msgsvc.middleware import Call
handle, respond = Call.handle, Call.respond
handled = most = 0
def count_and_handle(self):
    global handled, most
    handled += 1
    most = max(most, handled)
    handle(self)
def respond_and_show(self):
    global handled
    handled -= 1
    status, headers, body = respond(self)
    return status, [*headers, ("X-Thread", threading.current_thread().name), ("X-Most", str(most))], body
Call.handle, Call.respond = count_and_handle, respond_and_show
"""


@pytest.mark.parametrize(
    ("seconds", "together", "thread"), [(60, 64, "MainThread"), (60, 4, "MainThread"), (0, 64, "waitress-")]
)
def test_the_thread_of_the_net_answers_reading_calls_many_together_and_leaves_late_ones_to_workers(
    database_path: str, seconds: int, together: int, thread: str
) -> None:
    token = sign_in(database_path, uma="user")["uma"]
    reads = "msgsvc.serving.inline_reads"
    limits = f"{reads}.BUDGET_SECONDS, {reads}.BATCH_LIMIT = {seconds}, {together}"
    with serving(database_path, prepare=f"{SHOW_WHO_ANSWERS}\n{limits}") as service:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: service.call("GET", f"{API}/inbox", Authorization=token), range(200)))
        assert service.stop() == 0
    assert {answer.status for answer in answers} == {200}
    assert all(answer.headers["X-Thread"].startswith(thread) for answer in answers)
    assert max(int(answer.headers["X-Most"]) for answer in answers) <= together


def logged_out_before_handling(database_path: str) -> str:
    """Another connection ends all sessions, where the write lock is free, between parsing and handling a call."""
    return f"""
import sqlite3, time
from contextlib import closing, suppress
from msgsvc.middleware import Call
handle = Call.handle
def log_out_and_handle(self):
    Call.handle = handle
    with closing(sqlite3.connect({database_path!r}, timeout=0)) as connection, suppress(sqlite3.OperationalError):
        with connection:
            connection.execute("DELETE FROM msgsvc_sessions")
    handle(self)
Call.handle = log_out_and_handle
"""


def sessions(database_path: str) -> int:
    with closing(sqlite3.connect(database_path)) as connection:
        return int(connection.execute("SELECT count(*) FROM msgsvc_sessions").fetchone()[0])


def test_call_is_authorized_when_it_is_handled(database_path: str) -> None:
    token = sign_in(database_path, uma="user")["uma"]
    with serving(database_path, prepare=logged_out_before_handling(database_path)) as service:
        assert service.call("GET", f"{API}/inbox", Authorization=token).status == 401
    assert sessions(database_path) == 0


def test_no_session_ends_between_authorizing_and_writing_in_a_batch(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    message = {"recipient": "thea", "content": "x"}
    with serving(database_path, prepare=logged_out_before_handling(database_path)) as service:
        assert service.call("POST", f"{API}/send", message, Authorization=token).status == 201
    assert sessions(database_path) == 2


def test_nothing_ends_the_thread_that_writes(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    fails_once = """
from msgsvc.storage.sqlite.storage import SqliteStorage
batch = SqliteStorage.batch
def fail(self):
    SqliteStorage.batch = batch
    raise MemoryError("sentinel")
SqliteStorage.batch = fail
"""
    message = {"recipient": "thea", "content": "x"}
    with serving(database_path, prepare=f"{fails_once}\nmsgsvc.serving.write_batcher.YIELD_SECONDS = 60") as service:
        with pytest.raises(http.client.RemoteDisconnected):
            service.call("POST", f"{API}/send", message, Authorization=token)
        assert service.call("POST", f"{API}/send", message, Authorization=token).status == 201
        assert service.stop() == 0
        assert "given up: MemoryError" in service.log.read_text()
        assert "sentinel" not in service.log.read_text()


def test_a_fault_of_ours_is_a_500_whichever_thread_answers(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    broken = "import msgsvc.cors\ndef broken(*_): raise KeyError('sentinel')\nmsgsvc.cors.response_headers = broken"
    calls = [
        ("GET", "/healthz", None),
        ("GET", f"{API}/inbox", None),
        ("POST", f"{API}/send", {"recipient": "thea", "content": "x"}),
    ]
    with serving(database_path, prepare=broken) as service:
        for method, path, body in calls * 2:
            answer = service.call(method, path, body, Authorization=token)
            assert (answer.status, answer.json["code"]) == (500, "internal_error"), path
        assert "sentinel" not in service.log.read_text()


@pytest.mark.fault
def test_wherever_the_calls_are_mounted_logins_at_once_stay_bounded(database_path: str) -> None:
    sign_in(database_path, uma="user")
    login = {"username": "uma", "password": "wrong"}
    with serving(database_path, prefix="/api") as service, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.call("POST", "/api/auth/login", login), range(16)))
    assert {(answer.status, answer.json["code"]) for answer in answers} >= {(503, "too_many_logins")}


@pytest.mark.fault
def test_idle_connections_are_cut_soon_only_where_nearly_all_are_taken(database_path: str) -> None:
    crowded = """
from msgsvc.serving import connection_limits
connection_limits.CONNECTION_LIMIT = 40
connection_limits.CROWDED_IDLE_SECONDS = 1
"""
    with serving(database_path, prepare=crowded) as service, ExitStack() as stack:
        service.call("GET", "/healthz")
        descriptors, _ = resources(service)
        few = connected(stack, service, 20, HEALTH + b"\r\n")
        for client in few:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert select.select(few, [], [], 3)[0] == []
        many = connected(stack, service, 15, HEALTH + b"\r\n")
        for client in many:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        for client in few:
            assert received(client) == b""
        assert until(lambda: resources(service)[0] <= descriptors + len(many) + 2)


@pytest.mark.fault
def test_load_beyond_the_threads_floods_no_log_and_every_line_is_json(served: Served) -> None:
    service, tokens = served
    lines = len(service.log_lines())

    def reads(_: int) -> None:
        with closing(service.connection()) as connection:
            for _ in range(20):
                assert call(connection, "GET", f"{API}/inbox", Authorization=tokens["uma"]).status == 200

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(reads, range(32)))
    new = service.log_lines()[lines:]
    assert [line["message"] for line in new if line["message"] != "request"] == []
    assert len(new) == 32 * 20
    assert {"request_id", "method", "route", "status", "milliseconds", "username"} <= new[-1].keys()


# ---- requests in a row


def test_blanks_in_a_header_cost_no_more_than_their_number() -> None:
    """The time for eight times as many, against the time for one: about 8, and not 64."""

    def seconds(blanks: int) -> float:
        head = b"GET / HTTP/1.1\r\nHost: a" + b" " * blanks + b"b\r\n\r\n"
        started = time.perf_counter()
        for _ in range(20):
            http_rules.find_framing_fault(head)
        return time.perf_counter() - started

    assert min(seconds(16_000) for _ in range(5)) < 24 * min(seconds(2_000) for _ in range(5))


@pytest.mark.fault
@pytest.mark.parametrize(
    "first", ["", "GET /api/messages/blocks HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n"]
)
def test_clients_that_ask_for_much_and_read_nothing_take_nothing_from_the_others(
    database_path: str, first: str
) -> None:
    """A page is some 450 KB here, and the first call keeps a worker busy."""
    tokens = sign_in(database_path, thea="therapist", uma="user")
    history = "GET /api/messages/conversation/thea HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n"
    row = (first + history * 60).format(token=tokens["uma"]).encode()
    with serving(database_path) as service, ExitStack() as clients:
        for _ in range(15):
            body = {"recipient": "uma", "content": "\x01" * 5000}
            assert service.call("POST", f"{API}/send", body, Authorization=tokens["thea"]).status == 201
        for _ in range(10):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((ADDRESS, service.port))
            client.sendall(row)
        for _ in range(20):
            body = {"recipient": "uma", "content": "Hello"}
            assert service.call("POST", f"{API}/send", body, Authorization=tokens["thea"]).status == 201
            assert service.call("GET", f"{API}/unread", Authorization=tokens["uma"]).status == 200
        clients.close()
        assert service.stop() == 0


# ---- proxies


def login_attempts(database: str) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT subject FROM msgsvc_login_attempts WHERE subject LIKE 'address:%'")
        return {subject for (subject,) in rows}


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ("", "203.0.113.7", ADDRESS),
        ("192.0.2.1", "203.0.113.7", ADDRESS),
        (ADDRESS, "203.0.113.7", "203.0.113.7"),
        ("*", "203.0.113.7", "203.0.113.7"),
        ("*", "::ffff:203.0.113.7", "203.0.113.7"),
        ("*", "2001:db8:1:2:3::4", "2001:db8:1:2::"),
        (ADDRESS, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (ADDRESS, None, ADDRESS),
        (ADDRESS, '"unfinished', ADDRESS),
    ],
)
def test_only_the_trusted_proxy_says_where_a_client_is(
    database_path: str, trusted: str, forwarded: str | None, address: str
) -> None:
    """The login throttle counts by address, so it shows which one is believed."""
    sign_in(database_path, uma="user")
    with serving(database_path, trusted_proxy=trusted) as service:
        body = {"username": "uma", "password": "wrong password"}
        answer = service.call("POST", "/api/auth/login", body, X_Forwarded_For=forwarded)
        assert answer.status == 401
        assert set(answer.json) == {"error", "code"}
        assert all(service.log_lines())
    assert login_attempts(database_path) == {f"address:{address}"}


# ---- the end


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_ends_with_every_begun_request_answered(database_path: str, number: int) -> None:
    """What was answered is stored, and the end comes in time."""
    senders = {f"sender{n}": "therapist" for n in range(16)}
    tokens = sign_in(database_path, uma="user", **senders)
    answered: set[str] = set()
    many = threading.Event()

    def sends(name: str) -> str:
        """The content whose fate is unknown to the sender."""
        count = 0
        try:
            with closing(service.connection()) as connection:
                while True:
                    content = f"{name} says {count}"
                    body = {"recipient": "uma", "content": content}
                    answer = call(connection, "POST", f"{API}/send", body, Authorization=tokens[name])
                    assert answer.status == 201
                    answered.add(content)
                    count += 1
                    if count == 5:
                        many.set()
        except (OSError, HTTPException):
            return content

    with serving(database_path) as service, ThreadPoolExecutor(len(senders)) as pool:
        works = [pool.submit(sends, name) for name in senders]
        assert many.wait(20)
        begun = time.monotonic()
        assert service.stop(number) == 0
        assert time.monotonic() - begun < 10
        cut = {work.result() for work in works}
        assert service.log_lines()[-1]["message"] == "stopped"
    with closing(sqlite3.connect(database_path)) as connection:
        stored = {content for (content,) in connection.execute("SELECT content FROM messages")}
    assert stored == answered
    assert not stored & cut
    assert not Path(f"{database_path}-wal").exists()


@pytest.mark.fault
def test_a_signal_ends_the_server_in_time_whatever_clients_and_other_programs_hold(database_path: str) -> None:
    """Trickling and idle connections, and writes that wait for another program's lock."""
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = {"recipient": "uma", "content": "x"}
    with (
        serving(database_path) as service,
        ExitStack() as stack,
        closing(sqlite3.connect(database_path, isolation_level=None)) as other_program,
    ):
        other_program.execute("BEGIN IMMEDIATE")
        connected(stack, service, 20, HEALTH)
        connected(stack, service, 20, b"")
        waiting = json.dumps(body).encode()
        head = f"POST {API}/send HTTP/1.1\r\nHost: a\r\nAuthorization: {tokens['thea']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(waiting)}\r\n\r\n"
        writers = connected(stack, service, 24, head.encode() + waiting)
        # Now that the last connection has been accepted, all that was sent before has been read a moment later.
        assert until(lambda: resources(service)[0] >= 64)
        time.sleep(0.5)
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 10
        told = [answer for client in writers for answer in answers(received(client))]
        other_program.execute("ROLLBACK")
        assert {(status, body["code"]) for status, _, body in told} == {(503, "storage_busy")}
        assert other_program.execute("SELECT count(*) FROM messages").fetchone() == (0,)
