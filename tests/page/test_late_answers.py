"""Answers that come late: the page shows neither what is no longer asked for nor what it has itself changed since."""

import re
from typing import Any

import pytest
from looks import (
    Hold,
    button,
    in_dialog,
    messages,
    poll_until,
    requests_of,
    row,
    settle,
    wait_for_live,
)
from page_people import Hire, LogIn, Person
from test_polling import INBOX, is_inbox

CONVERSATION = "**/api/messages/conversation/*"
AUDIT = "**/admin/audit*"
WATCH = """() => {
    const log = document.querySelector('.log');
    window.cameBack = false;
    new MutationObserver(() => { cameBack ||= log.textContent.includes('second'); })
        .observe(log, {childList: true, subtree: true});
}"""


def poll(page: Any) -> None:
    page.evaluate("dispatchEvent(new Event('online'))")


def delete(page: Any, text: str) -> None:
    page.locator(".msg", has_text=text).locator(".dots").click()
    button(page, "Delete message").click()
    in_dialog(page, "Delete message").click()


@pytest.fixture
def thea(hire: Hire) -> Person:
    return hire("therapist")


@pytest.fixture
def uma(hire: Hire) -> Person:
    return hire("user")


@pytest.fixture
def page(thea: Person, uma: Person, log_in: LogIn) -> Any:
    """The conversation of uma with thea, which the page asks for at each poll, because a receipt is awaited."""
    for text in ("first", "second", "third"):
        thea.send(uma, text)
    uma.call("PATCH", f"/conversation/{thea.name}/read")
    uma.send(thea, "fourth")
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).nth(3).wait_for()
    return page


def test_a_mark_that_the_inbox_knows_before_the_page_is_counted_once(thea: Person, uma: Person, log_in: LogIn) -> None:
    first, second = thea.send(uma, "first"), thea.send(uma, "second")
    page = log_in(uma)
    row(page, thea.name).wait_for()
    page.route(f"**/{second}/read", lambda _route: None)
    held = Hold(page, f"**/{first}/read")
    row(page, thea.name).click()
    held.wait()
    badge = row(page, thea.name).locator(".badge")
    poll_until(page, badge.filter(has_text="1 unread"))
    with page.expect_response(is_inbox):
        held.let_through()
    settle(page, held=1)
    assert badge.inner_text().startswith("1")
    assert page.title() == "(1) Messages"


def test_a_poll_that_is_asked_for_during_another_follows_it(page: Any) -> None:
    held = Hold(page, INBOX)
    poll(page)
    held.wait()
    poll(page)
    with page.expect_request(is_inbox):
        held.let_through()


def test_a_deleted_message_does_not_come_back(page: Any) -> None:
    held = Hold(page, CONVERSATION)
    poll(page)
    held.wait()
    delete(page, "second")
    wait_for_live(page, "Message deleted")
    page.evaluate(WATCH)
    with page.expect_request(CONVERSATION):
        held.let_through()
    settle(page)
    assert not page.evaluate("cameBack")
    assert messages(page).all_text_contents() == ["first", "third", "fourth"]


def test_a_deletion_that_a_poll_knows_before_the_page_takes_nothing_else(page: Any) -> None:
    held = Hold(page, re.compile(r"/messages/\d+$"))
    delete(page, "second")
    held.wait()
    poll(page)
    messages(page).get_by_text("second").wait_for(state="detached")
    held.let_through()
    wait_for_live(page, "Message deleted")
    assert messages(page).all_text_contents() == ["first", "third", "fourth"]
    assert page.locator(".msg", has_text="third").locator(".dots").evaluate("it => it === document.activeElement")


def test_the_line_that_says_loading_moves_no_message(thea: Person, uma: Person, log_in: LogIn) -> None:
    for number in range(60):
        thea.send(uma, f"message {number}")
    uma.call("PATCH", f"/conversation/{thea.name}/read")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    messages(page).nth(49).wait_for()
    page.route(CONVERSATION, lambda _route: None)
    page.evaluate("document.querySelector('.log').scrollTop = 0")
    before = messages(page).first.bounding_box()
    button(page, "Load older messages").click()
    page.clock.run_for(500)
    page.get_by_text("Loading older messages…").wait_for()
    assert messages(page).first.bounding_box() == before


@pytest.fixture
def audit(hire: Hire, log_in: LogIn, uma: Person) -> Any:
    """The audit, with the answer to its first question still held."""
    adam = hire("admin")
    for _ in range(51):
        adam.call("GET", f"/admin/conversations?username={uma.name}")
        adam.call("GET", f"/admin/conversation/{uma.name}/{adam.name}?reason=asked")
    return log_in(adam)


def test_a_question_that_was_asked_before_shows_nothing_any_more(audit: Any) -> None:
    held = Hold(audit, AUDIT)
    audit.evaluate("location.hash = '#/audit'")
    held.wait()
    audit.get_by_label("What").select_option("conversation_viewed")
    button(audit, "Show").click()
    rows = audit.locator("tbody tr")
    rows.nth(49).wait_for()
    with audit.expect_response(AUDIT):
        held.let_through()
    settle(audit)
    assert rows.filter(has_text="asked").count() == rows.count() == 50


def test_older_entries_are_those_of_the_question_that_was_asked(audit: Any) -> None:
    audit.evaluate("location.hash = '#/audit'")
    button(audit, "Load older entries").wait_for()
    asked = requests_of(audit, "GET", "/admin/audit")
    audit.get_by_label("Who").fill("somebody else")
    button(audit, "Load older entries").click()
    wait_for_live(audit, "50 more rows")
    assert [request.url for request in asked if "actor" in request.url] == []


def test_a_page_that_is_left_waits_for_no_answer(hire: Hire, log_in: LogIn, thea: Person) -> None:
    for _ in range(21):
        thea.send(hire("user"))
    page = log_in(thea)
    page.route("**/inbox?page=2*", lambda _route: None)
    with page.expect_request("**/inbox?page=2*"):
        button(page, "Load more conversations").click()
    with page.expect_event("requestfailed"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    assert page.locator("a.conv").count() == 0


@pytest.mark.parametrize("script", ["conversation", "composer"])
def test_scripts_that_do_not_come_are_asked_for_again(hire: Hire, log_in: LogIn, thea: Person, script: str) -> None:
    uma = hire("user")
    thea.send(uma, "Hello")
    page = log_in(uma)
    page.route(f"**/{script}.js", lambda route: route.abort())
    page.reload()
    row(page, thea.name).click()
    page.get_by_text("The service does not answer").wait_for()
    page.unroute(f"**/{script}.js")
    button(page, "Try again").click()
    messages(page).get_by_text("Hello").wait_for()


def test_another_view_that_is_chosen_meanwhile_stays(hire: Hire, log_in: LogIn, thea: Person, uma: Person) -> None:
    sam = hire("therapist", "sam")
    thea.send(uma, "from thea")
    sam.send(uma, "from sam")
    page = log_in(uma)
    held = Hold(page, "**/log.js")
    page.reload()
    row(page, thea.name).click()
    held.wait()
    row(page, sam.name).click()
    held.let_through()
    messages(page).get_by_text("from sam").wait_for()
    assert page.locator(".thread").count() == 1
    assert messages(page).all_text_contents() == ["from sam"]
