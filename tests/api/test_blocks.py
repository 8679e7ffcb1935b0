"""Blocks: the three calls, and that send, can_reply and recipients always agree."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from support import refusal, send
from werkzeug.test import TestResponse

from msgsvc.handlers import blocks
from msgsvc.roles import ROLES
from msgsvc.testing import Client, Clock

People = dict[str, Client]


def test_blocked_sender_is_refused_and_unblocked_sender_is_not(people: People, client: Client) -> None:
    assert people["uma"].put("/api/messages/blocks/ugo").status_code == 204
    refused = people["ugo"].post("/api/messages/send", json={"recipient": "uma", "content": "hello"})
    assert refusal(refused) == (403, "not_allowed")
    assert people["uma"].delete("/api/messages/blocks/ugo").status_code == 204
    send(people["ugo"], "uma")


def test_blocks_of_one_account_are_bounded(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCKS_EACH_USER", 1)
    uma = people["uma"]
    people["adam"].as_user("ula", "user")
    assert uma.put("/api/messages/blocks/ugo").status_code == 204
    assert uma.put("/api/messages/blocks/ugo").status_code == 204
    assert refusal(uma.put("/api/messages/blocks/ula")) == (409, "too_many_blocks")
    assert [block["username"] for block in uma.get("/api/messages/blocks").json["blocks"]] == ["ugo"]


def test_blocker_may_still_write(people: People) -> None:
    people["uma"].put("/api/messages/blocks/ugo")
    send(people["uma"], "ugo")


def test_history_stays_readable_under_a_block(people: People) -> None:
    send(people["ugo"], "uma", "hello")
    people["uma"].put("/api/messages/blocks/ugo")
    for reader, partner in (("uma", "ugo"), ("ugo", "uma")):
        history = people[reader].get(f"/api/messages/conversation/{partner}").json
        assert [message["content"] for message in history["messages"]] == ["hello"]


def test_blocks_are_listed_with_the_first_time_and_only_to_the_blocker(people: People, clock: Clock) -> None:
    people["uma"].put("/api/messages/blocks/ugo")
    clock.advance(60)
    people["uma"].put("/api/messages/blocks/ugo")
    assert people["uma"].get("/api/messages/blocks").json == {
        "blocks": [{"username": "ugo", "blocked_at": "2026-02-05T10:30:45Z"}]
    }
    assert people["ugo"].get("/api/messages/blocks").json == {"blocks": []}


def test_unblocking_twice_is_harmless(people: People) -> None:
    people["uma"].put("/api/messages/blocks/ugo")
    assert [people["uma"].delete("/api/messages/blocks/ugo").status_code for _ in range(2)] == [204, 204]


def test_nobody_lifts_the_block_of_another(people: People) -> None:
    people["uma"].put("/api/messages/blocks/ugo")
    people["ugo"].delete("/api/messages/blocks/uma")
    assert people["ugo"].post("/api/messages/send", json={"recipient": "uma", "content": "x"}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("username", "status", "code"), [("nobody", 404, "user_not_found"), ("uma", 400, "self_block")]
)
def test_block_names_somebody_else_who_exists(
    people: People, method: str, username: str, status: int, code: str
) -> None:
    answer = people["uma"].open(f"/api/messages/blocks/{username}", method=method)
    assert refusal(answer) == (status, code)


@pytest.mark.parametrize("staff", ["thea", "clara", "adam"])
def test_user_cannot_block_staff_but_staff_can_block_a_user(people: People, staff: str) -> None:
    refused = people["uma"].put(f"/api/messages/blocks/{staff}")
    assert refusal(refused) == (400, "staff_not_blockable")
    assert people[staff].put("/api/messages/blocks/uma").status_code == 204


def test_send_can_reply_and_recipients_agree_in_every_combination(client: Client) -> None:
    """Roles, an earlier message, a block, a suspension: all combinations of all of them."""
    services = client.app.services
    allowed = 0

    def run(name: str, **parameters: object) -> None:
        services.database.write(lambda transaction: transaction.run(name, **parameters))

    for number, (sender_role, recipient_role, wrote, blocked, suspended) in enumerate(
        product(ROLES, ROLES, (False, True), (False, True), (False, True))
    ):
        names = f"from{number:03}", f"to{number:03}"
        sender, _ = client.as_user(names[0], sender_role), client.as_user(names[1], recipient_role)
        if wrote:
            run("insert_message", sender=names[1], recipient=names[0], subject=None, content="x", now="2026-01-01")
        if blocked:
            run("insert_block", caller=names[1], username=names[0], now="2026-01-01")
        if suspended:
            run("insert_suspension", username=names[1], at="2026-01-01")
        can_reply = sender.get(f"/api/messages/conversation/{names[1]}").json["can_reply"]
        listed = sender.get(f"/api/messages/recipients?q={names[1]}").json["recipients"]
        sent = sender.post("/api/messages/send", json={"recipient": names[1], "content": "x"})
        block_counts = blocked and (sender_role == "user" or recipient_role != "user")
        expected = not block_counts and not suspended
        expected = expected and (wrote or (sender_role, recipient_role) != ("user", "clinician"))
        assert (can_reply, bool(listed), sent.status_code) == (expected, expected, 201 if expected else 403), names
        allowed += expected
    assert allowed == 37


@pytest.mark.parametrize(
    ("sender", "recipient", "act"),
    [
        ("ugo", "uma", lambda people: people["uma"].put("/api/messages/blocks/ugo")),
        ("ugo", "uma", lambda people: people["adam"].patch("/api/users/uma", json={"suspended": True})),
        ("ugo", "uma", lambda people: people["adam"].patch("/api/users/ugo", json={"suspended": True})),
        ("ugo", "uma", lambda people: people["adam"].patch("/api/users/uma", json={"role": "clinician"})),
    ],
    ids=["block", "recipient suspended", "sender suspended", "role change"],
)
def test_send_after_an_answered_block_or_suspension_stores_nothing(
    people: People, host: sqlite3.Connection, sender: str, recipient: str, act: Callable[[People], TestResponse]
) -> None:
    """A send at the same moment is either stored before the block or suspension, or refused."""
    flowing, stop = threading.Event(), threading.Event()

    def keep_sending() -> list[int]:
        statuses = []
        while not stop.is_set():
            body = {"recipient": recipient, "content": "x"}
            statuses.append(people[sender].post("/api/messages/send", json=body).status_code)
            if len(statuses) == 5:
                flowing.set()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(keep_sending) for _ in range(4)]
        assert flowing.wait(60)
        assert act(people).status_code in {200, 204}
        (stored,) = host.execute("SELECT count(*) FROM messages").fetchone()
        stop.set()
    statuses = [status for future in senders for status in future.result()]
    assert set(statuses) <= {201, 403}
    assert statuses.count(201) == stored == host.execute("SELECT count(*) FROM messages").fetchone()[0]


def test_block_counts_only_while_its_owner_may_block_that_role(people: People) -> None:
    people["uma"].put("/api/messages/blocks/ugo")
    for role, status in (("therapist", 201), ("user", 403)):
        people["adam"].patch("/api/users/ugo", json={"role": role})
        answer = people["ugo"].post("/api/messages/send", json={"recipient": "uma", "content": "x"})
        assert answer.status_code == status
        assert people["ugo"].get("/api/messages/conversation/uma").json["can_reply"] is (status == 201)
        listed = people["ugo"].get("/api/messages/recipients?q=uma").json["recipients"]
        assert len(listed) == (status == 201)
