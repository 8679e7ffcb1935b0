"""Calls that arrive at the same moment: each gets one of the promised answers, and every count stays right.

On SQLite, which has one writer at a time; test_postgresql_concurrency has the same for many.
"""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import API, conversation, delete, inbox, mark_read, send, unread
from werkzeug.test import TestResponse

from msgsvc.storage.sqlite.check import check
from msgsvc.testing import Client


def at_once(calls: list[Callable[[], TestResponse]]) -> list[TestResponse]:
    """Starts each call in its own thread at the same moment; returns the answers."""
    start = threading.Barrier(len(calls))

    def wait_and_call(made: Callable[[], TestResponse]) -> TestResponse:
        start.wait(60)
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
def test_one_of_many_concurrent_deletes_succeeds(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma")
    answers = at_once([lambda: delete(people["uma"], message_id)] * 32)
    assert statuses(answers) == [204] + [404] * 31


@pytest.mark.usefixtures("no_drift")
def test_concurrent_deletes_of_both_sides_succeed(people: dict[str, Client], host: sqlite3.Connection) -> None:
    for message_id in [send(people["thea"], "uma") for _ in range(20)]:
        answers = at_once([lambda i=message_id, name=name: delete(people[name], i) for name in ("thea", "uma")])
        assert statuses(answers) == [204, 204]
    assert host.execute("SELECT count(*) FROM messages WHERE deleted_at IS NULL").fetchone() == (0,)
    for name, partner in (("thea", "uma"), ("uma", "thea")):
        assert conversation(people[name], partner)["messages"] == []
        assert inbox(people[name])["total_conversations"] == 0


@pytest.mark.usefixtures("no_drift")
def test_concurrent_read_and_delete_get_documented_answers(people: dict[str, Client]) -> None:
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
def test_concurrent_calls_keep_every_count_right(people: dict[str, Client]) -> None:
    """Sends, reads and deletes of single messages and of whole conversations, from both sides."""
    thea, uma = people["thea"], people["uma"]
    ids = [send(thea, "uma") for _ in range(16)] + [send(uma, "thea") for _ in range(16)]
    calls: list[Callable[[], TestResponse]] = [lambda i=i: delete(thea, i) for i in ids[::2]]
    calls += [lambda i=i: mark_read(uma, i) for i in ids[:16]]
    calls += [lambda: thea.post(f"{API}/send", json={"recipient": "uma", "content": "more"})] * 8
    calls += [lambda: uma.patch(f"{API}/conversation/thea/read"), lambda: uma.delete(f"{API}/conversation/thea")] * 2
    random.shuffle(calls)
    assert {answer.status_code for answer in at_once(calls)} <= {200, 201, 204, 404}
