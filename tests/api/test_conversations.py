"""Conversations: history, mark all read, hide."""

import sqlite3
from typing import Any

import pytest
from postgresql_server import Host
from support import API, conversation, delete, history, inbox, mark_read, partners, refusal, send, unread
from werkzeug.test import TestResponse

from msgsvc.handlers import conversations
from msgsvc.testing import Client, Clock


def mark_all_read(caller: Client, partner: str, body: dict[str, int] | None = None) -> dict[str, Any]:
    response = caller.patch(f"{API}/conversation/{partner}/read", json=body or {})
    assert response.status_code == 200, response.text
    return response.json


def hide(caller: Client, partner: str) -> TestResponse:
    return caller.delete(f"{API}/conversation/{partner}")


@pytest.fixture
def ten(people: dict[str, Client]) -> list[int]:
    """The ids of ten messages between thea and uma; other people's messages lie between them."""
    ids = []
    for number in range(10):
        ids.append(send(people["thea"], "uma") if number % 3 else send(people["uma"], "thea"))
        send(people["thea"], "ugo")
    return ids


# query ({n} is the n-th id) → which of the ten messages are shown, has_more
PAGES = [
    ("?limit=3", slice(7, 10), True),
    ("?limit=10", slice(0, 10), False),
    ("?limit=9", slice(1, 10), True),
    ("", slice(0, 10), False),
    ("?limit=3&before={7}", slice(4, 7), True),
    ("?limit=3&before={3}", slice(0, 3), False),
    ("?limit=3&before={2}", slice(0, 2), False),
    ("?before={0}", slice(0, 0), False),
    ("?before=9223372036854775807", slice(0, 10), False),
    ("?limit=3&after={0}", slice(1, 4), True),
    ("?limit=3&after={6}", slice(7, 10), False),
    ("?limit=3&after={8}", slice(9, 10), False),
    ("?after={9}", slice(0, 0), False),
    ("?after=0", slice(0, 10), False),
]


@pytest.mark.parametrize(("query", "shown", "has_more"), PAGES)
def test_history_is_paged_by_id(
    people: dict[str, Client], ten: list[int], query: str, shown: slice, has_more: bool
) -> None:
    answer = conversation(people["uma"], "thea", query.format(*ten))

    assert [message["id"] for message in answer["messages"]] == ten[shown]
    assert answer["has_more"] is has_more


def test_hidden_messages_do_not_count_towards_the_page_limit(people: dict[str, Client], ten: list[int]) -> None:
    for message_id in ten[5:9]:
        delete(people["uma"], message_id)

    assert history(people["uma"], "thea", "?limit=3") == [ten[3], ten[4], ten[9]]
    assert history(people["uma"], "thea", f"?limit=2&after={ten[4]}") == [ten[9]]
    assert conversation(people["uma"], "thea", "?limit=6")["has_more"] is False
    assert history(people["thea"], "uma", "?limit=3") == ten[7:]


