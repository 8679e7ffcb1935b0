"""The audit: who came in and from where, whom a row is about, that it can be filtered and not be filled at will."""

import sqlite3
from typing import Any

import pytest
from support import refusal
from werkzeug.security import generate_password_hash

from msgsvc.testing import Client, Clock

People = dict[str, Client]
PASSWORD = "correct horse battery"
AUDIT = "/api/messages/admin/audit"


@pytest.fixture(autouse=True)
def password(people: People, host: sqlite3.Connection) -> None:
    quick = generate_password_hash(PASSWORD, method="scrypt:512:8:1")
    insert = "INSERT INTO msgsvc_credentials (username, password_hash) VALUES (?, ?)"
    host.executemany(insert, [("uma", quick), ("adam", quick)])


def rows(people: People, query: str = "") -> list[dict[str, Any]]:
    answer = people["adam"].get(AUDIT + query)
    assert answer.status_code == 200, answer.text
    return answer.json["audit"]


def login(client: Client, username: str, password: str = PASSWORD, address: str = "192.0.2.1") -> int:
    body = {"username": username, "password": password}
    environ = {"REMOTE_ADDR": address}
    headers = {"X-Request-ID": "login-1"}
    return client.post("/api/auth/login", json=body, environ_base=environ, headers=headers).status_code


def test_a_login_is_audited_with_its_address(people: People, client: Client) -> None:
    assert login(client, "uma") == 200
    (row,) = rows(people)
    assert row == {
        "id": row["id"],
        "actor": "uma",
        "source": "login",
        "action": "logged_in",
        "subject": "uma",
        "participants": None,
        "reason": "from 192.0.2.1",
        "request_id": "login-1",
        "at": "2026-02-05T10:30:45Z",
    }


def test_a_failed_login_of_an_account_is_audited_once_a_minute_for_each_address(
    people: People, client: Client, clock: Clock
) -> None:
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::7", "2001:db8::8"):
        assert login(client, "uma", "wrong", address) == 401
    clock.advance(61)
    assert login(client, "uma", "wrong") == 401
    found = [(row["actor"], row["source"], row["action"], row["subject"], row["reason"]) for row in rows(people)]
    addresses = ["192.0.2.1", "2001:db8::/64", "192.0.2.2", "192.0.2.1"]
    assert found == [(None, "login", "login_failed", "uma", f"from {address}") for address in addresses]


def test_a_name_that_nobody_has_leaves_no_row(people: People, client: Client) -> None:
    assert login(client, "nobody") == 401
    assert rows(people) == []


def test_a_right_password_of_a_suspended_account_is_a_failed_login(people: People, client: Client) -> None:
    people["adam"].patch("/api/users/uma", json={"suspended": True})
    assert login(client, "uma") == 403
    assert rows(people)[0]["action"] == "login_failed"


def test_logging_in_again_and_again_leaves_one_row_a_minute(people: People, client: Client, clock: Clock) -> None:
    for number in range(5):
        assert login(client, "uma", "wrong", f"2001:db8::{number}") == 401
        assert login(client, "uma", address=f"2001:db8::{number}") == 200
    assert [row["action"] for row in rows(people)] == ["logged_in", "login_failed"]
    clock.advance(60)
    assert login(client, "uma") == 200
    assert len(rows(people)) == 3


def test_wrong_names_then_right_logins_leave_one_row_for_the_address(people: People, client: Client) -> None:
    """Nor does an attempt that the address refuses count against the name."""
    for number in range(30):
        login(client, f"nobody{number}")
    for number in range(20):
        login(client, "uma")
        login(client, f"somebody{number}")
    throttled = [(row["subject"], row["reason"]) for row in rows(people) if row["action"] == "login_throttled"]
    assert throttled == [(None, "from 192.0.2.1")]


