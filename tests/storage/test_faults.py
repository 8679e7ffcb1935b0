"""What the service has acknowledged outlives the death of its process, and callers at one moment never cross."""

import os
import random
import re
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from served import Service, call, serving, sign_in
from support import API, conversation, delete, inbox, mark_read, send, unread
from werkzeug.test import TestResponse

from msgsvc.storage.sqlite.check import check
from msgsvc.testing import Client

SENDERS = {f"sender{number}": "therapist" for number in range(16)}
KILLS = 10


class Sender:
    """Sends message after message, each with a key of its own, until the service is gone."""

    def __init__(self, name: str, token: str) -> None:
        self.token = token
        self.name = name
        self.count = 0
        self.acknowledged: dict[str, int] = {}
        """The id that the service gave to each content."""

    def content(self) -> str:
        return f"{self.name} says {self.count}"

    def send(self, connection: Any) -> Any:
        body = {"recipient": "uma", "content": self.content()}
        key = self.content().replace(" ", "-")
        return call(connection, "POST", f"{API}/send", body, Authorization=self.token, Idempotency_Key=key)

    def work(self, service: Service) -> None:
        """The message in the air when the service goes is the one that this sender tries again first."""
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
def test_no_acknowledged_message_is_lost_or_doubled_when_the_process_is_killed(database_path: str) -> None:
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
    """First line, last line and text of each call; one that was interrupted by another thread has two lines."""
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
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_no_201_leaves_before_its_message_is_synced(database_path: str, tmp_path: Path) -> None:
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
        # strace passes no signal on; its child is the service.
        child = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        service.process.wait(20)

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


# ---- many callers at one moment


def at_once(calls: list[Callable[[], TestResponse]]) -> list[TestResponse]:
    """The answers to calls that all begin at the same moment, each in a thread of its own."""
    start = threading.Barrier(len(calls))

    def wait_and_call(made: Callable[[], TestResponse]) -> TestResponse:
        start.wait(20)
        return made()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and_call, calls))


def statuses(answers: list[TestResponse]) -> list[int]:
    return sorted(answer.status_code for answer in answers)


@pytest.fixture
def no_drift(client: Client, database_path: str) -> Iterator[None]:
    """After the test every summary equals a full recount."""
    yield
    assert list(check(database_path, lambda _: None)) == []


@pytest.mark.usefixtures("no_drift")
def test_one_key_from_many_threads_stores_one_message(people: dict[str, Client]) -> None:
    body, key = {"recipient": "uma", "content": "once"}, {"Idempotency-Key": "k"}
    answers = at_once([lambda: people["thea"].post(f"{API}/send", json=body, headers=key)] * 32)
    assert statuses(answers) == [201] * 32
    assert len({answer.json["message_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert unread(people["uma"]) == 1


@pytest.mark.usefixtures("no_drift")
def test_of_many_deletes_at_once_one_succeeds(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma")
    answers = at_once([lambda: delete(people["uma"], message_id)] * 32)
    assert statuses(answers) == [204] + [404] * 31


@pytest.mark.usefixtures("no_drift")
def test_both_sides_deleting_at_once_both_succeed_and_the_message_is_gone(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    for message_id in [send(people["thea"], "uma") for _ in range(20)]:
        answers = at_once([lambda i=message_id, name=name: delete(people[name], i) for name in ("thea", "uma")])
        assert statuses(answers) == [204, 204]
    assert host.execute("SELECT count(*) FROM messages WHERE deleted_at IS NULL").fetchone() == (0,)
    for name, partner in (("thea", "uma"), ("uma", "thea")):
        assert conversation(people[name], partner)["messages"] == []
        assert inbox(people[name])["total_conversations"] == 0


@pytest.mark.usefixtures("no_drift")
def test_reading_against_deleting_gives_one_of_the_promised_answers(people: dict[str, Client]) -> None:
    uma = people["uma"]
    for message_id in [send(people["thea"], "uma") for _ in range(20)]:
        reads = [lambda i=message_id: mark_read(uma, i)] * 4
        deletes = [lambda i=message_id: delete(uma, i)] * 4
        answers = at_once([made for pair in zip(reads, deletes, strict=True) for made in pair])
        assert statuses(answers[1::2]) == [204, 404, 404, 404]
        read = [answer for answer in answers[::2] if answer.status_code == 200]
        assert {answer.status_code for answer in answers[::2]} <= {200, 404}
        assert len({answer.json["read_at"] for answer in read}) <= 1
    assert unread(uma) == 0


@pytest.mark.usefixtures("no_drift")
def test_everything_at_once_leaves_no_count_adrift(people: dict[str, Client]) -> None:
    """Sends, reads and deletes of single messages and of whole conversations, from both sides."""
    thea, uma = people["thea"], people["uma"]
    ids = [send(thea, "uma") for _ in range(16)] + [send(uma, "thea") for _ in range(16)]
    calls: list[Callable[[], TestResponse]] = [lambda i=i: delete(thea, i) for i in ids[::2]]
    calls += [lambda i=i: mark_read(uma, i) for i in ids[:16]]
    calls += [lambda: thea.post(f"{API}/send", json={"recipient": "uma", "content": "more"})] * 8
    calls += [lambda: uma.patch(f"{API}/conversation/thea/read"), lambda: uma.delete(f"{API}/conversation/thea")] * 2
    random.shuffle(calls)
    assert {answer.status_code for answer in at_once(calls)} <= {200, 201, 204, 404}