def test_a_message_is_shown_with_these_fields(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma", "Hello", subject="Check-in")

    assert conversation(people["uma"], "thea") == {
        "messages": [
            {
                "id": message_id,
                "sender": "thea",
                "recipient": "uma",
                "content": "Hello",
                "subject": "Check-in",
                "is_read": False,
                "read_at": None,
                "sent_at": "2026-02-05T10:30:45Z",
            }
        ],
        "participant_count": 2,
        "has_more": False,
        "can_reply": True,
        "reply_refusal": None,
        "with_role": "therapist",
    }


def test_a_conversation_without_messages_is_empty(people: dict[str, Client]) -> None:
    assert conversation(people["uma"], "ugo") == {
        "messages": [],
        "participant_count": 2,
        "has_more": False,
        "can_reply": True,
        "reply_refusal": None,
        "with_role": "user",
    }


def test_can_reply_says_what_send_would_answer(people: dict[str, Client], host: sqlite3.Connection) -> None:
    uma = people["uma"]
    assert conversation(uma, "clara")["can_reply"] is False
    send(people["clara"], "uma")
    assert conversation(uma, "clara")["can_reply"] is True
    host.execute("UPDATE users SET role = 'guest' WHERE username = 'clara'")
    assert conversation(uma, "clara")["can_reply"] is False


def test_reading_a_conversation_marks_nothing(people: dict[str, Client]) -> None:
    send(people["thea"], "uma")
    first = conversation(people["uma"], "thea")

    assert conversation(people["uma"], "thea") == first
    assert first["messages"][0]["is_read"] is False
    assert unread(people["uma"]) == 1


def test_the_whole_conversation_is_marked_read(people: dict[str, Client], ten: list[int]) -> None:
    uma = people["uma"]
    send(people["clara"], "uma")

    assert mark_all_read(uma, "thea") == {"with_user": "thea", "marked": 6}
    assert unread(uma) == 1
    assert unread(people["thea"]) == 4
    assert mark_all_read(uma, "thea")["marked"] == 0


def test_up_to_includes_the_message_it_names(people: dict[str, Client], ten: list[int]) -> None:
    assert mark_all_read(people["uma"], "thea", {"up_to": ten[4]})["marked"] == 3
    read = [m["id"] for m in conversation(people["uma"], "thea")["messages"] if m["is_read"]]
    assert read == [ten[1], ten[2], ten[4]]


def test_up_to_beyond_the_newest_marks_all_messages(people: dict[str, Client], ten: list[int]) -> None:
    assert mark_all_read(people["uma"], "thea", {"up_to": 2**63 - 1})["marked"] == 6


def test_marked_counts_what_the_caller_still_sees(people: dict[str, Client], ten: list[int], clock: Clock) -> None:
    uma = people["uma"]
    mark_read(uma, ten[1])
    delete(uma, ten[2])
    clock.advance(60)

    assert mark_all_read(uma, "thea")["marked"] == 4
    times = [m["read_at"] for m in conversation(uma, "thea")["messages"] if m["sender"] == "thea"]
    assert times == ["2026-02-05T10:30:45Z"] + ["2026-02-05T10:31:45Z"] * 4
    (hidden,) = [m for m in conversation(people["thea"], "uma")["messages"] if m["id"] == ten[2]]
    assert hidden["is_read"] is False


def test_hiding_a_conversation_hides_one_side(people: dict[str, Client], ten: list[int]) -> None:
    uma, thea = people["uma"], people["thea"]
    before = inbox(thea), conversation(thea, "uma"), unread(thea)
    send(people["clara"], "uma")

    assert hide(uma, "thea").status_code == 204
    assert (history(uma, "thea"), partners(inbox(uma)), unread(uma)) == ([], ["clara"], 1)
    assert (inbox(thea), conversation(thea, "uma"), unread(thea)) == before
    assert refusal(delete(uma, ten[0])) == (404, "message_not_found")
    assert hide(uma, "thea").status_code == 204


def test_a_long_conversation_is_hidden_in_several_transactions(
    people: dict[str, Client], ten: list[int], host: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that other writers need not wait for all of it. On SQLite alone: the trigger is its own."""
    monkeypatch.setattr(conversations, "HIDDEN_AT_ONCE", 3)
    host.execute(f"UPDATE messages SET content = 'kept' WHERE id = {ten[1]}")
    ward = (
        "CREATE TRIGGER ward BEFORE UPDATE ON messages WHEN old.content = 'kept' BEGIN SELECT RAISE(ABORT, 'kept'); END"
    )
    host.execute(ward)
    assert refusal(hide(people["uma"], "thea")) == (403, "refused_by_host")
    assert history(people["uma"], "thea") == ten[:4]
    host.execute("DROP TRIGGER ward")
    assert hide(people["uma"], "thea").status_code == 204
    assert history(people["uma"], "thea") == []
    assert history(people["thea"], "uma") == ten


def test_a_conversation_with_nobody_is_hidden_in_several_transactions(
    people: dict[str, Client], ten: list[int], host: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partner is known by the messages alone, and none is left after the second transaction."""
    monkeypatch.setattr(conversations, "HIDDEN_AT_ONCE", len(ten) // 2)
    if isinstance(host, Host):
        host.drop_foreign_keys()
    host.execute("UPDATE messages SET sender_username = 'gone' WHERE sender_username = 'thea'")
    host.execute("UPDATE messages SET recipient_username = 'gone' WHERE recipient_username = 'thea'")
    assert hide(people["uma"], "gone").status_code == 204
    assert partners(inbox(people["uma"])) == []


def test_a_conversation_that_both_hid_is_deleted(
    people: dict[str, Client], ten: list[int], host: sqlite3.Connection
) -> None:
    hide(people["uma"], "thea")
    hide(people["thea"], "uma")

    assert history(people["thea"], "uma") == []
    count = "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL"
    assert host.execute(count).fetchone() == (10,)


def test_new_message_reopens_a_hidden_conversation(people: dict[str, Client], ten: list[int]) -> None:
    hide(people["uma"], "thea")
    message_id = send(people["thea"], "uma", "Are you there?")

    assert history(people["uma"], "thea") == [message_id]
    assert inbox(people["uma"])["conversations"][0]["unread_count"] == 1


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("PATCH", "/read"), ("DELETE", "")])
@pytest.mark.parametrize(
    ("partner", "expected"),
    [
        ("nobody", (404, "user_not_found")),
        ("Thea", (404, "user_not_found")),
        ("uma", (400, "self_conversation")),
    ],
)
def test_a_conversation_is_with_another_person_that_exists(
    people: dict[str, Client], method: str, suffix: str, partner: str, expected: tuple[int, str]
) -> None:
    response = people["uma"].open(f"{API}/conversation/{partner}{suffix}", method=method)

    assert refusal(response) == expected


@pytest.mark.parametrize("column", ["content", "subject"])
@pytest.mark.parametrize(
    "value", ["x'ff00'", "CAST(x'ff41' AS TEXT)", "5", "1.5"], ids=["blob", "not UTF-8", "5", "1.5"]
)
def test_host_values_that_are_not_text_cause_no_error(
    people: dict[str, Client], host: sqlite3.Connection, column: str, value: str
) -> None:
    send(people["thea"], "uma")
    host.execute(f"UPDATE messages SET {column} = {value}")

    for path in ("inbox", "conversation/thea", "unread"):
        assert people["uma"].get(f"{API}/{path}").status_code == 200


def test_insert_or_replace_updates_the_summaries(people: dict[str, Client], host: sqlite3.Connection) -> None:
    """The ignored insert leaves nothing behind that the later replacement could use."""
    message_id = send(people["thea"], "uma")
    insert = "INTO messages (id, sender_username, recipient_username, content) VALUES (?, 'clara', 'uma', 'Hello')"
    host.execute(f"INSERT OR IGNORE {insert}", (message_id,))
    mark_read(people["uma"], message_id)
    host.execute(f"INSERT OR REPLACE {insert}", (message_id,))

    assert partners(inbox(people["uma"])) == ["clara"]
    assert unread(people["uma"]) == 1


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
def test_update_or_replace_removes_the_replaced_message(
    people: dict[str, Client], host: sqlite3.Connection, recursive_triggers: str
) -> None:
    first, second = send(people["thea"], "uma"), send(people["clara"], "uma")
    host.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    host.execute("UPDATE OR REPLACE messages SET id = ? WHERE id = ?", (first, second))

    assert partners(inbox(people["uma"])) == ["clara"]
    assert unread(people["uma"]) == 1
    assert history(people["uma"], "thea") == []


@pytest.mark.parametrize("message_id", [-1, 0, 2**63 - 1])
def test_history_includes_messages_with_extreme_ids(
    people: dict[str, Client], host: sqlite3.Connection, message_id: int
) -> None:
    sql = "INSERT INTO messages (id, sender_username, recipient_username, content) VALUES (?, 'thea', 'uma', 'Hello')"
    host.execute(sql, (message_id,))

    assert partners(inbox(people["uma"])) == ["thea"]
    assert history(people["uma"], "thea") == [message_id]


def test_hiding_up_to_an_id_leaves_what_arrives_meanwhile(people: dict[str, Client]) -> None:
    first, second, third = send(people["thea"], "uma"), send(people["uma"], "thea"), send(people["thea"], "uma")
    assert people["uma"].delete(f"{API}/conversation/thea?up_to={second}").status_code == 204
    assert history(people["uma"], "thea") == [third]
    assert history(people["thea"], "uma") == [first, second, third]
    assert people["uma"].delete(f"{API}/conversation/thea?up_to={2**63 - 1}").status_code == 204
    assert history(people["uma"], "thea") == []


def test_a_conversation_names_the_rule_that_refuses_a_reply(people: dict[str, Client]) -> None:
    assert conversation(people["uma"], "clara")["reply_refusal"] == "reply_only"
    people["ugo"].put(f"{API}/blocks/uma")
    assert conversation(people["uma"], "ugo")["reply_refusal"] == "not_allowed"
    assert conversation(people["uma"], "thea")["reply_refusal"] is None
