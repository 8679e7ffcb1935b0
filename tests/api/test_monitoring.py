"""Monitoring and the audit: what admins see, that it changes nothing, and that it is always recorded."""

import sqlite3

import psycopg
import pytest
from support import refusal, send

from msgsvc.testing import Client, Clock

People = dict[str, Client]
LOOK = "/api/messages/admin/conversation/uma/ugo?reason=complaint"


def audit(people: People) -> list[dict[str, object]]:
    return people["adam"].get("/api/messages/admin/audit").json["audit"]


def dump(host: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return host.execute(f"SELECT * FROM {table}").fetchall()


def test_look_shows_what_at_least_one_side_still_sees(people: People) -> None:
    ids = [send(people["uma"], "ugo", content) for content in ("one", "two", "three")]
    people["uma"].delete(f"/api/messages/{ids[0]}")
    for side in ("uma", "ugo"):
        people[side].delete(f"/api/messages/{ids[1]}")
    answer = people["adam"].get(LOOK).json
    assert [message["content"] for message in answer["messages"]] == ["one", "three"]
    assert (answer["participants"], answer["has_more"]) == (["ugo", "uma"], False)


def test_look_changes_no_message_summary_or_version(people: People, host: sqlite3.Connection) -> None:
    send(people["uma"], "ugo", "hello")
    tables = ("messages", "msgsvc_conversations", "msgsvc_mailboxes")
    before = [dump(host, table) for table in tables]
    people["adam"].get(LOOK)
    people["adam"].get("/api/messages/admin/conversations")
    assert [dump(host, table) for table in tables] == before


def test_look_comes_in_pages(people: People) -> None:
    ids = [send(people["uma"] if n % 2 else people["ugo"], "ugo" if n % 2 else "uma", str(n)) for n in range(5)]
    page = people["adam"].get(f"{LOOK}&limit=2").json
    assert ([message["id"] for message in page["messages"]], page["has_more"]) == (ids[3:], True)
    page = people["adam"].get(f"{LOOK}&limit=3&before={ids[3]}").json
    assert ([message["id"] for message in page["messages"]], page["has_more"]) == (ids[:3], False)


def test_conversations_are_listed_once_newest_first_without_content(people: People, clock: Clock) -> None:
    send(people["uma"], "ugo", "secret")
    clock.advance(5)
    newest = send(people["thea"], "uma", "secret")
    people["thea"].delete(f"/api/messages/{newest}")
    answer = people["adam"].get("/api/messages/admin/conversations")
    assert answer.json == {
        "conversations": [
            {"participants": ["thea", "uma"], "last_message_time": "2026-02-05T10:30:50Z"},
            {"participants": ["ugo", "uma"], "last_message_time": "2026-02-05T10:30:45Z"},
        ],
        "page": 1,
        "page_size": 20,
        "has_more": False,
    }
    assert "secret" not in answer.text


def test_conversations_of_one_person_include_those_only_one_side_sees(people: People) -> None:
    hidden = send(people["uma"], "ugo", "x")
    send(people["thea"], "uma", "x")
    send(people["thea"], "ugo", "x")
    people["uma"].delete(f"/api/messages/{hidden}")
    answer = people["adam"].get("/api/messages/admin/conversations?username=uma").json
    assert [c["participants"] for c in answer["conversations"]] == [["thea", "uma"], ["ugo", "uma"]]


def test_conversations_come_in_pages(people: People) -> None:
    for recipient in ("uma", "ugo", "clara"):
        send(people["thea"], recipient, "x")
    first = people["adam"].get("/api/messages/admin/conversations?limit=2").json
    second = people["adam"].get("/api/messages/admin/conversations?limit=2&page=2").json
    assert ([len(page["conversations"]) for page in (first, second)], first["has_more"], second["has_more"]) == (
        [2, 1],
        True,
        False,
    )


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/messages/admin/conversation/uma/ugo", 400, "missing_field"),
        ("/api/messages/admin/conversation/uma/ugo?reason=%20", 400, "missing_field"),
        ("/api/messages/admin/conversation/uma/ugo?reason=", 400, "invalid_parameter"),
        (f"/api/messages/admin/conversation/uma/ugo?reason={'x' * 201}", 400, "invalid_parameter"),
        ("/api/messages/admin/conversation/uma/uma?reason=x", 400, "self_conversation"),
        ("/api/messages/admin/conversation/uma/nobody?reason=x", 404, "user_not_found"),
        ("/api/messages/admin/conversation/uma/ugo?reason=x&limit=0", 400, "invalid_parameter"),
        ("/api/messages/admin/conversations?page=0", 400, "invalid_parameter"),
        ("/api/messages/admin/audit?before=-1", 400, "invalid_parameter"),
    ],
)
def test_look_needs_a_reason_and_sound_parameters(people: People, path: str, status: int, code: str) -> None:
    answer = people["adam"].get(path)
    assert refusal(answer) == (status, code)


