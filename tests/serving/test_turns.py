"""Callers are served in turn, and what one of them holds is bounded.

On SQLite: the server does not know the engine.
"""

import socket
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from raw_clients import ADDRESS, HEALTH, connected, resources, until
from served import ANSWER_SECONDS, Service, received, serving, sign_in, wait_until
from support import API

from msgsvc import Settings, create_app
from msgsvc.serving.callers import Caller, Callers, caller_at
from msgsvc.serving.connection_limits import ConnectionLimits
from msgsvc.serving.fair_queue import FairQueue, SharedQueue
from msgsvc.serving.waitress_adapter.listener import Listener
from msgsvc.testing import Client

UMA, THEA, RAW = Caller("uma"), Caller("thea"), caller_at("192.0.2.1")
LARGEST = "\U0001f642" * 5_000
FEW_FILES = ("bash", "-c", 'ulimit -n 700; exec "$@"', "bash")


def first(item: tuple[Caller, int]) -> Caller:
    return item[0]


def test_callers_take_turns_and_keep_their_own_order() -> None:
    queue: FairQueue[tuple[Caller, int]] = FairQueue(first)
    for item in [(UMA, 1), (UMA, 2), (UMA, 3), (THEA, 1), (RAW, 1), (THEA, 2)]:
        queue.append(item)
    taken = []
    while queue:
        taken.append(queue.popleft())
    assert taken == [(UMA, 1), (THEA, 1), (RAW, 1), (UMA, 2), (THEA, 2), (UMA, 3)]


def test_a_caller_waits_while_its_share_is_being_worked_on() -> None:
    queue: SharedQueue[tuple[Caller, int]] = SharedQueue(first, share=2)
    for item in [(UMA, 1), (UMA, 2), (UMA, 3)]:
        queue.append(item)
    assert [queue.popleft(), queue.popleft(), len(queue)] == [(UMA, 1), (UMA, 2), 0]
    queue.append((UMA, 4))
    queue.append((THEA, 1))
    assert [queue.popleft(), len(queue)] == [(THEA, 1), 0]
    queue.end(UMA)
    assert [queue.popleft(), len(queue)] == [(UMA, 3), 0]
    queue.end(UMA)
    assert [queue.popleft(), len(queue)] == [(UMA, 4), 0]


def test_only_an_authorized_session_has_a_turn_of_its_own() -> None:
    callers = Callers()
    callers.learn("Bearer one", "uma")
    callers.learn("two", "uma")
    assert callers.find("Bearer one") == callers.find("two") == UMA
    assert callers.find("Bearer invented") is callers.find(None) is None


@pytest.mark.parametrize(
    ("trusted", "turns"),
    [(ADDRESS, [caller_at("203.0.113.1"), caller_at("203.0.113.2")]), ("", [caller_at(ADDRESS)] * 2)],
)
def test_clients_behind_a_trusted_proxy_have_turns_of_their_own(
    database_path: str, trusted: str, turns: list[Caller]
) -> None:
    settings = Settings(database=database_path, host=ADDRESS, port=0, trusted_proxy=trusted)
    with closing(create_app(settings)) as app, ExitStack() as stack:
        listener = Listener(app, ConnectionLimits(settings.threads))
        stack.callback(listener.close_all)
        connections: list[Any] = []
        listener.schedule = connections.append
        for number in (1, 2):
            client = stack.enter_context(socket.create_connection((ADDRESS, listener.effective_port)))
            client.sendall(HEALTH + f"X-Forwarded-For: 203.0.113.{number}\r\n\r\n".encode())
            while len(connections) < number:
                listener.poll(timeout=1)
        for connection in connections:
            connection.find_caller()
        assert [connection.caller for connection in connections] == turns


def test_the_same_work_waits_once_in_the_background(database_path: str) -> None:
    """Else the reads of one session would fill the memory while another process holds the write lock."""
    settings = Settings(database=database_path, host=ADDRESS, port=0, threads=1)
    done: list[str] = []
    begun, may_end = threading.Event(), threading.Event()
    with closing(create_app(settings)) as app, ExitStack() as stack:
        listener = Listener(app, ConnectionLimits(settings.threads))
        stack.callback(listener.close_all)

        def first() -> None:
            begun.set()
            may_end.wait(ANSWER_SECONDS)
            done.append("first")

        listener.run_in_background(1, first)
        assert begun.wait(ANSWER_SECONDS)
        listener.run_in_background(1, lambda: done.append("the same again"))
        for _ in range(3):
            listener.run_in_background(2, lambda: done.append("another"))
        may_end.set()
        wait_until(lambda: len(done) == 2)
        wait_until(lambda: listener.run_in_background(1, lambda: done.append("later")) or "later" in done)
    assert done[:3] == ["first", "another", "later"]


def test_one_client_has_a_whole_network_of_ipv6() -> None:
    assert caller_at("2001:db8::1") == caller_at("2001:db8::ffff:1") != caller_at("2001:db8:0:1::1")


