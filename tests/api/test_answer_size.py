"""An answer holds at most 256 KiB of messages; walking on from it neither loses nor doubles one."""

import json
import sqlite3
from collections.abc import Callable

import pytest
from support import API, history, send

from msgsvc.testing import Client

LIMIT = 256 * 1024
LARGEST = "\U0001f642" * 5_000
"""20 kB, of which 13 messages fit."""

MONITORED = f"{API}/admin/conversation/thea/uma?reason=x&limit=200"
OWN = f"{API}/conversation/thea?limit=200"


@pytest.fixture
def ids(people: dict[str, Client]) -> list[int]:
    """The ids of 60 of the largest messages and small ones among them."""
    return [send(people["thea"], "uma", "Hello" if number % 5 == 4 else LARGEST) for number in range(60)]


def pages(client: Client, first: str, next_query: Callable[[list[int]], str], query: str = "") -> list[list[int]]:
    """The ids of each page until has_more is false. Every page keeps the limit."""
    found: list[list[int]] = []
    while True:
        response = client.get(first + query)
        messages = response.json["messages"]
        encoded = [json.dumps(message, ensure_ascii=False, separators=(",", ":")) for message in messages]
        assert sum(map(len, map(str.encode, encoded))) <= LIMIT
        found.append([message["id"] for message in messages])
        if not response.json["has_more"]:
            return found
        query = next_query(found[-1])


@pytest.mark.parametrize(("username", "path"), [("uma", OWN), ("adam", MONITORED)])
def test_walking_back_meets_every_message_once(
    people: dict[str, Client], ids: list[int], username: str, path: str
) -> None:
    found = pages(people[username], path, lambda page: f"&before={page[0]}")
    assert len(found[0]) == 16
    assert [message_id for page in reversed(found) for message_id in page] == ids


def test_walking_forward_meets_every_message_once(people: dict[str, Client], ids: list[int]) -> None:
    found = pages(people["uma"], OWN, lambda page: f"&after={page[-1]}", "&after=0")
    assert [message_id for page in found for message_id in page] == ids


def test_small_messages_are_bounded_by_the_limit_parameter_alone(people: dict[str, Client]) -> None:
    sent = [send(people["thea"], "uma") for _ in range(4)]
    answer = people["uma"].get(f"{API}/conversation/thea?limit=4").json
    assert ([message["id"] for message in answer["messages"]], answer["has_more"]) == (sent, False)
    answer = people["uma"].get(f"{API}/conversation/thea?limit=3").json
    assert ([message["id"] for message in answer["messages"]], answer["has_more"]) == (sent[1:], True)


@pytest.mark.parametrize(("username", "path"), [("uma", OWN), ("adam", MONITORED)])
def test_a_larger_message_of_a_host_is_given_alone(
    people: dict[str, Client], host: sqlite3.Connection, username: str, path: str
) -> None:
    first = send(people["thea"], "uma")
    host.execute("PRAGMA ignore_check_constraints = ON")
    host.execute("UPDATE messages SET content = ?", ("x" * 2 * LIMIT,))
    second = send(people["thea"], "uma")
    newest, older = people[username].get(path).json, people[username].get(f"{path}&before={second}").json
    assert ([message["id"] for message in newest["messages"]], newest["has_more"]) == ([second], True)
    assert ([message["id"] for message in older["messages"]], older["has_more"]) == ([first], False)


def test_text_that_is_not_utf8_is_shown_once_in_its_place(
    people: dict[str, Client], host: sqlite3.Connection, database_path: str
) -> None:
    """On SQLite alone: PostgreSQL stores no such text."""
    sent = [send(people["thea"], "uma", f"Hello {number}") for number in range(5)]
    host.execute("UPDATE messages SET content = CAST(x'FF41' AS TEXT) WHERE id = ?", (sent[2],))
    assert history(people["uma"], "thea") == sent
    assert people["uma"].get(f"{API}/conversation/thea").json["messages"][2]["content"] == "\ufffdA"
