"""Names that are given, and what a name given anew begins with."""

import sqlite3

import pytest
from support import API, refusal, send

from msgsvc.testing import Client, Clock

PASSWORD = "correct horse battery"

UNREADABLE = [
    " ",
    "ada ",
    " ada",
    "\u00a0ada",
    "\u3164",
    "\u2800",
    "a\u2800",
    "ada\ufe0f",
    "ada\U000e0100",
    "\ufe0f",
    "\u0301",
    "\u0301a",
    "a \u0301",
    "\u115f",
    "\uffa0",
    "\u034f",
    "a\u200bb",
    "a\u202eb",
    "a\u00adb",
    "a\tb",
    "e\u0301",
    "\u212b",
    "a\U0001d159",
    "a\U00016fe4",
]
BLANK = ["\u200b", "\u200b \u2060", "\u3164", "\u2800", "\ufe0f", "\u00ad\u200d", "\ufeff", "\u202e", " \t\n\u2003"]
BLANK += ["\U0001d159", "\U00016fe4", "\U00013441\U00013442"]


@pytest.mark.parametrize("username", UNREADABLE, ids=ascii)
def test_a_new_name_is_visible_and_composed(people: dict[str, Client], username: str) -> None:
    body = {"username": username, "role": "user", "password": PASSWORD}
    assert refusal(people["adam"].post("/api/users", json=body)) == (400, "invalid_field")


@pytest.mark.parametrize(
    "username", ["ada", "Ada Lovelace", "\u00e9", "\u0645\u0631\u064a\u0645", "\u0905\u093f\u0924", "\U0001f642"]
)
def test_other_names_are_taken(people: dict[str, Client], username: str) -> None:
    body = {"username": username, "role": "user", "password": PASSWORD}
    assert people["adam"].post("/api/users", json=body).status_code == 201


@pytest.mark.parametrize("content", BLANK, ids=ascii)
def test_a_message_of_nothing_visible_is_blank(people: dict[str, Client], content: str) -> None:
    body = {"recipient": "thea", "content": content}
    assert refusal(people["uma"].post(f"{API}/send", json=body)) == (400, "missing_field")


@pytest.mark.parametrize("reason", BLANK, ids=ascii)
def test_a_reason_of_nothing_visible_is_blank(people: dict[str, Client], reason: str) -> None:
    look = people["adam"].get(f"{API}/admin/conversation/uma/thea", query_string={"reason": reason})
    assert refusal(look) == (400, "missing_field")


@pytest.mark.parametrize("content", ["\U0001f642", "\u0301x", "a\u200bb", "\u2764\ufe0f", "."])
def test_anything_visible_is_a_message(people: dict[str, Client], content: str) -> None:
    send(people["uma"], "thea", content)


def remove_by_sql(host: sqlite3.Connection, username: str) -> None:
    host.execute("DELETE FROM users WHERE username = ?", (username,))


def left_of(host: sqlite3.Connection, username: str) -> str:
    """Everything in tables of our own that holds the name, but the audit."""
    return "\n".join(
        line
        for line in host.iterdump()
        if f"'{username}'" in line and 'INSERT INTO "msgsvc_' in line and "msgsvc_audit" not in line
    )


def test_a_name_given_anew_begins_with_nothing_of_an_earlier_owner(
    people: dict[str, Client], client: Client, host: sqlite3.Connection
) -> None:
    adam = people["adam"]
    body = {"username": "zoe", "role": "user", "password": PASSWORD}
    assert adam.post("/api/users", json=body).status_code == 201
    login = {"username": "zoe", "password": PASSWORD}
    token = client.post("/api/auth/login", json=login).json["token"]
    zoe = client.as_user("zoe")
    assert zoe.put(f"{API}/blocks/uma").status_code == people["thea"].put(f"{API}/blocks/zoe").status_code == 204
    assert adam.patch("/api/users/zoe", json={"suspended": True}).status_code == 200
    for _ in range(11):
        client.post("/api/auth/login", json={**login, "password": "wrong"})
    remove_by_sql(host, "zoe")
    assert adam.post("/api/users", json={**body, "password": "staple of seven lamps"}).status_code == 201

    assert client.get(f"{API}/inbox", headers={"Authorization": token}).status_code == 401
    assert zoe.get(f"{API}/inbox").status_code == 401
    assert client.post("/api/auth/login", json=login).status_code == 401
    new = client.post("/api/auth/login", json={**login, "password": "staple of seven lamps"})
    assert new.status_code == 200
    assert left_of(host, "zoe").count("msgsvc_blocks") == left_of(host, "zoe").count("msgsvc_suspensions") == 0


def test_an_account_that_is_removed_and_made_again_by_sql_has_no_access(
    people: dict[str, Client], client: Client, host: sqlite3.Connection, clock: Clock
) -> None:
    body = {"username": "zoe", "role": "user", "password": PASSWORD}
    assert people["adam"].post("/api/users", json=body).status_code == 201
    zoe = client.as_user("zoe")
    remove_by_sql(host, "zoe")
    host.execute("INSERT INTO users (username, role) VALUES ('zoe', 'user')")
    assert zoe.get(f"{API}/inbox").status_code == 401
    login = client.post("/api/auth/login", json={"username": "zoe", "password": PASSWORD})
    assert login.status_code == 401


def test_replacing_a_row_of_users_ends_nothing(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.execute("INSERT OR REPLACE INTO users (username, role) VALUES ('uma', 'user')")
    assert people["uma"].get(f"{API}/inbox").status_code == 200
