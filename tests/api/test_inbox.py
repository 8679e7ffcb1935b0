"""The inbox: its entries, order, pages, unread counts and ETags."""

import sqlite3

import postgresql_server
import pytest
from support import API, delete, history, inbox, mark_read, partners, send, unread

from msgsvc.testing import Client, Clock


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
        {"with_user": "thea", "with_role": "therapist", "unread_count": 1, "is_latest_from_them": True, **row}
    ]
    assert inbox(people["thea"])["conversations"] == [
        {"with_user": "uma", "with_role": "user", "unread_count": 1, "is_latest_from_them": False, **row}
    ]


def test_the_newest_message_is_the_one_with_the_highest_id(people: dict[str, Client], clock: Clock) -> None:
    send(people["thea"], "uma", "sent first, at a later time")
    clock.advance(-3600)
    people = {name: people[name].as_user(name) for name in ("thea", "uma")}
    send(people["uma"], "thea", "sent last, at an earlier time")

    (row,) = inbox(people["uma"])["conversations"]
    assert row["last_message"] == "sent last, at an earlier time"
    assert row["last_message_time"] == "2026-02-05T09:30:45Z"
    assert row["is_latest_from_them"] is False


def test_preview_skips_hidden_messages(people: dict[str, Client], clock: Clock) -> None:
    send(people["uma"], "thea", "older")
    clock.advance(60)
    newest = send(people["thea"], "uma", "newest")
    delete(people["uma"], newest)

    assert inbox(people["uma"])["conversations"] == [
        {
            "with_user": "thea",
            "with_role": "therapist",
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
    """uma's client. p00 … p24 wrote to her; those with even numbers wrote a second message, the only unread ones."""
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
    """The ETag of another person, page or call does not match, even where both answers are equal."""
    paths = ["inbox", "inbox?page=2", "inbox?limit=10", "inbox?unread_only=true", "unread"]
    tags = {
        (name, path): people[name].get(f"{API}/{path}").headers["ETag"] for name in ("uma", "ugo") for path in paths
    }
    for own in tags:
        name, path = own
        for other, tag in tags.items():
            status = people[name].get(f"{API}/{path}", headers={"If-None-Match": tag}).status_code
            assert status == (304 if other == own else 200), (own, other)


def test_etag_does_not_tell_what_the_other_side_hides(people: dict[str, Client]) -> None:
    first = send(people["thea"], "uma")
    send(people["thea"], "uma")
    uma = people["uma"]
    tag = uma.get(f"{API}/inbox").headers["ETag"]
    people["thea"].delete(f"{API}/{first}")
    assert uma.get(f"{API}/inbox", headers={"If-None-Match": tag}).status_code == 304
    people["thea"].delete(f"{API}/conversation/uma")
    assert uma.get(f"{API}/inbox", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    "change",
    [
        "sender_username = recipient_username, recipient_username = sender_username",
        "content = 'other'",
        "sent_at = '2026-01-01 10:00:00'",
    ],
)
def test_etag_changes_where_a_host_changes_the_newest_message(
    people: dict[str, Client], host: sqlite3.Connection, change: str
) -> None:
    """No count changes: the message has been read."""
    mark_read(people["uma"], send(people["thea"], "uma"))
    tags = {name: people[name].get(f"{API}/inbox").headers["ETag"] for name in ("thea", "uma")}
    host.execute(f"UPDATE messages SET {change}")
    for name, tag in tags.items():
        assert people[name].get(f"{API}/inbox", headers={"If-None-Match": tag}).status_code == 200


def test_etag_changes_with_the_role_of_a_partner(people: dict[str, Client], host: sqlite3.Connection) -> None:
    send(people["thea"], "uma")
    if isinstance(host, postgresql_server.Host):
        host.drop_foreign_keys()
    tag = people["uma"].get(f"{API}/inbox").headers["ETag"]
    for statement, role in (
        ("UPDATE users SET role = 'admin' WHERE username = 'thea'", "admin"),
        ("DELETE FROM users WHERE username = 'thea'", None),
        ("INSERT INTO users (username, role) VALUES ('thea', 'user')", "user"),
    ):
        host.execute(statement)
        answer = people["uma"].get(f"{API}/inbox", headers={"If-None-Match": tag})
        assert answer.json["conversations"][0]["with_role"] == role
        tag = answer.headers["ETag"]


def test_etag_changes_where_a_row_of_users_is_replaced(people: dict[str, Client], host: sqlite3.Connection) -> None:
    send(people["thea"], "uma")
    tag = people["uma"].get(f"{API}/inbox").headers["ETag"]
    host.execute("INSERT OR REPLACE INTO users (username, role) VALUES ('thea', 'admin')")
    answer = people["uma"].get(f"{API}/inbox", headers={"If-None-Match": tag})
    assert answer.json["conversations"][0]["with_role"] == "admin"
