"""The page asks for the session and for the inbox at once, and either answer may come first."""

from typing import Any

import pytest
from looks import Hold, button, heading, poll_until, row, settle
from page_people import Hire, LogIn, Person

SESSION = "**/api/auth/session"
INBOX = "**/api/messages/inbox*"
MADE = "made by somebody else"


def asked(page: Any, address: str) -> Any:
    """The answer from an address to the page when it starts again."""
    return page.expect_response(lambda answer: address.strip("*") in answer.url)


@pytest.fixture(params=[SESSION, INBOX], ids=["session late", "inbox late"])
def late(request: pytest.FixtureRequest) -> str:
    """The answer that comes after the other one."""
    return str(request.param)


def restart(page: Any, late: str) -> None:
    """Loads the page again, and lets one of the two answers wait for the other."""
    held = Hold(page, late)
    with asked(page, INBOX if late == SESSION else SESSION) as first:
        page.reload()
    first.value.finished()
    held.let_through()


def test_the_inbox_and_a_deep_link_open(hire: Hire, log_in: LogIn, late: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma, f"#/conversation/{thea.name}")
    heading(page, thea.name).wait_for()
    restart(page, late)
    heading(page, thea.name).wait_for()
    row(page, thea.name).wait_for()


def test_an_ended_session_leads_to_the_login(hire: Hire, log_in: LogIn, late: str) -> None:
    uma = hire("user")
    page = log_in(uma)
    uma.end_sessions()
    restart(page, late)
    heading(page, "Log in").wait_for()
    assert page.get_by_text("You were logged out.").count() == 1
    assert page.locator(".list").count() == 0


def must_change(page: Any, person: Person, adam: Person) -> None:
    """From now on the session of the page is one that must change its password."""
    body = {"password": MADE, "must_change_password": True}
    adam.call("PATCH", f"/users/{person.name}", body, under="/api")
    body = {"username": person.name, "password": MADE}
    token = person.service.call("POST", "/api/auth/login", body).json["token"]
    page.evaluate("token => sessionStorage.setItem('msgsvc.session', token)", token)


def test_who_must_change_the_password_comes_to_the_inbox_afterwards(hire: Hire, log_in: LogIn, late: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    must_change(page, uma, hire("admin"))
    restart(page, late)
    page.get_by_label("Current password").fill(MADE)
    page.get_by_label("New password").fill("tea on the balcony")
    button(page, "Save").click()
    row(page, thea.name).wait_for()


def test_a_late_answer_of_the_inbox_leaves_a_new_password_in_its_field(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma)
    must_change(page, uma, hire("admin"))
    held = Hold(page, INBOX)
    page.reload()
    page.get_by_label("New password").fill("tea on the balcony")
    held.let_through()
    settle(page)
    assert page.get_by_label("New password").input_value() == "tea on the balcony"


def test_without_a_session_the_answer_of_the_inbox_is_not_shown(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    held = Hold(page, INBOX)
    page.route(SESSION, lambda route: route.abort())
    page.reload()
    page.get_by_text("The service does not answer").wait_for()
    with asked(page, INBOX):
        held.let_through()
    assert page.locator(".list").count() == 0
    assert page.title() == "Messages"


def open_unread(hire: Hire, log_in: LogIn) -> tuple[Person, Person, Any]:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    row(page, thea.name).locator(".badge").wait_for()
    return thea, uma, page


def test_a_message_read_before_the_inbox_answers_is_not_counted(hire: Hire, log_in: LogIn) -> None:
    thea, _, page = open_unread(hire, log_in)
    page.evaluate(f"history.replaceState(null, '', '#/conversation/{thea.name}')")
    held = Hold(page, INBOX)
    with page.expect_response("**/read"):
        page.reload()
    with asked(page, INBOX), asked(page, INBOX):
        held.let_through()
    row(page, thea.name).wait_for()
    assert row(page, thea.name).locator(".badge").count() == 0
    assert page.title() == "Messages"


def test_a_message_read_while_the_page_polls_does_not_arrive_again(hire: Hire, log_in: LogIn) -> None:
    thea, uma, page = open_unread(hire, log_in)
    thea.send(uma)
    held = Hold(page, INBOX)
    page.evaluate("dispatchEvent(new Event('online'))")
    with page.expect_response("**/read"):
        row(page, thea.name).click()
    held.let_through()
    row(page, thea.name).locator(".badge").wait_for(state="detached")
    clara = hire("therapist", "clara")
    clara.send(uma)
    poll_until(page, row(page, clara.name))
    assert page.locator("#live").text_content() == f"New message from {clara.name}"
