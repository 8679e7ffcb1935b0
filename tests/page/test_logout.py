"""Logging out leaves nothing; a session that ends says so before and after."""

from typing import Any

import pytest
from looks import button, heading, in_dialog, messages, row, settle, wait_for_live
from page_people import Hire, LogIn, fill_login
from raw_clients import until
from served import Service, serving

SECRET = "a sentence that nobody else may read"

EVERYTHING = """async () => JSON.stringify([
    document.documentElement.outerHTML, {...sessionStorage}, {...localStorage}, document.cookie,
    await indexedDB.databases(), await caches.keys(), document.title, location.href,
])"""


def log_out(page: Any, name: str) -> None:
    button(page, f"Account {name}").click()
    button(page, "Log out").click()
    heading(page, "Log in").wait_for()


def test_logout_leaves_no_text_and_no_name(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, SECRET)
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).wait_for()
    page.get_by_label(f"Write to {thea.name}").fill(SECRET)
    log_out(page, uma.name)
    assert page.evaluate("document.activeElement.labels[0].textContent") == "Username"
    left = page.evaluate(EVERYTHING)
    for trace in (SECRET, uma.name, thea.name):
        assert trace not in left


def test_logout_ends_the_session_at_the_service(hire: Hire, log_in: LogIn, service: Service) -> None:
    uma = hire("user")
    page = log_in(uma)
    token = page.evaluate("sessionStorage['msgsvc.session']")
    with page.expect_response("**/api/auth/logout"):
        log_out(page, uma.name)
    assert service.call("GET", "/api/auth/session", Authorization=token).status == 401


def test_the_back_button_shows_nothing_after_logout(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, SECRET)
    page = log_in(uma)
    row(page, thea.name).click()
    messages(page).wait_for()
    log_out(page, uma.name)
    page.go_back()
    heading(page, "Log in").wait_for()
    assert SECRET not in page.content()


def test_a_page_that_is_left_is_empty_when_it_comes_back(hire: Hire, log_in: LogIn, service: Service) -> None:
    """As it is taken from and put back by the browser's back-forward cache."""
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, SECRET)
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    messages(page).wait_for()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    assert SECRET not in page.content()
    uma.end_sessions()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    page.get_by_text("You were logged out.").wait_for()
    assert SECRET not in page.content()


def test_logging_out_on_all_devices_ends_the_other_tab(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    one, other = log_in(uma), log_in(uma)
    button(one, f"Account {uma.name}").click()
    with one.expect_response("**/api/auth/logout-all"):
        button(one, "Log out on all devices").click()
    heading(one, "Log in").wait_for()
    other.evaluate("dispatchEvent(new Event('online'))")
    other.get_by_text("You were logged out.").wait_for()


def test_the_warning_offers_to_stay(hire: Hire, log_in: LogIn) -> None:
    uma = hire("user")
    page = log_in(uma, frozen=True)
    page.clock.run_for(28 * 60_000 + 2000)
    page.get_by_role("dialog", name="Are you still here?").wait_for()
    assert page.title() == "Logging out soon · Messages"
    assert page.evaluate("document.activeElement.textContent") == "Stay logged in"
    with page.expect_response("**/api/auth/session"):
        in_dialog(page, "Stay logged in").click()
    page.get_by_role("dialog").wait_for(state="detached")
    settle(page)
    page.clock.run_for(3 * 60_000)
    assert heading(page, "Conversations").is_visible()


def test_without_an_answer_to_the_warning_the_page_empties_itself(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, SECRET)
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    page.clock.run_for(29 * 60_000)
    page.get_by_role("dialog").wait_for()
    page.clock.run_for(2 * 60_000)
    page.get_by_text("You were logged out because nothing happened here for 30 minutes.").wait_for()
    assert SECRET not in page.content()


def test_the_last_minute_is_said_once(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("user"), frozen=True)
    page.clock.run_for(28 * 60_000 + 2000)
    page.get_by_role("dialog", name="Are you still here?").wait_for()
    assert page.locator("#live").text_content() != "1 minute left"
    page.clock.run_for(60_000)
    wait_for_live(page, "1 minute left")
    page.evaluate("document.getElementById('live').replaceChildren()")
    page.clock.run_for(30_000)
    assert page.locator("#live").text_content() == ""


def test_a_banner_says_five_minutes_before_that_the_session_ends(hire: Hire, log_in: LogIn) -> None:
    """The limit of 12 hours, which nobody can move. An answer sets the page's clock, so the last minutes have none."""
    uma = hire("user")
    page = log_in(uma, frozen=True)
    banner = page.get_by_text("you have to log in again; that is so once a day.")
    uma.age_sessions((12 * 60 - 8) * 60)
    page.reload()
    heading(page, "Conversations").wait_for()
    page.clock.run_for(2000)
    assert banner.count() == 0
    uma.age_sessions(4 * 60)
    page.reload()
    heading(page, "Conversations").wait_for()
    page.clock.run_for(2000)
    banner.wait_for()
    settle(page)
    page.route("**/api/**", lambda route: route.abort())
    page.clock.run_for(5 * 60_000)
    page.get_by_text("You were logged out.").wait_for()


@pytest.mark.slow
def test_polling_does_not_keep_a_forgotten_tab_logged_in(
    hire: Hire, open_page: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from page_people import Person  # noqa: PLC0415

    database = str(tmp_path_factory.mktemp("idle") / "messages.db")
    with serving(database, session_idle_seconds="6") as short:
        uma = Person(short, database, "uma", "user")
        page = open_page(short.url + "/")
        fill_login(page, uma.name)
        heading(page, "Conversations").wait_for()
        token = page.evaluate("sessionStorage['msgsvc.session']")
        for _ in range(200):
            page.evaluate("dispatchEvent(new Event('online'))")
            if heading(page, "Log in").is_visible():
                break
            page.wait_for_timeout(100)
        heading(page, "Log in").wait_for()
        page.get_by_text("You were logged out").wait_for()
        # The service may have heard of the last use a little later than the page, but prolongs nothing after it.
        background = {"Authorization": token, "Msgsvc_Background": "1"}
        assert until(lambda: short.call("GET", "/api/auth/session", **background).status == 401, 3)
