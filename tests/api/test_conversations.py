"""Conversations: inbox, unread badge, history, and what is done to all of a conversation."""

import sqlite3
from typing import Any

import pytest
from support import API, conversation, delete, history, inbox, mark_read, refusal, send, unread
from werkzeug.test import TestResponse

from msgsvc.testing import Client, Clock


def partners(answer: dict[str, Any]) -> list[str]:
    return [row["with_user"] for row in answer["conversations"]]


def mark_all_read(caller: Client, partner: str, body: dict[str, int] | None = None) -> dict[str, Any]:
    response = caller.patch(f"{API}/conversation/{partner}/read", json=body or {})
    assert response.status_code == 200, response.text
    return response.json


def hide(caller: Client, partner: str) -> TestResponse:
    return caller.delete(f"{API}/conversation/{partner}")


def test_an_empty_inbox(people: dict[str, Client]) -> None:
    assert inbox(people["uma"]) == {
        "conversations": [],
        "total_unread": 0,
        "page": 1,
        "page_size": 20,
        "total_conversations": 0,
    }
    assert people["uma"].get(f"{API}/unread").json == {"total_unread": 0}


def test_preview_time_and_direction_come_from_the_newest_message(people: dict[str, Client], clock: Clock) -> None:
    send(people["uma"], "thea", "first")
    send(people["thea"], "uma", "second, in the same second")
    row = {
        "last_message": "second, in the same second",
        "last_message_time": "2026-02-05T10:30:45Z",
    }
    assert inbox(people["uma"])["conversations"] == [
        {"with_user": "thea", "unread_count": 1, "is_latest_from_them": True, **row}
    ]
    assert inbox(people["thea"])["conversations"] == [
        {"with_user": "uma", "unread_count": 1, "is_latest_from_them": False, **row}
    ]


def test_the_newest_message_is_the_one_with_the_highest_id(people: dict[str, Client], clock: Clock) -> None:
    send(people["thea"], "uma", "sent first, at a later time")
    clock.advance(-3600)
    send(people["uma"], "thea", "sent last, at an earlier time")

    (row,) = inbox(people["uma"])["conversations"]
    assert row["last_message"] == "sent last, at an earlier time"
    assert row["last_message_time"] == "2026-02-05T09:30:45Z"
    assert row["is_latest_from_them"] is False


def test_a_hidden_newest_message_gives_way_to_its_predecessor(people: dict[str, Client], clock: Clock) -> None:
    send(people["uma"], "thea", "older")
    clock.advance(60)
    newest = send(people["thea"], "uma", "newest")
    delete(people["uma"], newest)

    assert inbox(people["uma"])["conversations"] == [
        {
            "with_user": "thea",
            "last_message": "older",
            "last_message_time": "2026-02-05T10:30:45Z",
            "unread_count": 0,
            "is_latest_from_them": False,
        }
    ]
    assert inbox(people["thea"])["conversations"][0]["last_message"] == "newest"


@pytest.mark.parametrize(
    ("content", "preview"),
    [
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 97 + "..."),
        ("\U0001f642" * 100, "\U0001f642" * 100),
        ("\U0001f642" * 101, "\U0001f642" * 97 + "..."),
        ("line\nbreak", "line\nbreak"),
    ],
)
def test_a_preview_has_at_most_100_characters(people: dict[str, Client], content: str, preview: str) -> None:
    send(people["thea"], "uma", content)

    assert inbox(people["uma"])["conversations"][0]["last_message"] == preview


@pytest.fixture
def full_inbox(people: dict[str, Client], host: sqlite3.Connection) -> Client:
    """uma, to whom p00 … p24 have written; those with even numbers once more, and only theirs are unread."""
    names = [f"p{number:02}" for number in range(25)]
    host.executemany("INSERT INTO users (username, role) VALUES (?, 'user')", [(name,) for name in names])
    host.executemany(
        "INSERT INTO messages (sender_username, recipient_username, content, is_read) VALUES (?, 'uma', 'Hello', ?)",
        [(name, number % 2) for number, name in enumerate(names)],
    )
    return people["uma"]


