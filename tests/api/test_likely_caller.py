"""A process remembers whose account a session stood for, to ask the database ahead. Nothing is decided by that."""

import sqlite3

from support import API, conversation, inbox, refusal, send, unread

from msgsvc.testing import Client


def test_a_session_reads_as_the_account_that_it_stands_for_now(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    uma = people["uma"]
    send(people["thea"], "uma", "For the first uma")
    assert unread(uma) == 1
    host.execute("UPDATE users SET username = 'una' WHERE username = 'uma'")
    host.execute("INSERT INTO users (username, role) VALUES ('uma', 'user')")
    for _ in range(2):
        send(people["clara"], "uma", "For the second uma")
    for _ in range(2):
        assert unread(uma) == 1
        (row,) = inbox(uma)["conversations"]
        assert row["with_user"] == "thea"
        assert conversation(uma, "clara")["messages"] == []
        assert len(conversation(uma, "thea")["messages"]) == 1
    reply = uma.post(f"{API}/send", json={"recipient": "clara", "content": "Only the second uma may reply"})
    assert refusal(reply) == (403, "reply_only")


def test_a_remembered_session_that_has_ended_is_401(people: dict[str, Client], host: sqlite3.Connection) -> None:
    uma = people["uma"]
    send(people["thea"], "uma", "sentinel")
    assert unread(uma) == 1
    host.execute("DELETE FROM msgsvc_sessions WHERE username = 'uma'")
    answers = [
        uma.get(f"{API}/unread"),
        uma.get(f"{API}/inbox"),
        uma.get(f"{API}/conversation/thea"),
        uma.post(f"{API}/send", json={"recipient": "thea", "content": "Hello"}),
    ]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert not any("sentinel" in answer.text for answer in answers)
