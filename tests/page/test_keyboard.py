"""Every job without a mouse: focus goes where the person expects it and is seen wherever it stops."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from looks import (
    button,
    focused,
    heading,
    in_dialog,
    messages,
    poll_until,
    row,
    settle,
    wait_for_focus,
    wait_for_live,
)
from page_people import PASSWORD, Hire, LogIn
from test_large import INSERT_MESSAGE, load_parts

MOST_STOPS = 80
IS_OUTLINED = """() => {
    const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
    return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
}"""


def tab_to(page: Any, name: str, key: str = "Tab") -> None:
    """Presses Tab until what has this name has the focus; each stop on the way can be seen."""
    stops = []
    for _ in range(MOST_STOPS):
        page.keyboard.press(key)
        stops.append(focused(page))
        if page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(IS_OUTLINED), f"{stops[-1]} has no outline"
        if stops[-1] == name:
            return
    raise AssertionError(f"{name} is not among {stops}")


def choose(page: Any, name: str) -> None:
    tab_to(page, name)
    page.keyboard.press("Enter")


def search(page: Any, name: str) -> None:
    """Types a name, which the page may search for in parts."""
    with page.expect_response(f"**/recipients?q={name}"):
        page.keyboard.type(name)
    settle(page)
    wait_for_live(page, "1 person found")


def test_log_in_and_be_refused_first(hire: Hire, open_page: Any) -> None:
    uma = hire("user")
    page = open_page()
    wait_for_focus(page, "Username")
    page.keyboard.type(uma.name)
    tab_to(page, "Password")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    choose(page, "Log in")
    wait_for_focus(page, "Conversations")
    wait_for_live(page, "Nothing unread")


def test_log_in_leads_to_the_title_of_a_deep_link(hire: Hire, open_page: Any) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = open_page(fragment=f"#/conversation/{thea.name}")
    wait_for_focus(page, "Username")
    page.keyboard.type(uma.name)
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    wait_for_focus(page, thea.name)


def test_read_and_answer(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "How are you?")
    page = log_in(uma)
    row(page, thea.name).wait_for()
    tab_to(page, row(page, thea.name).text_content())
    page.keyboard.press("Enter")
    messages(page).wait_for()
    wait_for_focus(page, thea.name)
    choose(page, "Skip to writing")
    wait_for_focus(page, f"Write to {thea.name}")
    page.keyboard.type("Better,")
    page.keyboard.press("Enter")
    page.keyboard.type("thank you")
    page.keyboard.press("Control+Enter")
    wait_for_live(page, "Sent")
    assert focused(page) == f"Write to {thea.name}"
    assert uma.messages(thea)[-1]["content"] == "Better,\nthank you"


def test_the_skip_link_lies_over_the_head_and_moves_nothing(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", viewport={"width": 390, "height": 700})
    wait_for_focus(page, thea.name)
    before = heading(page, thea.name).bounding_box()
    tab_to(page, "Skip to writing")
    assert heading(page, thea.name).bounding_box() == before


def test_a_subject_is_added_and_sent(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    wait_for_focus(page, thea.name)
    choose(page, "Add a subject")
    wait_for_focus(page, "Subject (optional)")
    page.keyboard.type("Sleep")
    tab_to(page, f"Write to {thea.name}")
    page.keyboard.type("eight hours")
    choose(page, "Send")
    wait_for_live(page, "Sent")
    assert focused(page) == f"Write to {thea.name}"
    assert uma.messages(thea)[0]["subject"] == "Sleep"


def test_a_refused_send_leaves_the_focus_in_the_field(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    choose(page, "Send")
    page.get_by_text("Please write something first.").wait_for()
    assert focused(page) == f"Write to {thea.name}"


def test_write_to_somebody_new(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma)
    choose(page, "New message")
    wait_for_focus(page, "Send to")
    search(page, thea.name)
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith(thea.name)
    page.keyboard.press("Escape")
    assert focused(page) == "Send to"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_live(page, f"{thea.name} chosen")
    wait_for_focus(page, "Subject (optional)")
    tab_to(page, "Choose somebody else", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_focus(page, "Send to")
    search(page, thea.name)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_focus(page, "Subject (optional)")
    tab_to(page, "Your message")
    page.keyboard.type("Hello")
    choose(page, "Send")
    wait_for_live(page, f"Sent to {thea.name}")
    wait_for_focus(page, thea.name)


def test_back_leads_to_the_row_it_came_from(hire: Hire, log_in: LogIn) -> None:
    thea, sam, uma = hire("therapist"), hire("therapist"), hire("user")
    thea.send(uma)
    sam.send(uma)
    page = log_in(uma, viewport={"width": 360, "height": 740})
    row(page, thea.name).wait_for()
    row(page, thea.name).focus()
    page.keyboard.press("Enter")
    messages(page).wait_for()
    choose(page, "Back")
    row(page, thea.name).wait_for()
    assert page.evaluate("decodeURIComponent(document.activeElement.hash)") == f"#/conversation/{thea.name}"


def test_close_without_a_conversation_before_leads_to_the_list(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("user"), "#/new")
    choose(page, "Close")
    wait_for_focus(page, "Conversations")


def test_only_unread_keeps_the_focus(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    row(page, thea.name).wait_for()
    choose(page, "Only unread")
    wait_for_live(page, "1 conversation with unread messages")
    assert focused(page) == "Only unread"
    assert button(page, "Only unread").get_attribute("aria-pressed") == "true"


def test_older_messages_keep_the_focus_until_the_beginning_has_it(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    for number in range(105):
        thea.send(uma, f"message {number}")
    uma.call("PATCH", f"/conversation/{thea.name}/read")
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).first.wait_for()
    choose(page, "Load older messages")
    wait_for_live(page, "50 older messages")
    assert focused(page) == "Load older messages"
    page.keyboard.press("Enter")
    wait_for_focus(page, f"This is where your conversation with {thea.name} begins.")


def test_a_message_is_deleted_and_the_next_one_has_the_focus(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    for content in ("first", "second", "third"):
        thea.send(uma, content)
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).first.wait_for()
    page.locator(".msg", has_text="second").get_by_role("button").focus()
    page.keyboard.press("Enter")
    button(page, "Delete message").wait_for()
    page.keyboard.press("Escape")
    button(page, "Delete message").wait_for(state="detached")
    page.keyboard.press("Enter")
    choose(page, "Delete message")
    wait_for_focus(page, "Keep it")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.locator(".msg", has_text="second").get_by_role("button").evaluate("it => it === document.activeElement")
    page.keyboard.press("Enter")
    choose(page, "Delete message")
    tab_to(page, "Delete message", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_live(page, "Message deleted")
    assert page.locator(".msg", has_text="third").get_by_role("button").evaluate("it => it === document.activeElement")
    assert [message["content"] for message in uma.messages(thea)] == ["first", "third"]


def test_a_conversation_is_deleted(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).wait_for()
    choose(page, "Options for this conversation")
    page.keyboard.press("Escape")
    assert focused(page) == "Options for this conversation"
    assert not button(page, "Delete conversation").is_visible()
    page.keyboard.press("Enter")
    choose(page, "Delete conversation")
    wait_for_focus(page, "Keep it")
    tab_to(page, "Delete conversation", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_live(page, f"Conversation with {thea.name} deleted")
    wait_for_focus(page, "Conversations")


def test_block_and_unblock_lead_back_to_the_options(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    uma.send(thea)
    page = log_in(thea, f"#/conversation/{uma.name}")
    messages(page).wait_for()
    choose(page, "Options for this conversation")
    choose(page, "Block")
    wait_for_focus(page, "Do not block")
    tab_to(page, "Block", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_live(page, f"{uma.name} is blocked")
    wait_for_focus(page, "Options for this conversation")
    choose(page, "Unblock")
    wait_for_live(page, f"{uma.name} is no longer blocked")
    wait_for_focus(page, "Options for this conversation")


def test_the_password_is_changed_and_the_account_button_has_the_focus(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma)
    tab_to(page, f"Account {uma.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    choose(page, "Change password")
    wait_for_focus(page, "Current password")
    page.keyboard.type("wrong")
    tab_to(page, "New password")
    page.keyboard.type("a quiet green river")
    page.keyboard.press("Enter")
    page.get_by_text("The current password is not right.").wait_for()
    tab_to(page, "Current password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    wait_for_live(page, "Password changed")
    wait_for_focus(page, f"Account {uma.name}")


def test_log_out_leads_to_the_username(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma)
    tab_to(page, f"Account {uma.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    choose(page, "Log out")
    wait_for_focus(page, "Username")


def test_leaving_a_menu_by_tab_closes_it(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma)
    tab_to(page, f"Account {uma.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, "Log out on all devices")
    page.keyboard.press("Tab")
    button(page, "Log out on all devices").wait_for(state="hidden")


def test_the_warning_is_answered_and_the_focus_returns(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    page.get_by_label(f"Write to {thea.name}").focus()
    page.clock.run_for(28 * 60_000 + 2000)
    wait_for_focus(page, "Stay logged in")
    with page.expect_response("**/api/auth/session") as answer:
        page.keyboard.press("Escape")
    assert "msgsvc-background" not in answer.value.request.headers
    page.get_by_role("dialog").wait_for(state="detached")
    assert focused(page) == f"Write to {thea.name}"


def test_a_message_that_arrives_is_said_once_and_the_focus_stays(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "before")
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).wait_for()
    page.get_by_label(f"Write to {thea.name}").focus()
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => said.push(document.getElementById('live').textContent))
            .observe(document.getElementById('live'), {childList: true});
    }""")
    thea.send(uma, "after")
    poll_until(page, page.get_by_text("after", exact=True).last)
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_for_live(page, f"New message from {thea.name}: after")
    assert focused(page) == f"Write to {thea.name}"
    assert page.evaluate("said") == [f"New message from {thea.name}: after"]