def test_the_inbox_is_paged_newest_first(full_inbox: Client) -> None:
    pages = [inbox(full_inbox, f"?limit=10&page={page}") for page in (1, 2, 3, 4, 10**9)]

    assert [partners(page) for page in pages] == [
        [f"p{number:02}" for number in range(24, 14, -1)],
        [f"p{number:02}" for number in range(14, 4, -1)],
        [f"p{number:02}" for number in range(4, -1, -1)],
        [],
        [],
    ]
    assert {(p["total_conversations"], p["total_unread"], p["page_size"]) for p in pages} == {(25, 13, 10)}
    assert [p["page"] for p in pages] == [1, 2, 3, 4, 10**9]
    assert len(partners(inbox(full_inbox))) == 20
    assert len(partners(inbox(full_inbox, "?limit=50"))) == 25


def test_unread_only_leaves_out_what_is_read_before_paging(full_inbox: Client) -> None:
    first, second = (inbox(full_inbox, f"?unread_only=true&limit=10&page={page}") for page in (1, 2))

    assert partners(first) + partners(second) == [f"p{number:02}" for number in range(24, -1, -2)]
    assert (first["total_conversations"], first["total_unread"]) == (13, 13)
    assert inbox(full_inbox, "?unread_only=false") == inbox(full_inbox)


def test_a_conversation_moves_up_when_something_new_arrives(people: dict[str, Client]) -> None:
    for name in ("thea", "clara", "thea"):
        send(people[name], "uma")

    assert partners(inbox(people["uma"])) == ["thea", "clara"]


def test_the_unread_badge_is_the_sum_over_the_inbox(full_inbox: Client, host: sqlite3.Connection) -> None:
    for _ in range(3):
        host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('p24', 'uma', 'x')")
    newest = history(full_inbox, "p24")[-1]
    delete(full_inbox, newest)

    rows = inbox(full_inbox, "?limit=50")["conversations"]
    assert sum(row["unread_count"] for row in rows) == unread(full_inbox) == 15


