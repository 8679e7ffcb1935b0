"""A message that the service has acknowledged survives the death of its process.

On SQLite; test_postgresql_load_faults and test_postgresql_failover have the same for PostgreSQL.
"""

import os
import random
import re
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from requirements import needs
from served import Service, call, serving, sign_in
from support import API

from msgsvc.storage.sqlite.check import check

SENDERS = {f"sender{number}": "therapist" for number in range(16)}
KILLS = 10


class Sender:
    """Sends messages, each with its own key, until the connection fails."""

    def __init__(self, name: str, token: str) -> None:
        self.token = token
        self.name = name
        self.count = 0
        self.acknowledged: dict[str, int] = {}
        """The id that the service returned for each content."""

    def content(self) -> str:
        return f"{self.name} says {self.count}"

    def send(self, connection: Any) -> Any:
        body = {"recipient": "uma", "content": self.content()}
        key = self.content().replace(" ", "-")
        return call(connection, "POST", f"{API}/send", body, Authorization=self.token, Idempotency_Key=key)

    def work(self, service: Service) -> None:
        """After a failure this sender first repeats the message that got no answer."""
        try:
            with closing(service.connection()) as connection:
                while True:
                    answer = self.send(connection)
                    assert answer.status == 201, answer
                    self.acknowledged.setdefault(self.content(), answer.json["message_id"])
                    assert self.acknowledged[self.content()] == answer.json["message_id"]
                    self.count += 1
        except (OSError, HTTPException):
            pass


def stored(database: str) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT content, id FROM messages").fetchall()


@pytest.mark.fault
def test_kill_loses_and_doubles_no_acknowledged_message(database_path: str) -> None:
    tokens = sign_in(database_path, uma="user", **SENDERS)
    senders = [Sender(name, tokens[name]) for name in SENDERS]
    for _ in range(KILLS):
        with serving(database_path) as service, ThreadPoolExecutor(len(senders)) as pool:
            works = [pool.submit(sender.work, service) for sender in senders]
            threading.Event().wait(random.uniform(0.05, 0.3))
            service.stop(signal.SIGKILL)
            for work in works:
                work.result()
        assert list(check(database_path, lambda _: None)) == []
        rows = stored(database_path)
        assert len(dict(rows)) == len(rows)
        for sender in senders:
            assert sender.acknowledged.items() <= set(rows)

    with serving(database_path) as service, closing(service.connection()) as connection:
        assert service.call("GET", "/healthz").status == 200
        for sender in senders:
            assert sender.send(connection).status == 201
            sender.count -= 1
            again = sender.send(connection)
            assert again.headers["Idempotency-Replayed"] == "true"
            assert again.json["message_id"] == sender.acknowledged[sender.content()]
    rows = stored(database_path)
    assert len(rows) == sum(len(sender.acknowledged) + 1 for sender in senders) == len(dict(rows))


# ---- the order of system calls


def system_calls(trace: str) -> list[tuple[int, int, str]]:
    """First line, last line and text of each system call; strace splits a call that another thread interrupts."""
    begun: dict[tuple[str, str], tuple[int, str]] = {}
    calls = []
    for number, line in enumerate(trace.splitlines()):
        thread, _, text = line.partition(" ")
        text = text.strip()
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        if resumed:
            first, beginning = begun.pop((thread, resumed[1]))
            calls.append((first, number, beginning + text))
        elif text.endswith("<unfinished ...>"):
            begun[thread, text.partition("(")[0]] = (number, text)
        else:
            calls.append((number, number, text))
    return calls


@pytest.mark.fault
def test_message_is_synced_before_its_201_is_sent(database_path: str, tmp_path: Path) -> None:
    needs("strace", "apt-get install strace")
    tokens = sign_in(database_path, uma="user", **SENDERS)
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-y", "-s", "10000", "-o", str(trace), "-e", "pwrite64,fsync,fdatasync,sendto")
    content_of: dict[str, str] = {}

    def sends(service: Service, name: str) -> None:
        with closing(service.connection()) as connection:
            for number in range(4):
                content = f"<{name}:{number}>"
                body = {"recipient": "uma", "content": content}
                answer = call(connection, "POST", f"{API}/send", body, Authorization=tokens[name])
                content_of[str(answer.json["message_id"])] = content

    with serving(database_path, *strace) as service, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: sends(service, name), SENDERS))
        # strace does not forward signals, so its child, the service, gets it.
        child = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        service.process.wait(60)

    calls = system_calls(trace.read_text())
    syncs = [(first, last) for first, last, text in calls if re.match(r"f(data)?sync\(\d+<[^>]*-wal>", text)]
    written = [(last, text) for _, last, text in calls if re.match(r"pwrite64\(\d+<[^>]*-wal>", text)]
    answered = {
        found[1]: first
        for first, _, text in calls
        if text.startswith("sendto(") and (found := re.search(r'201 Created.*\\"message_id\\":(\d+)', text))
    }
    assert len(answered) == len(content_of) == 4 * len(SENDERS)
    for message_id, leaving in answered.items():
        frame = next(last for last, text in written if content_of[message_id] in text)
        assert any(frame < first and last < leaving for first, last in syncs), content_of[message_id]
