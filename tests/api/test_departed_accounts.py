"""What the inbox lists and the badge counts can be opened, also when the partner's account is gone or renamed."""

import sqlite3

import pytest
from postgresql_server import Host
from support import API, conversation, faults, history, inbox, mark_read, refusal, send, unread

from msgsvc.errors import ApiError
from msgsvc.testing import Client

LOOK = f"{API}/admin/conversation/thea/uma?reason=asked"


@pytest.fixture
def departed(people: dict[str, Client], host: sqlite3.Connection) -> int:
    """The id of a message from thea to uma; thea's account is gone."""
    if isinstance(host, Host):
        host.drop_foreign_keys()
    message_id = send(people["thea"], "uma", "Are you there?")
    host.execute("DELETE FROM users WHERE username = 'thea'")
    return message_id


def test_a_message_of_a_deleted_account_is_listed_opened_read_and_hidden(
    people: dict[str, Client], departed: int
) -> None:
    uma = people["uma"]
    (row,) = inbox(uma)["conversations"]
    assert (row["with_user"], row["with_role"], row["unread_count"]) == ("thea", None, 1)
    opened = conversation(uma, "thea")
    assert [message["id"] for message in opened["messages"]] == [departed]
    assert (opened["can_reply"], opened["reply_refusal"], opened["with_role"]) == (False, None, None)
    assert uma.patch(f"{API}/conversation/thea/read").json == {"with_user": "thea", "marked": 1}
    assert unread(uma) == 0
    assert uma.delete(f"{API}/conversation/thea").status_code == 204
    assert inbox(uma)["conversations"] == []


def test_a_deleted_account_without_a_visible_message_is_nobody(people: dict[str, Client], departed: int) -> None:
    uma, ugo = people["uma"], people["ugo"]
    assert uma.delete(f"{API}/{departed}").status_code == 204
    for caller in (uma, ugo):
        for method, path in (("GET", ""), ("PATCH", "/read"), ("DELETE", "")):
            answer = caller.open(f"{API}/conversation/thea{path}", method=method)
            assert refusal(answer) == (404, "user_not_found")


def test_an_admin_can_look_at_what_the_remaining_side_sees(people: dict[str, Client], departed: int) -> None:
    assert [message["id"] for message in people["adam"].get(LOOK).json["messages"]] == [departed]
    people["uma"].delete(f"{API}/{departed}")
    people["adam"].get(LOOK)
    assert [message["id"] for message in people["adam"].get(LOOK).json["messages"]] == [departed]


def test_a_deleted_account_cannot_be_written_to_and_may_be_blocked(people: dict[str, Client], departed: int) -> None:
    answer = people["uma"].post(f"{API}/send", json={"recipient": "thea", "content": "Hello"})
    assert refusal(answer) == (404, "recipient_not_found")
    assert people["uma"].put(f"{API}/blocks/thea").status_code == 204
    assert people["uma"].delete(f"{API}/blocks/thea").status_code == 204
    assert refusal(people["ugo"].put(f"{API}/blocks/thea")) == (404, "user_not_found")


def test_a_renamed_account_keeps_messages_blocks_and_suspension(
    people: dict[str, Client], host: sqlite3.Connection, database: str
) -> None:
    first, second = send(people["thea"], "uma"), send(people["uma"], "thea")
    people["thea"].put(f"{API}/blocks/ugo")
    for foreign_keys in ("ON", "OFF"):
        new, old = ("theodora", "thea") if foreign_keys == "ON" else ("dora", "theodora")
        host.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        host.execute("UPDATE users SET username = ? WHERE username = ?", (new, old))
        assert history(people["uma"], new) == [first, second]
        assert [row["with_user"] for row in inbox(people["uma"])["conversations"]] == [new]
        assert refusal(people["uma"].get(f"{API}/conversation/{old}")) == (404, "user_not_found")
        answer = people["ugo"].post(f"{API}/send", json={"recipient": new, "content": "Hello"})
        assert refusal(answer) == (403, "not_allowed")
        assert history(people["thea"], "uma") == [first, second]
    host.execute("INSERT INTO msgsvc_suspensions (username, suspended_at) VALUES ('ugo', '2026-01-01')")
    host.execute("UPDATE users SET username = 'hugo' WHERE username = 'ugo'")
    assert refusal(people["ugo"].get(f"{API}/inbox")) == (403, "account_suspended")
    assert faults(database) == []


def test_a_renamed_account_stays_blocked(people: dict[str, Client], host: sqlite3.Connection) -> None:
    people["thea"].put(f"{API}/blocks/ugo")
    host.execute("UPDATE users SET username = 'hugo' WHERE username = 'ugo'")
    answer = people["ugo"].post(f"{API}/send", json={"recipient": "thea", "content": "Hello"})
    assert refusal(answer) == (403, "not_allowed")


