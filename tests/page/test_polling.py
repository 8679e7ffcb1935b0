"""Polling: by entity tag, in the background, never while hidden, slower on errors."""

from collections.abc import Iterator
from typing import Any

import pytest
from looks import hide, let_see, messages, requests_of, row, settle, show_again
from page_people import Hire, LogIn, Person

INBOX = "**/api/messages/inbox*"


def is_inbox(answer: Any) -> bool:
    return "/api/messages/inbox" in answer.url


@pytest.fixture
def uma(hire: Hire) -> Person:
    return hire("user")


@pytest.fixture
def page(uma: Person, hire: Hire, log_in: LogIn) -> Iterator[Any]:
    """The inbox of uma, with a conversation, at a time that stands still."""
    thea = hire("therapist")
    thea.send(uma)
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    return page


def test_each_poll_is_in_the_background_and_answered_304(page: Any) -> None:
    for _ in range(3):
        with page.expect_response(is_inbox) as answer:
            page.clock.run_for(15_000)
        assert answer.value.status == 304
        assert answer.value.request.headers["msgsvc-background"] == "1"
        settle(page)


def test_a_poll_shows_what_arrived(page: Any, uma: Person, hire: Hire) -> None:
    clara = hire("clinician")
    clara.send(uma, "from the clinic")
    with page.expect_response(is_inbox) as answer:
        page.clock.run_for(15_000)
    assert answer.value.status == 200
    row(page, clara.name).get_by_text("from the clinic").wait_for()
    assert page.title() == "(2) Messages"


def test_a_hidden_page_asks_nothing_and_asks_at_once_when_it_is_back(page: Any) -> None:
    asked = requests_of(page, "GET", "/api/")
    hide(page)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.clock.run_for(10 * 60_000)
    settle(page)
    assert asked == []
    with page.expect_response(is_inbox):
        show_again(page)
    settle(page)
    with page.expect_response(is_inbox):
        page.clock.run_for(15_000)


def test_only_one_poll_is_under_way(page: Any) -> None:
    asked = requests_of(page, "GET", "/messages/inbox")
    page.route(INBOX, lambda _route: None)
    with page.expect_request(is_inbox):
        page.clock.run_for(15_000)
    for _ in range(3):
        page.evaluate("dispatchEvent(new Event('online'))")
    page.clock.run_for(15_000)
    settle(page, held=1)
    assert len(asked) == 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "100"}], ids=["silent", "told"])
def test_polling_backs_off(page: Any, headers: dict[str, str]) -> None:
    """Without a word from the service twice as long each time, else as long as it says."""
    answer = {"status": 503, "json": {"error": "Not now", "code": "storage_busy"}, "headers": headers}
    page.route(INBOX, lambda route: route.fulfill(**answer))
    asked = requests_of(page, "GET", "/messages/inbox")
    with page.expect_event("requestfinished"):
        page.clock.run_for(15_000)
    page.get_by_text("The service does not answer.").wait_for()
    *waits, last = [100, 100, 100] if headers else [15, 30, 60, 120]
    for number, seconds in enumerate(waits, 1):
        page.clock.run_for(seconds * 1000 - 2000)
        assert len(asked) == number
        with page.expect_response(is_inbox):
            page.clock.run_for(3000)
        settle(page)
    page.unroute(INBOX)
    with page.expect_response(is_inbox):
        page.clock.run_for(last * 1000)
    page.get_by_text("The service does not answer.").wait_for(state="detached")


def test_an_open_conversation_without_news_is_not_asked_for(page: Any, uma: Person) -> None:
    (partner,) = [it["with_user"] for it in uma.call("GET", "/inbox")["conversations"]]
    row(page, partner).click()
    messages(page).wait_for()
    let_see(page)
    page.locator(".counted", has_text="Nothing unread").wait_for()
    with page.expect_response(is_inbox):
        page.clock.run_for(15_000)
    settle(page)
    asked = requests_of(page, "GET", "/conversation/")
    for _ in range(2):
        with page.expect_response(is_inbox) as answer:
            page.clock.run_for(15_000)
        assert answer.value.status == 304
        settle(page)
    assert asked == []
