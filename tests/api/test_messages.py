"""Single messages: send with its Idempotency-Key, mark read, delete."""

import sqlite3
from typing import Any

import pytest
from support import API, conversation, delete, history, inbox, mark_read, refusal, send, unread
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.testing import Client, Clock

HOUR = 3600


def send_keyed(sender: Client, key: str, **body: Any) -> TestResponse:
    body = {"recipient": "thea", "content": "Hello", **body}
    return sender.post(f"{API}/send", json=body, headers={"Idempotency-Key": key})


def count_messages(host: sqlite3.Connection) -> int:
    return host.execute("SELECT count(*) FROM messages").fetchone()[0]


@pytest.mark.parametrize("content", ["x", "x" * 5000, "\U0001f642" * 5000, "  spaced  ", "\u200bx", " " * 4999 + "x"])
def test_content_is_stored_exactly_as_sent(people: dict[str, Client], content: str) -> None:
    send(people["uma"], "thea", content)

    assert conversation(people["thea"], "uma")["messages"][0]["content"] == content


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({}, None),
        ({"subject": None}, None),
        ({"subject": ""}, None),
        ({"subject": " "}, " "),
        ({"subject": "x" * 100}, "x" * 100),
        ({"subject": "\U0001f642" * 100}, "\U0001f642" * 100),
    ],
)
def test_an_empty_subject_is_none(people: dict[str, Client], body: dict[str, Any], shown: str | None) -> None:
    send(people["uma"], "thea", **body)

    assert conversation(people["thea"], "uma")["messages"][0]["subject"] == shown


@pytest.mark.parametrize("length", [5001, 6000])
def test_blanks_count_towards_the_length(people: dict[str, Client], length: int) -> None:
    response = people["uma"].post(f"{API}/send", json={"recipient": "thea", "content": "x".ljust(length)})

    assert refusal(response) == (400, "invalid_field")


@pytest.mark.parametrize("name", ["THEA", "Thea", "thea ", " thea", "th\u00e9a", "the\u0430"])
def test_names_are_compared_exactly(people: dict[str, Client], name: str) -> None:
    response = people["uma"].post(f"{API}/send", json={"recipient": name, "content": "Hello"})

    assert refusal(response) == (404, "recipient_not_found")


def test_a_repeat_with_the_same_key_stores_nothing(
    people: dict[str, Client], host: sqlite3.Connection, clock: Clock
) -> None:
    first = send_keyed(people["uma"], "k1")
    clock.advance(60)
    again = send_keyed(people["uma"], "k1")

    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (201, None)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json == first.json
    assert count_messages(host) == 1
    assert unread(people["thea"]) == 1


def test_without_a_key_a_repeat_is_another_message(people: dict[str, Client], host: sqlite3.Connection) -> None:
    assert send(people["uma"], "thea") != send(people["uma"], "thea")
    assert count_messages(host) == 2


@pytest.mark.parametrize("same", [{"subject": None}, {"subject": ""}])
def test_a_subject_left_out_is_the_same_body(people: dict[str, Client], same: dict[str, Any]) -> None:
    send_keyed(people["uma"], "k1")

    assert send_keyed(people["uma"], "k1", **same).headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("other", [{"content": "Other"}, {"subject": "Other"}, {"recipient": "ugo"}])
def test_the_same_key_with_another_body_is_refused(
    people: dict[str, Client], host: sqlite3.Connection, other: dict[str, str]
) -> None:
    send_keyed(people["uma"], "k1")

    assert refusal(send_keyed(people["uma"], "k1", **other)) == (422, "idempotency_key_reused")
    assert count_messages(host) == 1


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"content": " "}, (400, "missing_field")),
        ({"recipient": "uma"}, (400, "self_message")),
        ({"recipient": "nobody"}, (404, "recipient_not_found")),
        ({"recipient": "clara"}, (403, "reply_only")),
    ],
)
def test_used_key_is_checked_after_all_other_rules(
    people: dict[str, Client], other: dict[str, str], expected: tuple[int, str]
) -> None:
    send_keyed(people["uma"], "k1")

    assert refusal(send_keyed(people["uma"], "k1", **other)) == expected