@pytest.mark.parametrize("path", ["inbox", "unread", "inbox?unread_only=true&limit=10"])
def test_an_unchanged_answer_is_304(people: dict[str, Client], path: str) -> None:
    send(people["thea"], "uma")
    first = people["uma"].get(f"{API}/{path}")
    again = people["uma"].get(f"{API}/{path}", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["X-Request-ID"]
    for header in (f"W/{first.headers['ETag']}", f'"other", {first.headers["ETag"]}'):
        assert people["uma"].get(f"{API}/{path}", headers={"If-None-Match": header}).status_code == 304
    assert people["uma"].get(f"{API}/{path}", headers={"If-None-Match": '"other"'}).status_code == 200


CHANGES = [
    "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('clara', 'uma', 'Hello')",
    "UPDATE messages SET is_read = 1",
    "UPDATE messages SET deleted_at = '2026-02-05 10:30:45'",
    "UPDATE messages SET sender_username = 'clara'",
    "DELETE FROM messages",
    "INSERT OR REPLACE INTO messages (id, sender_username, recipient_username, content)"
    " SELECT id, 'clara', 'thea', content FROM messages",
]


@pytest.mark.parametrize("change", [*CHANGES, "UPDATE messages SET content = 'Changed', sent_at = '2020-01-01'"])
def test_whatever_changes_the_inbox_changes_its_etag(
    people: dict[str, Client], host: sqlite3.Connection, change: str
) -> None:
    send(people["thea"], "uma")
    first = people["uma"].get(f"{API}/inbox")
    host.execute(change)
    again = people["uma"].get(f"{API}/inbox", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 200
    assert again.json != first.json


def test_reading_changes_the_etag_of_the_badge(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma")
    first = people["uma"].get(f"{API}/unread")
    mark_read(people["uma"], message_id)
    again = people["uma"].get(f"{API}/unread", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.json) == (200, {"total_unread": 0})


def test_a_foreign_etag_never_gives_304(people: dict[str, Client]) -> None:
    """Neither another person's, nor another page's or call's, even where both answers are equal."""
    paths = ["inbox", "inbox?page=2", "inbox?limit=10", "inbox?unread_only=true", "unread"]
    tags = {
        (name, path): people[name].get(f"{API}/{path}").headers["ETag"] for name in ("uma", "ugo") for path in paths
    }
    for own in tags:
        name, path = own
        for other, tag in tags.items():
            status = people[name].get(f"{API}/{path}", headers={"If-None-Match": tag}).status_code
            assert status == (304 if other == own else 200), (own, other)


@pytest.fixture
def ten(people: dict[str, Client]) -> list[int]:
    """The ids of ten messages between thea and uma, among others'."""
    ids = []
    for number in range(10):
        ids.append(send(people["thea"], "uma") if number % 3 else send(people["uma"], "thea"))
        send(people["thea"], "ugo")
    return ids


# query, where {n} is the n-th id → which of the ten messages are shown, and has_more
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
def test_history_is_walked_by_id(
    people: dict[str, Client], ten: list[int], query: str, shown: slice, has_more: bool
) -> None:
    answer = conversation(people["uma"], "thea", query.format(*ten))

    assert [message["id"] for message in answer["messages"]] == ten[shown]
    assert answer["has_more"] is has_more


def test_hidden_messages_take_no_place_in_a_page(people: dict[str, Client], ten: list[int]) -> None:
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
    }


def test_a_conversation_without_messages_is_empty(people: dict[str, Client]) -> None:
    assert conversation(people["uma"], "ugo") == {
        "messages": [],
        "participant_count": 2,
        "has_more": False,
        "can_reply": True,
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


def test_up_to_beyond_the_newest_means_all(people: dict[str, Client], ten: list[int]) -> None:
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


def test_a_conversation_that_both_hid_is_deleted(
    people: dict[str, Client], ten: list[int], host: sqlite3.Connection
) -> None:
    hide(people["uma"], "thea")
    hide(people["thea"], "uma")

    assert history(people["thea"], "uma") == []
    count = "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL"
    assert host.execute(count).fetchone() == (10,)


def test_a_hidden_conversation_begins_anew(people: dict[str, Client], ten: list[int]) -> None:
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
def test_what_a_host_stored_that_is_no_text_breaks_no_call(
    people: dict[str, Client], host: sqlite3.Connection, column: str, value: str
) -> None:
    send(people["thea"], "uma")
    host.execute(f"UPDATE messages SET {column} = {value}")

    for path in ("inbox", "conversation/thea", "unread"):
        assert people["uma"].get(f"{API}/{path}").status_code == 200


def test_a_message_is_replaced_as_it_stands_now(people: dict[str, Client], host: sqlite3.Connection) -> None:
    """An insert that was ignored has left nothing behind that a later replacement could take for true."""
    message_id = send(people["thea"], "uma")
    insert = "INTO messages (id, sender_username, recipient_username, content) VALUES (?, 'clara', 'uma', 'Hello')"
    host.execute(f"INSERT OR IGNORE {insert}", (message_id,))
    mark_read(people["uma"], message_id)
    host.execute(f"INSERT OR REPLACE {insert}", (message_id,))

    assert partners(inbox(people["uma"])) == ["clara"]
    assert unread(people["uma"]) == 1


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
def test_a_message_that_an_update_replaced_is_gone(
    people: dict[str, Client], host: sqlite3.Connection, recursive_triggers: str
) -> None:
    first, second = send(people["thea"], "uma"), send(people["clara"], "uma")
    host.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    host.execute("UPDATE OR REPLACE messages SET id = ? WHERE id = ?", (first, second))

    assert partners(inbox(people["uma"])) == ["clara"]
    assert unread(people["uma"]) == 1
    assert history(people["uma"], "thea") == []


@pytest.mark.parametrize("message_id", [-1, 0, 2**63 - 1])
def test_a_message_with_an_odd_id_is_in_the_history_too(
    people: dict[str, Client], host: sqlite3.Connection, message_id: int
) -> None:
    sql = "INSERT INTO messages (id, sender_username, recipient_username, content) VALUES (?, 'thea', 'uma', 'Hello')"
    host.execute(sql, (message_id,))

    assert partners(inbox(people["uma"])) == ["thea"]
    assert history(people["uma"], "thea") == [message_id]