def test_an_admin_looks_at_a_conversation(hire: Hire, log_in: LogIn) -> None:
    thea, uma, adam = hire("therapist"), hire("user"), hire("admin")
    thea.send(uma, "only for us two")
    page = log_in(adam)
    tab_to(page, "Look-up", "Shift+Tab")
    page.keyboard.press("Enter")
    heading(page, "Look-up").wait_for()
    wait_for_focus(page, "Look-up")
    tab_to(page, "Username")
    page.keyboard.type(uma.name)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Fill in").wait_for()
    name = page.get_by_role("button", name="Fill in").text_content()
    choose(page, name)
    wait_for_focus(page, "Reason")
    page.keyboard.press("Enter")
    page.get_by_text("Please write a reason.").wait_for()
    wait_for_focus(page, "Reason")
    page.keyboard.type("Asked by the patient")
    page.keyboard.press("Enter")
    page.get_by_text("only for us two").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    choose(page, "Back")
    wait_for_focus(page, "Look-up")


def test_an_admin_changes_an_account(hire: Hire, log_in: LogIn) -> None:
    adam, uma = hire("admin"), hire("user", "a.first.name")
    page = log_in(adam, "#/accounts")
    wait_for_focus(page, "Accounts")
    button(page, f"Change {uma.name}").wait_for()
    button(page, f"Change {uma.name}").focus()
    page.keyboard.press("Enter")
    wait_for_focus(page, "Role")
    tab_to(page, "Suspended: cannot log in, and nobody can write to this account")
    page.keyboard.press("Space")
    choose(page, "Save")
    wait_for_live(page, f"{uma.name} changed")
    assert in_dialog(page, "Save").count() == 0
    page.get_by_role("row", name=uma.name).get_by_text("Suspended").wait_for()
    assert focused(page) == f"Change {uma.name}"