def test_a_refused_send_does_not_use_up_its_key(people: dict[str, Client]) -> None:
    uma = people["uma"]
    assert send_keyed(uma, "k1", recipient="clara").status_code == 403
    send(people["clara"], "uma")

    assert send_keyed(uma, "k1", recipient="clara").status_code == 201
    assert send_keyed(uma, "k2", recipient="nobody").status_code == 404
    assert send_keyed(uma, "k2", content="Another").status_code == 201


def test_each_sender_has_keys_of_their_own(people: dict[str, Client]) -> None:
    first, other = send_keyed(people["uma"], "k1"), send_keyed(people["ugo"], "k1")

    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json["message_id"] != other.json["message_id"]


def test_keys_are_compared_exactly(people: dict[str, Client], host: sqlite3.Connection) -> None:
    for key in ("k", "K", "k1", "~", "!" * 255):
        assert send_keyed(people["uma"], key).status_code == 201
    assert count_messages(host) == 5


@pytest.mark.parametrize(("hours", "messages"), [(23.99, 1), (24.01, 2)])
def test_a_key_holds_for_24_hours(
    client: Client, host: sqlite3.Connection, clock: Clock, hours: float, messages: int
) -> None:
    client.as_user("thea", "therapist")
    first = send_keyed(client.as_user("uma"), "k1").json
    clock.advance(hours * HOUR)
    again = send_keyed(client.as_user("uma"), "k1")

    assert again.status_code == 201
    assert (again.json == first) == (messages == 1)
    assert count_messages(host) == messages
    assert send_keyed(client.as_user("uma"), "k1").json == again.json


def test_ids_are_drawn_beyond_one_that_a_host_chose(people: dict[str, Client], host: sqlite3.Connection) -> None:
    insert = (
        "INSERT INTO messages (id, sender_username, recipient_username, content) VALUES (?, 'thea', 'uma', 'Hello')"
    )
    for chosen in (500, 50_000):
        host.execute(insert, (chosen,))
        assert send(people["clara"], "uma") == chosen + 1
    host.execute("UPDATE messages SET id = 60000 WHERE id = 500")
    assert send(people["thea"], "uma") == 60_001


def test_a_replay_gives_the_first_answer_after_the_message_was_read_and_hidden(people: dict[str, Client]) -> None:
    uma, thea = people["uma"], people["thea"]
    first = send_keyed(uma, "k1").json
    mark_read(thea, first["message_id"])
    assert send_keyed(uma, "k1").json == first
    delete(uma, first["message_id"])
    delete(thea, first["message_id"])

    replay = send_keyed(uma, "k1")
    assert (replay.status_code, replay.json, replay.headers["Idempotency-Replayed"]) == (201, first, "true")
    assert history(uma, "thea") == []


def test_a_key_holds_across_a_restart(people: dict[str, Client], database: str, clock: Clock) -> None:
    first = send_keyed(people["uma"], "k1").json
    people["uma"].close()
    restarted = Client(create_app(Settings(database=database), clock=clock))

    assert send_keyed(restarted.as_user("uma"), "k1").json == first
    restarted.close()


def test_mark_read_changes_no_other_message(people: dict[str, Client]) -> None:
    first, second = send(people["thea"], "uma"), send(people["thea"], "uma")
    mark_read(people["uma"], second)

    assert [(m["id"], m["is_read"]) for m in conversation(people["uma"], "thea")["messages"]] == [
        (first, False),
        (second, True),
    ]


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"data": b"", "content_type": "text/plain"}])
def test_read_and_delete_need_no_body(people: dict[str, Client], body: dict[str, Any]) -> None:
    message_id = send(people["thea"], "uma")

    assert people["uma"].patch(f"{API}/{message_id}/read", **body).status_code == 200
    assert people["uma"].delete(f"{API}/{message_id}", **body).status_code == 204


def test_host_read_message_without_read_at_gets_a_permanent_one(
    people: dict[str, Client], host: sqlite3.Connection, clock: Clock
) -> None:
    message_id = send(people["thea"], "uma")
    host.execute("UPDATE messages SET is_read = 1")

    assert mark_read(people["uma"], message_id).json["read_at"] == "2026-02-05T10:30:45Z"
    clock.advance(60)
    assert mark_read(people["uma"], message_id).json["read_at"] == "2026-02-05T10:30:45Z"


