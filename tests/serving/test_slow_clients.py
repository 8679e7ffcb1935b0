"""Clients that are slow, idle or many take nothing from the others.

On SQLite: the server does not know the engine.
"""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import pytest
from raw_clients import ADDRESS, CHUNKED, DEADLINE, HEALTH, POST, Served, connected, resources, until
from served import Service, call, received, serving, sign_in
from support import API

from msgsvc.serving import connection_limits, http_rules


def test_request_deadline_is_the_documented_one() -> None:
    assert connection_limits.REQUEST_SECONDS == 15.0


@pytest.mark.fault
@pytest.mark.parametrize(
    "begun",
    [HEALTH, POST + b"Content-Length: 1000\r\n\r\n", POST + CHUNKED + b"\r\n", b""],
    ids=["in the headers", "in the body", "in the chunks", "before anything"],
)
def test_trickling_clients_are_disconnected_and_do_not_block_others(service: Service, begun: bytes) -> None:
    before, _ = resources(service)
    with ExitStack() as stack:
        clients = connected(stack, service, 150, begun)
        assert until(lambda: resources(service)[0] >= before + 140)
        assert service.call("GET", "/healthz").status == 200

        def are_disconnected() -> bool:
            for client in clients:
                with suppress(OSError):
                    client.sendall(b"0" if begun and begun != HEALTH else b"X" if begun else b"")
            time.sleep(0.25)
            return resources(service)[0] <= before + 2

        assert until(are_disconnected, DEADLINE + 60)
        assert service.call("GET", "/healthz").status == 200
        for client in clients:
            assert received(client) == b""


@pytest.mark.fault
def test_thousand_idle_connections_do_not_block_others(served: Served) -> None:
    service, tokens = served
    service.call("GET", "/healthz")
    descriptors, memory = resources(service)
    with ExitStack() as stack:
        clients = connected(stack, service, 1000, HEALTH + b"\r\n")
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        # The request deadline does not apply between two requests.
        time.sleep(DEADLINE + 1.5)
        answer = service.call("POST", f"{API}/send", {"recipient": "uma", "content": "x"}, Authorization=tokens["thea"])
        assert answer.status == 201
        for client in (clients[0], clients[-1]):
            client.sendall(HEALTH + b"\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
    # Each worker may have opened its database connections meanwhile.
    assert until(lambda: resources(service)[0] <= descriptors + 40)
    assert resources(service)[1] <= memory + 50


@pytest.mark.fault
def test_idle_connections_are_closed_early_only_near_the_connection_limit(database_path: str) -> None:
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
def test_overload_does_not_flood_the_log(served: Served) -> None:
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


# ---- the cost of parsing and of unread answers


def test_parsing_blanks_in_a_header_takes_linear_time() -> None:
    """Eight times as many blanks take about 8 times as much CPU time, not 64."""

    def seconds(blanks: int) -> float:
        head = b"GET / HTTP/1.1\r\nHost: a" + b" " * blanks + b"b\r\n\r\n"
        started = time.process_time()
        for _ in range(20):
            http_rules.find_framing_fault(head)
        return time.process_time() - started

    assert min(seconds(16_000) for _ in range(5)) < 24 * min(seconds(2_000) for _ in range(5))


@pytest.mark.fault
@pytest.mark.parametrize(
    "first", ["", "GET /api/messages/blocks HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n"]
)
def test_clients_that_do_not_read_do_not_block_others(database_path: str, first: str) -> None:
    """A page is about 450 KB here, and the first call keeps a worker busy."""
    tokens = sign_in(database_path, thea="therapist", uma="user")
    history = "GET /api/messages/conversation/thea HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n"
    row = (first + history * 60).format(token=tokens["uma"]).encode()
    with serving(database_path) as service, ExitStack() as clients:
        for _ in range(15):
            body = {"recipient": "uma", "content": "x" + "\x01" * 4999}
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
