"""Read means seen: a message is marked as read when it was in view, in a visible window that has the focus."""

from typing import Any

import pytest
from looks import (
    button,
    heading,
    hide,
    let_see,
    messages,
    poll_until,
    requests_of,
    row,
    show_again,
    wait_for_live,
    write,
)
from page_people import Hire, LogIn

LONG = "one line of many\n" * 12


def unfocus(page: Any) -> None:
    """As when another program comes to the front."""
    page.evaluate("document.hasFocus = () => false")


def focus_again(page: Any) -> None:
    page.evaluate("delete document.hasFocus")
    page.evaluate("dispatchEvent(new Event('focus'))")


@pytest.mark.parametrize(("away", "back"), [(unfocus, focus_again), (hide, show_again)], ids=["unfocused", "hidden"])
def test_a_window_that_nobody_looks_at_marks_nothing(hire: Hire, log_in: LogIn, away: Any, back: Any) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "not yet seen")
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    marked = requests_of(page, "PATCH", "/read")
    away(page)
    page.evaluate(f"location.hash = '#/conversation/{thea.name}'")
    messages(page).wait_for()
    let_see(page)
    assert marked == []
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        back(page)
        let_see(page)
    assert uma.unread() == 0
    assert page.get_by_text("1 new message").is_visible()


def test_a_message_behind_a_dialog_is_not_seen(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "already read")
    uma.call("PATCH", f"/conversation/{thea.name}/read")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    messages(page).wait_for()
    marked = requests_of(page, "PATCH", "/read")
    button(page, "Options for this conversation").click()
    button(page, "Delete conversation").click()
    thea.send(uma, "arrives behind the question")
    poll_until(page, messages(page).nth(1))
    let_see(page)
    assert marked == []
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.keyboard.press("Escape")
        let_see(page)
    assert uma.unread() == 0


def test_what_is_scrolled_away_stays_unread(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    ids = [thea.send(uma, LONG) for _ in range(8)]
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    marked = requests_of(page, "PATCH", "/read")
    row(page, thea.name).click()
    messages(page).first.wait_for()
    let_see(page)
    assert f"/{ids[0]}/read" in marked[0].url
    assert len(marked) < 4
    page.locator(".msg").last.scroll_into_view_if_needed()
    with page.expect_response(f"**/{ids[-1]}/read"):
        let_see(page)
    read = [message["is_read"] for message in uma.messages(thea)]
    assert (read[0], read[5], read[-1]) == (True, False, True)
    assert row(page, thea.name).locator(".badge").inner_text().startswith(str(read.count(False)))


def test_marking_as_read_is_no_sign_of_life(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    with page.expect_request(lambda request: request.method == "PATCH") as marked:
        page.evaluate(f"location.hash = '#/conversation/{thea.name}'")
    assert marked.value.headers["msgsvc-background"] == "1"


def test_the_line_stays_until_the_conversation_is_left(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "first")
    thea.send(uma, "second")
    page = log_in(uma, f"#/conversation/{thea.name}")
    line = page.get_by_role("region", name="Messages").get_by_text("2 new messages")
    line.wait_for()
    row(page, thea.name).locator(".badge").wait_for(state="detached")
    write(page, thea.name, "an answer")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    thea.send(uma, "third")
    poll_until(page, messages(page).nth(3))
    assert line.is_visible()
    page.wait_for_function("() => document.title === 'Messages'")
    page.evaluate("location.hash = '#/'")
    heading(page, thea.name).wait_for(state="detached")
    row(page, thea.name).click()
    messages(page).first.wait_for()
    assert line.count() == 0


def test_a_message_longer_than_the_window_can_be_read(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "line\n" * 900)
    page = log_in(uma, f"#/conversation/{thea.name}", viewport={"width": 320, "height": 640})
    messages(page).wait_for()
    with page.expect_response("**/read"):
        page.mouse.wheel(0, 3000)
    assert uma.unread() == 0


def test_a_mark_that_fails_is_made_later(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    page.route("**/read", lambda route: route.abort(), times=1)
    with page.expect_event("requestfailed"):
        row(page, thea.name).click()
        messages(page).wait_for()
        let_see(page)
    assert uma.unread() == 1
    with page.expect_response("**/read"):
        page.clock.run_for(15_000)
        let_see(page)
    assert uma.unread() == 0