def test_read_at_remains_when_a_host_clears_is_read(
    people: dict[str, Client], host: sqlite3.Connection, clock: Clock
) -> None:
    message_id = send(people["thea"], "uma")
    first = mark_read(people["uma"], message_id).json
    host.execute("UPDATE messages SET is_read = 0")
    clock.advance(60)

    assert unread(people["uma"]) == 1
    assert mark_read(people["uma"], message_id).json == first
    assert unread(people["uma"]) == 0


@pytest.mark.parametrize("call", [mark_read, delete])
@pytest.mark.parametrize("message_id", [4711, 2**63 - 1])
def test_a_missing_message_is_404(people: dict[str, Client], call: Any, message_id: int) -> None:
    assert refusal(call(people["uma"], message_id)) == (404, "message_not_found")


# sender thea, recipient uma, third person ugo: who hid the message, who calls → answers
STANDING = [
    # hidden by         caller  mark read                   delete
    ([], "thea", (403, "not_recipient"), (204, None)),
    ([], "uma", (200, None), (204, None)),
    ([], "ugo", (403, "not_participant"), (403, "not_participant")),
    (["thea"], "thea", (404, "message_not_found"), (404, "message_not_found")),
    (["thea"], "uma", (200, None), (204, None)),
    (["thea"], "ugo", (403, "not_participant"), (403, "not_participant")),
    (["uma"], "thea", (403, "not_recipient"), (204, None)),
    (["uma"], "uma", (404, "message_not_found"), (404, "message_not_found")),
    (["uma"], "ugo", (403, "not_participant"), (403, "not_participant")),
    (["thea", "uma"], "thea", (404, "message_not_found"), (404, "message_not_found")),
    (["thea", "uma"], "uma", (404, "message_not_found"), (404, "message_not_found")),
    (["thea", "uma"], "ugo", (404, "message_not_found"), (404, "message_not_found")),
]


@pytest.mark.parametrize(("hidden_by", "caller", "expected_read", "expected_delete"), STANDING)
def test_read_and_delete_depend_on_caller_and_visibility(
    people: dict[str, Client],
    hidden_by: list[str],
    caller: str,
    expected_read: tuple[int, str | None],
    expected_delete: tuple[int, str | None],
) -> None:
    message_id = send(people["thea"], "uma")
    for name in hidden_by:
        delete(people[name], message_id)

    for call, (status, code) in ((mark_read, expected_read), (delete, expected_delete)):
        response = call(people[caller], message_id)
        assert response.status_code == status
        assert (response.json or {}).get("code") == code if response.text else code is None


def test_a_refused_call_changes_nothing(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma")
    mark_read(people["thea"], message_id)
    mark_read(people["ugo"], message_id)
    delete(people["ugo"], message_id)

    assert unread(people["uma"]) == 1
    assert history(people["uma"], "thea") == history(people["thea"], "uma") == [message_id]


@pytest.mark.parametrize(("hider", "other"), [("thea", "uma"), ("uma", "thea")])
def test_hiding_one_side_changes_nothing_for_the_other(people: dict[str, Client], hider: str, other: str) -> None:
    message_ids = [send(people["thea"], "uma"), send(people["uma"], "thea"), send(people["thea"], "uma")]
    before = inbox(people[other]), conversation(people[other], hider), unread(people[other])
    for message_id in message_ids:
        assert delete(people[hider], message_id).status_code == 204

    assert (inbox(people[other]), conversation(people[other], hider), unread(people[other])) == before
    assert (inbox(people[hider])["conversations"], history(people[hider], other), unread(people[hider])) == ([], [], 0)


def test_a_message_that_both_hid_is_marked_deleted_at_that_moment(
    people: dict[str, Client], host: sqlite3.Connection, clock: Clock
) -> None:
    message_id = send(people["thea"], "uma")
    delete(people["uma"], message_id)
    clock.advance(60)
    delete(people["thea"], message_id)

    assert host.execute("SELECT deleted_at FROM messages").fetchone() == ("2026-02-05 10:31:45",)


def test_id_of_a_deleted_message_is_not_reused(people: dict[str, Client]) -> None:
    message_id = send(people["thea"], "uma")
    delete(people["thea"], message_id)
    delete(people["uma"], message_id)

    assert send(people["thea"], "uma") > message_id