def test_every_look_is_audited(people: People) -> None:
    people["adam"].get(LOOK, headers={"X-Request-ID": "look-1"})
    people["adam"].get("/api/messages/admin/conversations?username=uma")
    listed, viewed = audit(people)[:2]
    assert (listed["action"], listed["subject"]) == ("conversations_listed", "uma")
    assert viewed == {
        "id": viewed["id"],
        "actor": "adam",
        "source": "api",
        "action": "conversation_viewed",
        "subject": None,
        "participants": ["ugo", "uma"],
        "reason": "complaint",
        "request_id": "look-1",
        "at": "2026-02-05T10:30:45Z",
    }


def test_look_that_cannot_be_audited_is_refused(people: People, host: sqlite3.Connection) -> None:
    send(people["uma"], "ugo", "secret")
    host.execute("CREATE UNIQUE INDEX one_source ON msgsvc_audit (source)")
    host.execute("INSERT INTO msgsvc_audit (source, action, at) VALUES ('api', 'x', 'x')")
    answer = people["adam"].get(LOOK)
    assert refusal(answer) == (403, "refused_by_host")
    assert "secret" not in answer.text


def test_account_changes_are_audited_without_passwords(people: People) -> None:
    people["adam"].post("/api/users", json={"username": "new", "role": "user", "password": "sentinel-1"})
    changes = [{"role": "clinician"}, {"password": "sentinel-2"}, {"suspended": True}, {"suspended": False}]
    for change in changes:
        people["adam"].patch("/api/users/new", json=change)
    rows = audit(people)
    assert [(row["actor"], row["action"], row["subject"], row["reason"]) for row in reversed(rows)] == [
        ("adam", "user_created", "new", "user"),
        ("adam", "role_changed", "new", "user to clinician"),
        ("adam", "password_reset", "new", None),
        ("adam", "user_suspended", "new", None),
        ("adam", "user_reinstated", "new", None),
    ]
    assert "sentinel" not in str(rows)


def test_own_password_change_is_audited(people: People, client: Client) -> None:
    people["adam"].patch("/api/users/uma", json={"password": "eight888"})
    uma = client.as_user("uma")
    body = {"current_password": "eight888", "new_password": "sentinel-3"}
    assert uma.put("/api/auth/password", json=body).status_code == 204
    row = audit(people)[0]
    assert (row["actor"], row["action"], row["subject"], row["reason"]) == ("uma", "password_changed", "uma", None)


def test_denied_admin_access_is_recorded_once_a_minute_for_each_call(people: People, clock: Clock) -> None:
    for _ in range(3):
        people["uma"].get(LOOK)
    people["uma"].get("/api/messages/admin/audit")
    clock.advance(61)
    people["uma"].get(LOOK)
    denials = [(row["actor"], row["subject"]) for row in audit(people) if row["action"] == "admin_denied"]
    look = ("uma", "/api/messages/admin/conversation/<a>/<b>")
    assert denials == [look, ("uma", "/api/messages/admin/audit"), look]


def test_closing_of_a_login_window_is_recorded_once(people: People, client: Client) -> None:
    for _ in range(13):
        client.post("/api/auth/login", json={"username": "uma", "password": "wrong"})
    throttled = [row["subject"] for row in audit(people) if row["action"] == "login_throttled"]
    assert throttled == ["uma"]


def test_audit_is_paged_newest_first(people: People) -> None:
    for _ in range(3):
        people["adam"].get(LOOK)
    page = people["adam"].get("/api/messages/admin/audit?limit=2").json
    assert ([row["id"] for row in page["audit"]], page["has_more"]) == ([3, 2], True)
    page = people["adam"].get("/api/messages/admin/audit?limit=2&before=2").json
    assert ([row["id"] for row in page["audit"]], page["has_more"]) == ([1], False)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE msgsvc_audit SET actor = 'nobody'",
        "DELETE FROM msgsvc_audit",
        "INSERT OR REPLACE INTO msgsvc_audit (id, actor, action, at) VALUES (1, 'nobody', 'x', 'x')",
    ],
)
def test_audit_is_append_only(people: People, host: sqlite3.Connection, tampering: str) -> None:
    people["adam"].get(LOOK)
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException)):
        host.execute(tampering)
