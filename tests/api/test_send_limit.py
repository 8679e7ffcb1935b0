"""The send limit: a burst, then the configured number of messages a minute."""

from collections.abc import Callable
from contextlib import closing

import pytest
from support import API, refusal, send
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.handlers.messages import SEND_BURST
from msgsvc.testing import Client, Clock

BODY = {"recipient": "uma", "content": "Hello"}


@pytest.fixture
def limited(database: str, clock: Clock) -> Callable[..., Client]:
    """Applications on the same file, with the default limit unless told otherwise."""

    def application(**settings: int) -> Client:
        return Client(create_app(Settings(database=database, **settings), clock=clock))

    return application


def sending(sender: Client, **headers: str) -> TestResponse:
    return sender.post(f"{API}/send", json=BODY, headers={name.replace("_", "-"): to for name, to in headers.items()})


def spend_the_burst(sender: Client) -> None:
    assert [sending(sender).status_code for _ in range(SEND_BURST)] == [201] * SEND_BURST


def refused_for(answer: TestResponse) -> int:
    assert refusal(answer) == (429, "too_many_messages")
    return int(answer.headers["Retry-After"])


def test_the_defaults_are_the_documented_ones() -> None:
    assert (Settings().send_rate, SEND_BURST) == (60, 20)


@pytest.mark.parametrize("rate", [1, 7, 60, 6000])
def test_after_the_burst_the_answer_tells_when_the_next_message_may_be_sent(
    limited: Callable[..., Client], clock: Clock, rate: int
) -> None:
    """Retry-After is exact to the second."""
    with closing(limited(send_rate=rate)) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        spend_the_burst(thea)
        for _ in range(3):
            wait = refused_for(sending(thea))
            clock.advance(wait - 1)
            assert refused_for(sending(thea)) == 1
            clock.advance(1)
            assert sending(thea).status_code == 201
            if rate > 60:
                assert [sending(thea).status_code for _ in range(SEND_BURST - 1)] == [201] * (SEND_BURST - 1)


def test_burst_refills_with_time_up_to_its_size(limited: Callable[..., Client], clock: Clock) -> None:
    with closing(limited()) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        spend_the_burst(thea)
        clock.advance(7)
        assert [sending(thea).status_code for _ in range(8)] == [201] * 7 + [429]
        clock.advance(86_400 / 100)
        spend_the_burst(thea)
        refused_for(sending(thea))


def test_one_minute_allows_at_most_the_rate_plus_one_burst(limited: Callable[..., Client], clock: Clock) -> None:
    with closing(limited()) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        accepted = 0
        for _ in range(240):
            accepted += sending(thea).status_code == 201
            clock.advance(0.25)
        assert accepted == 60 + SEND_BURST - 1


def test_zero_turns_the_limit_off(limited: Callable[..., Client]) -> None:
    with closing(limited(send_rate=0)) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        for _ in range(2):
            spend_the_burst(thea)


def test_what_is_refused_or_replayed_does_not_count(limited: Callable[..., Client]) -> None:
    with closing(limited()) as client:
        uma, thea = client.as_user("uma"), client.as_user("thea", "therapist")
        client.as_user("clara", "clinician")
        first = sending(thea, Idempotency_Key="k")
        for _ in range(SEND_BURST):
            again = sending(thea, Idempotency_Key="k")
            assert (again.status_code, again.json) == (201, first.json)
            assert thea.post(f"{API}/send", json={**BODY, "recipient": "nobody"}).status_code == 404
            assert thea.post(f"{API}/send", json={**BODY, "content": " "}).status_code == 400
            other = thea.post(f"{API}/send", json={**BODY, "content": "Other"}, headers={"Idempotency-Key": "k"})
            assert other.status_code == 422
            assert uma.post(f"{API}/send", json={**BODY, "recipient": "clara"}).status_code == 403
        assert [sending(thea).status_code for _ in range(SEND_BURST)] == [201] * (SEND_BURST - 1) + [429]
        # A replay is answered even while the limit refuses new messages.
        assert sending(thea, Idempotency_Key="k").status_code == 201
        send(uma, "thea")


def test_a_send_refused_by_the_limit_leaves_its_key_unused(limited: Callable[..., Client], clock: Clock) -> None:
    with closing(limited()) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        spend_the_burst(thea)
        clock.advance(refused_for(sending(thea, Idempotency_Key="k")))
        answer = sending(thea, Idempotency_Key="k")
        assert answer.status_code == 201
        assert "Idempotency-Replayed" not in answer.headers


def test_each_sender_has_a_limit_of_their_own(limited: Callable[..., Client]) -> None:
    with closing(limited()) as client:
        thea, tara = client.as_user("thea", "therapist"), client.as_user("tara", "therapist")
        client.as_user("uma")
        spend_the_burst(thea)
        spend_the_burst(tara)


def test_the_limit_is_one_for_all_processes_and_outlives_a_restart(limited: Callable[..., Client]) -> None:
    with closing(limited()) as one, closing(limited()) as other:
        one.as_user("uma")
        in_one, in_other = one.as_user("thea", "therapist"), other.as_user("thea", "therapist")
        for _ in range(SEND_BURST // 2):
            assert [sending(in_one).status_code, sending(in_other).status_code] == [201, 201]
        refused_for(sending(in_one))
        refused_for(sending(in_other))
    with closing(limited()) as restarted:
        refused_for(sending(restarted.as_user("thea", "therapist")))