def test_the_first_row_that_was_loaded_has_the_focus(hire: Hire, log_in: LogIn) -> None:
    thea = hire("therapist")
    for _ in range(21):
        thea.send(hire("user"))
    page = log_in(thea)
    button(page, "Load more conversations").focus()
    page.keyboard.press("Enter")
    wait_for_live(page, "1 more conversation")
    assert page.locator("a.conv").nth(20).evaluate("row => row === document.activeElement")


def test_people_are_unblocked_from_the_account_menu(hire: Hire, log_in: LogIn) -> None:
    uma, ugo = hire("user"), hire("user")
    uma.call("PUT", f"/blocks/{ugo.name}")
    page = log_in(uma)
    tab_to(page, f"Account {uma.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    choose(page, "People you blocked")
    wait_for_focus(page, "Close")
    tab_to(page, f"Unblock {ugo.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_live(page, f"{ugo.name} is no longer blocked")
    wait_for_focus(page, "Close")
    page.keyboard.press("Enter")
    wait_for_focus(page, f"Account {uma.name}")
    assert uma.call("GET", "/blocks") == {"blocks": []}


def test_log_out_on_all_devices_leads_to_the_username(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma)
    tab_to(page, f"Account {uma.name}", "Shift+Tab")
    page.keyboard.press("Enter")
    with page.expect_response("**/api/auth/logout-all"):
        choose(page, "Log out on all devices")
    wait_for_focus(page, "Username")


def test_an_admin_makes_an_account(hire: Hire, log_in: LogIn) -> None:
    adam = hire("admin")
    name = f"{adam.name}.new"
    page = log_in(adam, "#/accounts")
    wait_for_focus(page, "Accounts")
    choose(page, "New account")
    wait_for_focus(page, "Username")
    page.keyboard.type(name)
    tab_to(page, "Role")
    page.keyboard.press("T")
    tab_to(page, "First password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    wait_for_live(page, f"{name} created")
    wait_for_focus(page, "New account")
    body = {"username": name, "password": PASSWORD}
    assert adam.call("POST", "/auth/login", body, under="/api")["role"] == "therapist"


def test_an_admin_reads_the_audit(hire: Hire, log_in: LogIn) -> None:
    thea, uma, adam = hire("therapist"), hire("user"), hire("admin")
    for _ in range(51):
        adam.call("GET", f"/admin/conversation/{thea.name}/{uma.name}?reason=asked")
    page = log_in(adam, "#/audit")
    wait_for_focus(page, "Audit")
    tab_to(page, "Who")
    page.keyboard.type(adam.name)
    tab_to(page, "What")
    page.keyboard.press("C")
    tab_to(page, "About")
    with page.expect_response(f"**/audit?*actor={adam.name}&action=conversation_viewed*"):
        choose(page, "Show")
    settle(page)
    button(page, "Load older entries").wait_for()
    choose(page, "Load older entries")
    wait_for_live(page, "1 more row")
    assert page.get_by_role("row").last.evaluate("row => row === document.activeElement")


def test_the_way_to_the_newest_leads_to_the_title(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    for number in range(30):
        thea.send(uma, f"message {number}")
    uma.call("PATCH", f"/conversation/{thea.name}/read")
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).first.wait_for()
    page.evaluate("document.querySelector('.log').scrollTop = 0")
    thea.send(uma, "one more")
    below = button(page, "1 new message below")
    poll_until(page, below)
    below.focus()
    page.keyboard.press("Enter")
    below.wait_for(state="hidden")
    wait_for_focus(page, thea.name)


def test_the_last_of_the_newer_messages_lead_to_the_title(hire: Hire, log_in: LogIn, database: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(INSERT_MESSAGE, [(uma.name, thea.name, f"message {number}") for number in range(320)])
    page = log_in(thea, f"#/conversation/{uma.name}")
    messages(page).nth(49).wait_for()
    load_parts(page, 6)
    button(page, "Load newer messages").focus()
    page.keyboard.press("Enter")
    wait_for_live(page, "20 newer messages")
    wait_for_focus(page, uma.name)


@pytest.mark.parametrize("fragment", ["", "conversation/"], ids=["list", "conversation"])
def test_what_is_loaded_at_the_second_try_leads_to_its_title(hire: Hire, log_in: LogIn, fragment: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "Hello")
    page = log_in(uma, f"#/{fragment}{fragment and thea.name}", frozen=True)
    calls = f"**/{fragment or 'inbox'}*"
    page.route(calls, lambda route: route.abort())
    page.reload()
    button(page, "Try again").focus()
    page.unroute(calls)
    page.keyboard.press("Enter")
    button(page, "Try again").wait_for(state="detached")
    wait_for_focus(page, thea.name if fragment else "Conversations")
