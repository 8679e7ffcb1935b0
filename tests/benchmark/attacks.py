"""What one client does to the server, each in a process of its own: bounded in connections and in time."""

import json
import multiprocessing
import os
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.connection import Connection as Pipe

from .crowd import ADMIN, PASSWORD, READER, READER_PARTNER, Crowd
from .load import Address, Load

ATTACKER, VICTIMS = ("127.0.0.2", 0), ("127.0.0.1", 0)
"""The source addresses. An attacker from the victims' own address is told apart by account alone."""

NICENESS = 10
"""The attacker yields its core to the victim, so that the victim's latency is the server's."""

LONGEST_SECONDS = 120.0
"""No attack lasts longer, whatever becomes of the benchmark."""

OPENING_SECONDS = 15.0
UNFINISHED_BYTES = 500_000


@dataclass(frozen=True)
class Attack:
    """One request, sent on many connections: again and again, or once, its answer left unread."""

    name: str
    request: bytes
    connections: int
    is_loop: bool = True
    status: int = 200
    source: Address = ATTACKER
    is_login: bool = False


@dataclass
class Outcome:
    """What the attacker got: connections held at the end, answers as asked for, and refused requests or connections."""

    held: int = 0
    answered: int = 0
    refused: int = 0


def attacks(crowd: Crowd) -> list[Attack]:
    """Each attack of the table, in its order."""
    scale, tokens = crowd.scale, crowd.tokens
    pages = f"/api/messages/conversation/{READER_PARTNER}?limit="
    unfinished = post("/api/auth/login", "x" * UNFINISHED_BYTES)[:-1]
    login = post("/api/auth/login", {"username": crowd.flooder, "password": PASSWORD})
    listed = f"/api/messages/admin/conversations?page={max(1, scale.conversations * 7 // 15 // 100)}&limit=100"
    return [
        Attack("largest pages", get(pages + "200", tokens[READER]), 16),
        Attack("answers unread", get(pages + "60", tokens[READER]), scale.unread_answers, is_loop=False),
        Attack("recipients", get("/api/messages/recipients?limit=100", tokens[READER]), 16),
        Attack("admin list", get(listed, tokens[ADMIN]), 4),
        Attack("openapi.json", get("/api/openapi.json"), 16),
        Attack("unfinished bodies", unfinished, scale.unfinished_bodies, is_loop=False),
        Attack("login flood", login, 8, source=VICTIMS, is_login=True),
    ]


def get(path: str, token: str = "") -> bytes:
    """A GET request, with the session where a token is given."""
    return f"{_head('GET', path, token)}\r\n".encode()


def post(path: str, body: object, token: str = "") -> bytes:
    """A POST request with the body as JSON."""
    payload = json.dumps(body)
    head = _head("POST", path, token)
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n{payload}".encode()


def _head(method: str, path: str, token: str) -> str:
    session = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{session}"


@contextmanager
def under_way(attack: Attack, address: Address) -> Iterator[Outcome]:
    """Runs the attack until the block ends, which begins when all connections are open; then fills the outcome."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(attack, address, theirs), daemon=True)
    process.start()
    outcome = Outcome()
    try:
        ours.recv()
        yield outcome
        ours.send("stop")
        vars(outcome).update(vars(ours.recv()))
    finally:
        process.terminate()
        process.join()


def _run(attack: Attack, address: Address, pipe: Pipe) -> None:
    os.nice(NICENESS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    deadline = time.monotonic() + LONGEST_SECONDS
    outcome = (_loop if attack.is_loop else _hold)(attack, address, pipe, deadline)
    pipe.send(outcome)


def _loop(attack: Attack, address: Address, pipe: Pipe, deadline: float) -> Outcome:
    """Sends the request again on each connection as soon as it has been answered."""
    with selectors.DefaultSelector() as selector:
        load = Load(selector, repeat(attack.request), attack.status)
        for _ in range(attack.connections):
            load.begin(address, attack.source)
        pipe.send("ready")
        while not pipe.poll() and time.monotonic() < deadline:
            load.step()
        held = len(selector.get_map())
        load.close()
    return Outcome(held, len(load.measured.latencies), load.measured.errors)


def _hold(attack: Attack, address: Address, pipe: Pipe, deadline: float) -> Outcome:
    """Sends the request once on each connection and reads nothing. Fewer connections where no more can be had."""
    held: dict[socket.socket, bytes] = {}
    opening = time.monotonic() + OPENING_SECONDS
    while len(held) < attack.connections and time.monotonic() < opening:
        try:
            held[_unread(address, attack.source)] = attack.request
        except OSError:
            time.sleep(0.05)
        _push(held)
    while any(held.values()) and time.monotonic() < opening:
        _push(held)
        time.sleep(0.01)
    pipe.send("ready")
    pipe.poll(max(0.0, deadline - time.monotonic()))
    still_held = sum(not _is_closed(connection) for connection in held)
    for connection in held:
        connection.close()
    return Outcome(still_held, refused=attack.connections - still_held)


def _unread(address: Address, source: Address) -> socket.socket:
    """A connection whose receive buffer holds next to nothing of an answer."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1.0)
        connection.bind(source)
        connection.connect(address)
        connection.setblocking(False)
    except OSError:
        connection.close()
        raise
    return connection


def _push(held: dict[socket.socket, bytes]) -> None:
    """Sends what each connection takes now of what it has still to send."""
    for connection, unsent in held.items():
        while held[connection]:
            try:
                sent = connection.send(held[connection][:65_536])
            except BlockingIOError:
                break
            except OSError:
                sent = len(unsent)
            held[connection] = held[connection][sent:]


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended the connection; what it answered before that is read away."""
    try:
        while data := connection.recv(65_536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