@pytest.fixture
def tokens(database_path: str) -> dict[str, str]:
    """Sessions of people of whom thea has written 20 of the largest messages to uma."""
    tokens = sign_in(database_path, thea="therapist", uma="user", ugo="user")
    client = Client(create_app(Settings(database=database_path, send_rate=0)))
    for _ in range(20):
        body = {"recipient": "uma", "content": LARGEST}
        headers = {"Authorization": tokens["thea"]}
        assert client.post(f"{API}/send", json=body, headers=headers).status_code == 201
    client.close()
    return tokens


def page(token: str) -> bytes:
    return f"GET {API}/conversation/thea?limit=60 HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n".encode()


def unread(stack: ExitStack, service: Service, count: int, token: str) -> list[socket.socket]:
    """Clients that ask for a page of 256 KiB and do not read it."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((ADDRESS, service.port))
        client.sendall(page(token))
        clients.append(client)
    return clients


def works(service: Service, tokens: dict[str, str]) -> bool:
    body = {"recipient": "thea", "content": "Hello"}
    return (
        service.call("GET", "/healthz").status == 200
        and service.call("GET", f"{API}/unread", Authorization=tokens["ugo"]).status == 200
        and service.call("POST", f"{API}/send", body, Authorization=tokens["ugo"]).status == 201
    )


def unlinked_files(service: Service) -> list[str]:
    """The temporary files that the server has open."""
    files = []
    for link in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            files.append(str(link.readlink()))
    return [file for file in files if "(deleted)" in file]


@pytest.mark.fault
def test_unread_answers_of_one_account_leave_files_and_memory_to_others(
    database_path: str, tokens: dict[str, str]
) -> None:
    prepare = "msgsvc.serving.connection_limits.HELD_LIMIT = 8 * 1024 * 1024"
    with serving(database_path, *FEW_FILES, prepare=prepare) as service, ExitStack() as stack:
        assert works(service, tokens)
        other = stack.enter_context(socket.create_connection((ADDRESS, service.port), timeout=60))
        other.sendall(HEALTH + f"Authorization: {tokens['ugo']}\r\n\r\n".encode())
        assert other.recv(65536).startswith(b"HTTP/1.1 200")
        _, memory = resources(service)
        for _ in range(4):
            unread(stack, service, 150, tokens["uma"])
            assert works(service, tokens)
        assert not unlinked_files(service)
        assert until(lambda: resources(service)[0] <= 120)
        assert resources(service)[1] <= memory + 60
        other.sendall(HEALTH + b"\r\n")
        assert other.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.fault
def test_connections_of_whoever_has_most_are_closed_for_new_ones(database_path: str, tokens: dict[str, str]) -> None:
    with serving(database_path, *FEW_FILES) as service, ExitStack() as stack:
        others = connected(stack, service, 5, f"GET {API}/unread HTTP/1.1\r\nHost: a\r\n".encode())
        for client in others:
            client.sendall(f"Authorization: {tokens['ugo']}\r\n\r\n".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        for client in others:
            client.sendall(page(tokens["ugo"]))
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            connected(stack, service, 250, b"")
            assert works(service, tokens)
        for client in others:
            client.sendall(page(tokens["ugo"]))
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.fault
def test_a_client_that_does_not_read_is_closed_in_time(database_path: str, tokens: dict[str, str]) -> None:
    prepare = "msgsvc.serving.connection_limits.READ_SECONDS = 3"
    with serving(database_path, prepare=prepare) as service, ExitStack() as stack:
        assert works(service, tokens)
        descriptors, _ = resources(service)
        unread(stack, service, 20, tokens["uma"])
        assert until(lambda: resources(service)[0] >= descriptors + 15)
        assert until(lambda: resources(service)[0] <= descriptors + 2)


@pytest.mark.fault
def test_unfinished_bodies_of_one_address_are_bounded(database_path: str, tokens: dict[str, str]) -> None:
    prepare = "msgsvc.serving.connection_limits.HELD_LIMIT = 4 * 1024 * 1024"
    begun = f"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {60_001}\r\n\r\n".encode() + b"x" * 60_000
    with serving(database_path, prepare=prepare) as service, ExitStack() as stack:
        assert works(service, tokens)
        descriptors, memory = resources(service)
        for client in connected(stack, service, 200, b""):
            try:
                client.sendall(begun)
            except OSError:
                assert received(client) == b""
        assert until(lambda: resources(service)[0] <= descriptors + 70)
        assert resources(service)[1] <= memory + 30
        assert works(service, tokens)


@pytest.mark.fault
def test_a_client_that_leaves_writes_no_line(database_path: str, tokens: dict[str, str]) -> None:
    path = b"/" + b"x" * 10_000
    with serving(database_path) as service:
        for _ in range(20):
            with socket.create_connection((ADDRESS, service.port)) as client:
                client.sendall((b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n") * 20)
        assert works(service, tokens)
        assert service.stop() == 0
        assert max(map(len, service.log.read_text().splitlines())) < 400
