"""No state of the page has a violation that axe-core finds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from axe import violations
from looks import button, choose_person, heading, in_dialog, messages, poll_until, row, wait_for_live, write
from page_people import Hire, LogIn, Person, fill_login

SEND = "**/api/messages/send"


class Cast(NamedTuple):
    """The people of a state, and how their pages are opened."""

    thea: Person
    uma: Person
    ugo: Person
    adam: Person
    log_in: LogIn
    open_page: Callable[..., Any]

    def conversation(self, person: Person, other: Person, **options: Any) -> Any:
        page = self.log_in(person, f"#/conversation/{other.name}", **options)
        messages(page).first.wait_for()
        return page


@pytest.fixture
def cast(hire: Hire, log_in: LogIn, open_page: Callable[..., Any]) -> Cast:
    thea, uma, ugo, adam = hire("therapist"), hire("user"), hire("user"), hire("admin")
    uma.send(thea, "May I ask you something?", subject="A question")
    thea.send(uma, "Of course.")
    uma.send(thea, "Thank you.")
    return Cast(thea, uma, ugo, adam, log_in, open_page)


def login(cast: Cast) -> Any:
    page = cast.open_page()
    heading(page, "Log in").wait_for()
    return page


def login_refused(cast: Cast) -> Any:
    page = login(cast)
    fill_login(page, cast.uma.name, "not the password")
    page.get_by_text("That did not work").wait_for()
    return page


def session_ended(cast: Cast) -> Any:
    page = cast.conversation(cast.uma, cast.thea)
    cast.uma.end_sessions()
    poll_until(page, page.get_by_text("You were logged out."))
    return page


def inbox(cast: Cast) -> Any:
    page = cast.log_in(cast.thea)
    row(page, cast.uma.name).wait_for()
    return page


def empty_inbox(cast: Cast) -> Any:
    page = cast.log_in(cast.adam, "#/")
    page.get_by_text("No conversations yet").wait_for()
    return page


def only_unread(cast: Cast) -> Any:
    page = inbox(cast)
    button(page, "Only unread").click()
    wait_for_live(page, "1 conversation with unread messages")
    return page


def nothing_unread(cast: Cast) -> Any:
    cast.uma.call("PATCH", f"/conversation/{cast.thea.name}/read")
    page = cast.log_in(cast.uma)
    row(page, cast.thea.name).wait_for()
    button(page, "Only unread").click()
    page.get_by_text("You have read everything.").wait_for()
    return page


def list_failed(cast: Cast) -> Any:
    page = cast.open_page()
    page.route("**/api/messages/inbox*", lambda route: route.abort())
    fill_login(page, cast.uma.name)
    page.get_by_text("Your conversations could not be loaded").wait_for()
    return page


def unread_line(cast: Cast) -> Any:
    page = cast.conversation(cast.thea, cast.uma)
    page.get_by_text("2 new messages").wait_for()
    return page


def unknown_name(cast: Cast) -> Any:
    page = cast.log_in(cast.uma, "#/conversation/nobody")
    page.get_by_text("Nobody here is called nobody").wait_for()
    return page


def new_message_below(cast: Cast) -> Any:
    for number in range(20):
        cast.thea.send(cast.uma, f"message {number}")
    page = cast.conversation(cast.uma, cast.thea)
    page.evaluate("document.querySelector('.log').scrollTop = 0")
    cast.thea.send(cast.uma, "one more")
    poll_until(page, button(page, "1 new message below"))
    return page


def account_menu(cast: Cast) -> Any:
    page = inbox(cast)
    button(page, f"Account {cast.thea.name}").click()
    return page


def conversation_menu(cast: Cast) -> Any:
    page = cast.conversation(cast.thea, cast.uma)
    button(page, "Options for this conversation").click()
    return page


def message_menu(cast: Cast) -> Any:
    page = cast.conversation(cast.thea, cast.uma)
    page.get_by_role("button", name=f"Options for the message from {cast.uma.name}").first.click()
    button(page, "Delete message").wait_for()
    return page


def subject_and_draft(cast: Cast) -> Any:
    page = cast.conversation(cast.uma, cast.thea)
    button(page, "Add a subject").click()
    write(page, cast.thea.name, "half a thought")
    page.get_by_text("Kept in this tab.").wait_for()
    return page


def sending(cast: Cast) -> Any:
    """The network takes the message and gives no answer."""
    page = cast.conversation(cast.uma, cast.thea)
    page.route(SEND, lambda _route: None)
    write(page, cast.thea.name, "on its way")
    button(page, "Send").click()
    page.get_by_text("Sending…").wait_for()
    return page


def failing(cast: Cast, how: Callable[[Any], Any], said: str) -> Any:
    page = cast.conversation(cast.uma, cast.thea)
    page.route(SEND, how)
    write(page, cast.thea.name, "important")
    button(page, "Send").click()
    page.get_by_text(said).wait_for()
    return page


def outcome_unknown(cast: Cast) -> Any:
    return failing(cast, lambda route: route.abort(), "We do not know yet whether it arrived")


def waiting(cast: Cast) -> Any:
    answer = {"status": 429, "json": {"error": "Wait", "code": "rate_limited"}, "headers": {"Retry-After": "600"}}
    return failing(cast, lambda route: route.fulfill(**answer), "Sends itself at")


def not_sent(cast: Cast) -> Any:
    answer = {"status": 503, "json": {"error": "Not now", "code": "storage_busy"}}
    return failing(cast, lambda route: route.fulfill(**answer), "Not sent. Your text is kept here.")


def too_long(cast: Cast) -> Any:
    page = cast.conversation(cast.uma, cast.thea)
    write(page, cast.thea.name, "x" * 5001)
    button(page, "Send").click()
    page.get_by_text("Please make it 1 shorter").wait_for()
    return page


def writing_forbidden(cast: Cast) -> Any:
    cast.uma.call("PUT", f"/blocks/{cast.ugo.name}")
    page = cast.log_in(cast.ugo, f"#/conversation/{cast.uma.name}")
    page.get_by_text(f"You cannot write to {cast.uma.name} now").wait_for()
    return page


def search_results(cast: Cast) -> Any:
    page = cast.log_in(cast.uma, "#/new")
    page.get_by_label("Send to").fill(cast.thea.name)
    wait_for_live(page, "1 person found")
    return page


def nobody_found(cast: Cast) -> Any:
    page = cast.log_in(cast.uma, "#/new")
    page.get_by_label("Send to").fill("nobody at all")
    wait_for_live(page, "Nobody found")
    return page


def new_message(cast: Cast) -> Any:
    page = cast.log_in(cast.uma, "#/new")
    choose_person(page, cast.adam.name)
    page.get_by_label("Your message").wait_for()
    return page


def offline(cast: Cast) -> Any:
    page = cast.conversation(cast.uma, cast.thea)
    page.context.set_offline(True)
    page.get_by_text("You are offline.").wait_for()
    return page


def delete_dialog(cast: Cast) -> Any:
    page = conversation_menu(cast)
    button(page, "Delete conversation").click()
    page.get_by_role("dialog").wait_for()
    return page


def block_dialog(cast: Cast) -> Any:
    page = conversation_menu(cast)
    button(page, "Block").click()
    page.get_by_role("dialog").wait_for()
    return page


def blocked_and_list_of_blocks(cast: Cast) -> Any:
    cast.thea.call("PUT", f"/blocks/{cast.uma.name}")
    page = cast.conversation(cast.thea, cast.uma)
    page.get_by_text(f"You have blocked {cast.uma.name}").wait_for()
    button(page, f"Account {cast.thea.name}").click()
    button(page, "People you blocked").click()
    in_dialog(page, f"Unblock {cast.uma.name}").wait_for()
    return page


def change_password_refused(cast: Cast) -> Any:
    page = account_menu(cast)
    button(page, "Change password").click()
    page.get_by_label("Current password").fill("wrong")
    page.get_by_label("New password").fill("a quiet green river")
    in_dialog(page, "Change password").click()
    page.get_by_text("The current password is not right.").wait_for()
    return page


def idle_warning(cast: Cast) -> Any:
    page = cast.log_in(cast.uma, frozen=True)
    page.clock.run_for(28 * 60_000 + 2000)
    page.get_by_role("dialog", name="Are you still here?").wait_for()
    page.clock.resume()
    return page


def look_up(cast: Cast) -> Any:
    page = cast.log_in(cast.adam, "#/look-up")
    page.get_by_label("Username").fill(cast.uma.name)
    button(page, "List conversations").click()
    page.get_by_role("button", name="Fill in").first.click()
    button(page, "Look").click()
    page.get_by_text("Please write a reason.").wait_for()
    return page


def look_result(cast: Cast) -> Any:
    page = look_up(cast)
    page.get_by_label("Reason").fill("Asked by the patient")
    button(page, "Look").click()
    page.get_by_text("You are looking as administrator.").wait_for()
    return page


def audit(cast: Cast) -> Any:
    page = cast.log_in(cast.adam, "#/audit")
    page.get_by_role("row").nth(1).wait_for()
    return page


def accounts(cast: Cast) -> Any:
    page = cast.log_in(cast.adam, "#/accounts")
    page.get_by_role("row").nth(1).wait_for()
    return page


def new_account(cast: Cast) -> Any:
    page = accounts(cast)
    button(page, "New account").click()
    page.get_by_label("First password").wait_for()
    return page


def change_account(cast: Cast) -> Any:
    page = accounts(cast)
    page.get_by_role("button", name="Change").first.click()
    page.get_by_label("New password (optional)").wait_for()
    return page


def must_change_password(cast: Cast) -> Any:
    body = {"password": "chosen by somebody", "must_change_password": True}
    cast.adam.call("PATCH", f"/users/{cast.uma.name}", body, under="/api")
    page = cast.open_page()
    fill_login(page, cast.uma.name, "chosen by somebody")
    heading(page, "Choose your own password").wait_for()
    return page


STATES = [
    login,
    login_refused,
    session_ended,
    must_change_password,
    inbox,
    empty_inbox,
    only_unread,
    nothing_unread,
    list_failed,
    unread_line,
    unknown_name,
    new_message_below,
    account_menu,
    conversation_menu,
    message_menu,
    subject_and_draft,
    sending,
    outcome_unknown,
    waiting,
    not_sent,
    too_long,
    writing_forbidden,
    search_results,
    nobody_found,
    new_message,
    offline,
    delete_dialog,
    block_dialog,
    blocked_and_list_of_blocks,
    change_password_refused,
    idle_warning,
    look_up,
    look_result,
    audit,
    accounts,
    new_account,
    change_account,
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_no_state_has_a_violation(cast: Cast, state: Callable[[Cast], Any]) -> None:
    assert violations(state(cast)) == []
