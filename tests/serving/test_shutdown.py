"""SIGTERM and SIGINT: every request that has begun is answered, and the server ends in time.

On SQLite: the server does not know the engine.
"""

import json
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPException
from pathlib import Path

import pytest
from raw_clients import HEALTH, all_received, answers, connected, resources, until
from served import call, received, serving, sign_in
from support import API


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load_answers_every_request_that_began(database_path: str, number: int) -> None:
    """Every answered message is stored, no other is, and the server ends in time."""
    senders = {f"sender{n}": "therapist" for n in range(16)}
    tokens = sign_in(database_path, uma="user", **senders)
    answered: set[str] = set()
    many = threading.Event()

    def sends(name: str) -> str:
        """Sends until the connection fails; returns the content that got no answer."""
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
        assert many.wait(60)
        begun = time.monotonic()
        assert service.stop(number) == 0
        assert time.monotonic() - begun < 30
        cut = {work.result() for work in works}
        assert service.log_lines()[-1]["message"] == "stopped"
    with closing(sqlite3.connect(database_path)) as connection:
        stored = {content for (content,) in connection.execute("SELECT content FROM messages")}
    assert stored == answered
    assert not stored & cut
    assert not Path(f"{database_path}-wal").exists()


@pytest.mark.fault
def test_signal_ends_the_server_despite_idle_clients_and_foreign_locks(database_path: str) -> None:
    """Clients hold unfinished and idle connections, and writes wait for another program's lock."""
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
        assert until(lambda: resources(service)[0] >= 64)
        assert until(lambda: all_received(service))
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 30
        told = [answer for client in writers for answer in answers(received(client))]
        other_program.execute("ROLLBACK")
        assert {(status, body["code"]) for status, _, body in told} == {(503, "storage_busy")}
        assert other_program.execute("SELECT count(*) FROM messages").fetchone() == (0,)
