"""The eight tests that the specification lists, under its names."""

import sqlite3

import pytest
from support import API, conversation, delete, history, inbox, mark_read, refusal, send, unread

from msgsvc.testing import Client, Clock


def test_send_message_valid(people: dict[str, Client], host: sqlite3.Connection) -> None:
    response = people["thea"].post(
        f"{API}/send", json={"recipient": "uma", "subject": "Check-in", "content": "How are you feeling today?"}
    )

    assert response.status_code == 201
    message_id = response.json["message_id"]
    assert response.json == {
        "message_id": message_id,
        "sent_at": "2026-02-05T10:30:45Z",
        "status": "sent",
        "recipient": "uma",
    }
    columns = "sender_username, recipient_username, subject, content, is_read, read_at, sent_at, deleted_at"
    assert host.execute(f"SELECT {columns} FROM messages WHERE id = ?", (message_id,)).fetchall() == [
        ("thea", "uma", "Check-in", "How are you feeling today?", 0, None, "2026-02-05 10:30:45", None)
    ]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"recipient": "nobody", "content": "Hello"}, 404, "recipient"),
        ({"content": "Hello"}, 400, "recipient"),
        ({"recipient": "thea"}, 400, "content"),
        ({"recipient": "thea", "content": " \n\t"}, 400, "content"),
        ({"recipient": "thea", "content": "x" * 5001}, 400, "5000"),
        ({"recipient": "thea", "content": "Hello", "subject": "x" * 101}, 400, "subject"),
        ({"recipient": "uma", "content": "Hello"}, 400, "yourself"),
    ],
)
def test_send_message_invalid(
    people: dict[str, Client], host: sqlite3.Connection, body: dict[str, str], status: int, word: str
) -> None:
    response = people["uma"].post(f"{API}/send", json=body)

    assert response.status_code == status
    assert word in response.json["error"]
    assert host.execute("SELECT count(*) FROM messages").fetchone() == (0,)


def test_soft_delete(people: dict[str, Client], host: sqlite3.Connection) -> None:
    thea, uma = people["thea"], people["uma"]
    kept, deleted = send(thea, "uma", "kept"), send(thea, "uma", "deleted")

    assert delete(uma, deleted).status_code == 204

    assert history(uma, "thea") == [kept]
    assert inbox(uma)["conversations"][0]["last_message"] == "kept"
    assert inbox(uma)["total_unread"] == unread(uma) == 1
    assert history(thea, "uma") == [kept, deleted]
    assert inbox(thea)["conversations"][0]["last_message"] == "deleted"
    assert host.execute(
        "SELECT is_deleted_by_sender, is_deleted_by_recipient, deleted_at FROM messages WHERE id = ?", (deleted,)
    ).fetchall() == [(0, 1, None)]


def test_inbox_unread_count(people: dict[str, Client]) -> None:
    uma = people["uma"]
    first, *_ = [send(people["thea"], "uma") for _ in range(3)]
    send(people["clara"], "uma")
    send(uma, "ugo")
    mark_read(uma, first)

    assert [(row["with_user"], row["unread_count"]) for row in inbox(uma)["conversations"]] == [
        ("ugo", 0),
        ("clara", 1),
        ("thea", 2),
    ]
    assert inbox(uma)["total_unread"] == unread(uma) == 3
    assert inbox(uma)["total_conversations"] == 3
    assert inbox(uma, "?unread_only=true")["total_conversations"] == 2
    assert inbox(people["thea"])["total_unread"] == 0


def test_conversation_ordering(people: dict[str, Client], clock: Clock) -> None:
    thea, uma = people["thea"], people["uma"]
    ids = [send(thea, "uma", "How are you feeling today?"), send(uma, "thea", "Better, mood improved to 7/10")]
    clock.advance(60)
    ids.append(send(thea, "uma", "Great! Let's explore..."))

    for reader, partner in ((thea, "uma"), (uma, "thea")):
        answer = conversation(reader, partner)
        assert [message["id"] for message in answer["messages"]] == ids
        assert [message["sent_at"] for message in answer["messages"]] == [
            "2026-02-05T10:30:45Z",
            "2026-02-05T10:30:45Z",
            "2026-02-05T10:31:45Z",
        ]
        assert answer["participant_count"] == 2
    assert history(uma, "thea", "?limit=2") == ids[1:]


def test_role_restrictions(people: dict[str, Client]) -> None:
    refused = people["uma"].post(f"{API}/send", json={"recipient": "clara", "content": "Hello"})
    assert refused.status_code == 403
    assert refused.json == {"error": "Users may only reply to clinicians", "code": "reply_only"}

    send(people["thea"], "clara")
    send(people["clara"], "uma")
    send(people["uma"], "clara", "a reply")


def test_mark_read(people: dict[str, Client], clock: Clock) -> None:
    thea, uma = people["thea"], people["uma"]
    message_id = send(thea, "uma")
    clock.advance(60)
    assert refusal(mark_read(thea, message_id)) == (403, "not_recipient")
    assert conversation(uma, "thea")["messages"][0]["read_at"] is None

    expected = {"message_id": message_id, "is_read": True, "read_at": "2026-02-05T10:31:45Z"}
    assert mark_read(uma, message_id).json == expected
    clock.advance(60)
    assert mark_read(uma, message_id).json == expected

    for reader, partner in ((thea, "uma"), (uma, "thea")):
        (message,) = conversation(reader, partner)["messages"]
        assert (message["is_read"], message["read_at"]) == (True, "2026-02-05T10:31:45Z")
    assert unread(uma) == 0


def test_both_deleted(people: dict[str, Client], host: sqlite3.Connection) -> None:
    thea, uma = people["thea"], people["uma"]
    message_id = send(thea, "uma")
    assert delete(thea, message_id).status_code == 204
    assert history(uma, "thea") == [message_id]
    assert delete(uma, message_id).status_code == 204

    for reader, partner in ((thea, "uma"), (uma, "thea")):
        assert history(reader, partner) == []
        assert inbox(reader)["conversations"] == []
        assert inbox(reader)["total_unread"] == unread(reader) == 0
        assert refusal(mark_read(reader, message_id)) == (404, "message_not_found")
        assert refusal(delete(reader, message_id)) == (404, "message_not_found")
    assert host.execute("SELECT content, deleted_at IS NOT NULL FROM messages").fetchall() == [("Hello", 1)]