def test_a_reset_and_a_login_as_that_person_leave_their_rows(people: People, client: Client) -> None:
    assert people["adam"].patch("/api/users/uma", json={"password": "staple of seven lamps"}).status_code == 200
    assert login(client, "uma", "staple of seven lamps") == 200
    assert [(row["actor"], row["action"]) for row in rows(people)] == [("uma", "logged_in"), ("adam", "password_reset")]


def test_the_same_change_again_and_again_leaves_one_row_a_minute(people: People, clock: Clock) -> None:
    for _ in range(10):
        for suspended in (True, False):
            assert people["adam"].patch("/api/users/ugo", json={"suspended": suspended}).status_code == 200
    assert sorted(row["action"] for row in rows(people)) == ["user_reinstated", "user_suspended"]


def test_a_row_of_the_future_hides_no_later_one(people: People, client: Client, clock: Clock) -> None:
    clock.advance(86_400)
    login(client, "uma")
    clock.advance(-86_400)
    login(client, "uma")
    assert [row["at"] for row in rows(with_new_session(people))] == ["2026-02-05T10:30:45Z", "2026-02-06T10:30:45Z"]


def with_new_session(people: People) -> People:
    return {"adam": people["adam"].as_user("adam")}


def test_participants_are_told_apart_whatever_their_names(people: People, client: Client) -> None:
    client.as_user("uma and x", "user")
    look = "/api/messages/admin/conversation/thea/uma and x?reason=complaint"
    assert people["adam"].get(look).status_code == 200
    (row,) = rows(people)
    assert (row["participants"], row["subject"]) == (["thea", "uma and x"], None)


def test_an_admin_with_the_name_of_a_source_is_an_actor(people: People, client: Client) -> None:
    named = client.as_user("command line", "admin")
    assert named.patch("/api/users/uma", json={"suspended": True}).status_code == 200
    (row,) = rows(people)
    assert (row["actor"], row["source"]) == ("command line", "api")


FILTERS = [
    ("?actor=adam", ["user_suspended", "conversations_listed", "conversation_viewed"]),
    ("?actor=nobody", []),
    ("?action=conversation_viewed", ["conversation_viewed"]),
    ("?username=uma", ["logged_in", "conversation_viewed"]),
    ("?username=thea", ["conversation_viewed"]),
    ("?username=ugo", ["user_suspended", "conversations_listed"]),
    ("?username=uma&action=logged_in", ["logged_in"]),
    ("?username=uma&actor=adam", ["conversation_viewed"]),
    ("?actor=adam&action=user_suspended", ["user_suspended"]),
    ("?username=ugo&actor=adam&action=user_suspended", ["user_suspended"]),
]


@pytest.mark.parametrize(("query", "actions"), FILTERS)
def test_the_audit_is_filtered_newest_first(people: People, client: Client, query: str, actions: list[str]) -> None:
    assert people["adam"].get("/api/messages/admin/conversation/thea/uma?reason=complaint").status_code == 200
    assert people["adam"].get("/api/messages/admin/conversations?username=ugo").status_code == 200
    assert people["adam"].patch("/api/users/ugo", json={"suspended": True}).status_code == 200
    assert login(client, "uma") == 200
    assert [row["action"] for row in rows(people, query)] == actions


def test_a_filtered_audit_is_paged(people: People, client: Client) -> None:
    for _ in range(3):
        people["adam"].get("/api/messages/admin/conversation/thea/uma?reason=complaint")
    page = people["adam"].get(f"{AUDIT}?username=uma&limit=2").json
    assert ([row["id"] for row in page["audit"]], page["has_more"]) == ([3, 2], True)
    page = people["adam"].get(f"{AUDIT}?username=uma&limit=2&before=2").json
    assert ([row["id"] for row in page["audit"]], page["has_more"]) == ([1], False)


@pytest.mark.parametrize("query", ["?actor=", "?action=a&action=b", f"?username={'x' * 256}"])
def test_a_filter_is_checked(people: People, query: str) -> None:
    assert refusal(people["adam"].get(AUDIT + query)) == (400, "invalid_parameter")