@pytest.mark.parametrize("renamed", ["clara", "uma"])
def test_a_rename_keeps_the_right_to_reply_when_the_messages_are_gone(
    people: dict[str, Client], host: sqlite3.Connection, renamed: str
) -> None:
    send(people["clara"], "uma")
    host.execute("DELETE FROM messages")
    host.execute("UPDATE users SET username = username || '2' WHERE username = ?", (renamed,))
    send(people["uma"], "clara2" if renamed == "clara" else "clara")


@pytest.mark.parametrize(
    ("name", "status"), [("a/b", 404), (".", 404), ("..", 404), ("x" * 256, 400), ("", 400), ("a\0b", 400)]
)
def test_a_name_that_no_path_can_carry_counts_for_nobody(
    people: dict[str, Client], host: sqlite3.Connection, database: str, name: str, status: int
) -> None:
    host.execute("INSERT INTO users (username, role) VALUES (?, 'therapist')", (name,))
    insert = "INSERT INTO messages (sender_username, recipient_username, content) VALUES (?, ?, 'Hello')"
    host.execute(insert, (name, "uma"))
    host.execute(insert, ("uma", name))
    assert inbox(people["uma"])["conversations"] == []
    assert unread(people["uma"]) == 0
    assert people["adam"].get(f"{API}/admin/conversations").json["conversations"] == []
    assert people["adam"].get(f"{API}/recipients").json["recipients"][0]["username"] == "clara"
    answer = people["uma"].post(f"{API}/send", json={"recipient": name, "content": "Hello"})
    assert answer.status_code == status
    assert faults(database) == []


def test_a_forgotten_name_starts_empty_and_the_others_keep_what_they_see(
    people: dict[str, Client], host: sqlite3.Connection, client: Client
) -> None:
    kept = [send(people["clara"], "uma"), send(people["uma"], "clara")]
    people["uma"].put(f"{API}/blocks/ugo")
    people["adam"].patch("/api/users/uma", json={"suspended": True})

    client.app.forget("uma")

    assert refusal(people["uma"].get(f"{API}/inbox"))[0] == 401
    uma = client.as_user("uma")
    assert (inbox(uma)["conversations"], unread(uma)) == ([], 0)
    assert uma.get(f"{API}/blocks").json == {"blocks": []}
    assert refusal(uma.post(f"{API}/send", json={"recipient": "clara", "content": "x"})) == (403, "reply_only")
    assert history(people["clara"], "uma") == kept
    assert people["adam"].get(f"{API}/admin/audit").json["audit"][0]["action"] == "user_forgotten"
    send(people["clara"], "uma")
    send(uma, "clara")


def test_forgetting_goes_over_a_long_history_in_parts(
    people: dict[str, Client], host: sqlite3.Connection, client: Client, database: str
) -> None:
    with host:
        host.executemany(
            "INSERT INTO messages (sender_username, recipient_username, content) VALUES (?, ?, 'x')",
            [("thea", "uma"), ("uma", "thea")] * 600,
        )
    client.app.forget("uma")
    assert inbox(client.as_user("uma"))["conversations"] == []
    assert len(history(people["thea"], "uma", "?limit=200")) == 200
    assert faults(database) == []


def test_put_account_adds_and_changes_an_account(client: Client) -> None:
    client.app.put_account("vic", "user")
    assert conversation(client.as_user("thea", "therapist"), "vic")["with_role"] == "user"
    client.app.put_account("vic", "left")
    thea = client.as_user("thea")
    assert refusal(thea.post(f"{API}/send", json={"recipient": "vic", "content": "x"})) == (403, "not_allowed")
    client.app.put_account("vic", "user")
    send(thea, "vic")


@pytest.mark.parametrize("name", ["a/b", ".", "..", "", "x" * 256, "nul\0", "\ud800"])
def test_put_account_leaves_out_a_name_that_no_path_can_carry(
    client: Client, name: str, caplog: pytest.LogCaptureFixture, host: sqlite3.Connection
) -> None:
    client.app.put_account(name, "user")
    assert host.execute("SELECT count(*) FROM users").fetchone() == (0,)
    assert f"put_account left out {name!r:.64}" in caplog.text
    caplog.text.encode()


def test_put_account_names_the_bad_field(client: Client) -> None:
    with pytest.raises(ApiError, match="role is required: 1 to 255 characters"):
        client.app.put_account("vic", "")


def test_marking_read_a_message_of_a_deleted_account(people: dict[str, Client], departed: int) -> None:
    assert mark_read(people["uma"], departed).status_code == 200


@pytest.mark.parametrize("renamed", ["clara", "uma"])
def test_a_rename_gives_back_no_right_to_reply_that_was_closed(
    client: Client, people: dict[str, Client], host: sqlite3.Connection, renamed: str
) -> None:
    send(people["clara"], "uma")
    client.app.forget("clara")
    host.execute("UPDATE users SET username = username || '2' WHERE username = ?", (renamed,))
    clara = "clara2" if renamed == "clara" else "clara"
    answer = people["uma"].post(f"{API}/send", json={"recipient": clara, "content": "Hello"})
    assert refusal(answer) == (403, "reply_only")
