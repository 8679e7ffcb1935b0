"""Who may write to whom: the role matrix, the reply rule, and unknown roles."""

import sqlite3

import pytest
from support import API, conversation, delete, refusal, send

from msgsvc.testing import Client

YES, REPLY = 201, 403
ROLES = ["therapist", "clinician", "user", "admin"]

# from \ to      therapist clinician user admin
MATRIX = {
    "therapist": [YES, YES, YES, YES],
    "clinician": [YES, YES, YES, YES],
    "user": [YES, REPLY, YES, YES],
    "admin": [YES, YES, YES, YES],
}
CELLS = [(sender, ROLES[column], status) for sender, row in MATRIX.items() for column, status in enumerate(row)]


def write(sender: Client, recipient: str) -> int:
    return sender.post(f"{API}/send", json={"recipient": recipient, "content": "Hello"}).status_code


@pytest.mark.parametrize(("sender", "recipient", "status"), CELLS)
def test_who_may_begin(client: Client, sender: str, recipient: str, status: int) -> None:
    caller = client.as_user("from", sender)
    client.as_user("to", recipient)

    assert conversation(caller, "to")["can_reply"] is (status == 201)
    assert write(caller, "to") == status


@pytest.mark.parametrize(("beginner", "other"), [(sender, other) for sender, other, status in CELLS if status == YES])
def test_recipient_may_reply(client: Client, beginner: str, other: str) -> None:
    first, second = client.as_user("from", beginner), client.as_user("to", other)
    send(first, "to")

    assert write(second, "from") == 201


def test_a_reply_is_refused_with_this_sentence(people: dict[str, Client]) -> None:
    response = people["uma"].post(f"{API}/send", json={"recipient": "clara", "content": "Hello"})

    assert response.status_code == 403
    assert response.json == {"error": "Users may only reply to clinicians", "code": "reply_only"}


def test_only_the_user_who_was_written_to_may_reply(client: Client, people: dict[str, Client]) -> None:
    carl = client.as_user("carl", "clinician")
    send(people["clara"], "uma")
    send(carl, "ugo")

    assert write(people["uma"], "clara") == 201
    assert write(people["ugo"], "clara") == 403
    assert write(people["uma"], "carl") == 403


def test_deletion_does_not_revoke_the_reply(people: dict[str, Client]) -> None:
    message_id = send(people["clara"], "uma")
    for name in ("clara", "uma"):
        assert delete(people[name], message_id).status_code == 204

    assert write(people["uma"], "clara") == 201


def test_a_message_that_a_host_wrote_opens_the_reply(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('clara', 'uma', 'Hi')")

    assert write(people["uma"], "clara") == 201


def test_the_users_own_messages_do_not_open_the_reply(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('uma', 'clara', 'Hi')")

    assert write(people["uma"], "clara") == 403


def test_a_role_counts_from_the_next_request(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.execute("UPDATE users SET role = 'therapist' WHERE username = 'uma'")
    assert write(people["uma"], "clara") == 201
    host.execute("UPDATE users SET role = 'user' WHERE username = 'uma'")
    assert write(people["uma"], "clara") == 403
    host.execute("UPDATE users SET role = 'admin' WHERE username = 'clara'")
    assert write(people["uma"], "clara") == 201


@pytest.mark.parametrize("role", ["guest", "", "User", "user ", "ADMIN", "therapist,admin", "\u0430dmin"])
def test_unknown_role_neither_sends_nor_receives(
    people: dict[str, Client], host: sqlite3.Connection, role: str
) -> None:
    message_id = send(people["thea"], "ugo")
    host.execute("UPDATE users SET role = ? WHERE username = 'ugo'", (role,))

    for sender, recipient in (("ugo", "thea"), ("ugo", "uma"), ("thea", "ugo"), ("adam", "ugo"), ("uma", "ugo")):
        response = people[sender].post(f"{API}/send", json={"recipient": recipient, "content": "Hello"})
        assert refusal(response) == (403, "not_allowed"), (sender, recipient)
    assert [message["id"] for message in conversation(people["ugo"], "thea")["messages"]] == [message_id]
