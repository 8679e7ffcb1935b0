"""What goes wrong is said in words; nothing is lost and nothing is stuck."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from looks import button, freeze, heading, messages, row, settle, wait_for_live, write
from page_people import Hire, LogIn, Person, fill_login
from served import Service, serving

AWAY = [
    {"status": 503, "json": {"error": "Not now", "code": "storage_busy"}, "headers": {"Retry-After": "1"}},
    {"status": 502, "body": "<h1>Bad Gateway</h1>", "content_type": "text/html"},
    {"status": 200, "body": "<h1>Welcome to the network of the clinic</h1>", "content_type": "text/html"},
    {"status": 200, "body": "", "content_type": "application/json"},
    {"status": 500, "json": ["not", "an", "error"]},
]
IDS = ["busy", "html", "portal", "empty", "list"]
SEND = "**/api/messages/send"


@pytest.fixture
def strict(tmp_path: Any) -> Iterator[tuple[Service, str]]:
    """A service that takes one message a minute."""
    database = str(tmp_path / "messages.db")
    with serving(database, send_rate="1") as service:
        yield service, database


def is_first(page: Any, text: str) -> None:
    page.locator("[role=alert]:focus").get_by_text(text).wait_for()


@pytest.mark.parametrize(("name", "password"), [("uma", "wrong"), ("", ""), ("nobody", "x"), ("u" * 300, "x" * 5000)])
def test_a_wrong_name_or_password_is_said_alike(hire: Hire, open_page: Any, name: str, password: str) -> None:
    page = open_page()
    fill_login(page, hire("user").name if name == "uma" else name, password)
    is_first(page, "The username or the password is not right.")
    assert page.get_by_label("Password", exact=True).input_value() == password


def test_a_closed_throttle_says_until_when(strict: tuple[Service, str], open_page: Any) -> None:
    service, database = strict
    uma = Person(service, database, "uma", "user")
    page = open_page(service.url + "/")
    for _ in range(30):
        with page.expect_response("**/api/auth/login") as answer:
            fill_login(page, uma.name, "wrong")
        settle(page)
        if answer.value.status == 429:
            break
    is_first(page, "Please wait until")
    with page.expect_response("**/api/auth/login") as answer:
        fill_login(page, uma.name)
    assert answer.value.status == 429
    is_first(page, "also with the right password")


def test_a_suspended_account_is_told_at_login_and_while_it_reads(hire: Hire, log_in: LogIn, open_page: Any) -> None:
    uma, adam = hire("user"), hire("admin")
    page = log_in(uma)
    adam.call("PATCH", f"/users/{uma.name}", {"suspended": True}, under="/api")
    page.evaluate("dispatchEvent(new Event('online'))")
    is_first(page, "Your account is closed for now")
    other = open_page()
    fill_login(other, uma.name)
    is_first(other, "Your account is closed for now")


@pytest.mark.parametrize("answer", AWAY, ids=IDS)
def test_a_login_without_a_right_answer_can_be_tried_again(hire: Hire, open_page: Any, answer: dict[str, Any]) -> None:
    uma = hire("user")
    page = open_page()
    page.route("**/api/auth/login", lambda route: route.fulfill(**answer), times=1)
    fill_login(page, uma.name)
    is_first(page, "The service does not answer")
    button(page, "Log in").click()
    heading(page, "Conversations").wait_for()


@pytest.mark.parametrize("answer", AWAY, ids=IDS)
def test_a_reload_while_the_service_is_away_keeps_the_session(
    hire: Hire, log_in: LogIn, answer: dict[str, Any]
) -> None:
    page = log_in(hire("user"))
    page.route("**/api/auth/session", lambda route: route.fulfill(**answer), times=1)
    page.reload()
    is_first(page, "The service does not answer")
    page.reload()
    heading(page, "Conversations").wait_for()


@pytest.mark.parametrize("answer", AWAY, ids=IDS)
def test_messages_that_cannot_be_loaded_can_be_tried_again(hire: Hire, log_in: LogIn, answer: dict[str, Any]) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "Hello")
    page = log_in(uma, frozen=True)
    row(page, thea.name).wait_for()
    page.route("**/api/messages/conversation/**", lambda route: route.fulfill(**answer), times=1)
    row(page, thea.name).click()
    page.get_by_text("The messages could not be loaded").wait_for()
    button(page, "Try again").click()
    messages(page).get_by_text("Hello").wait_for()


@pytest.mark.parametrize("answer", AWAY, ids=IDS)
def test_a_send_without_a_right_answer_keeps_the_text_and_sends_it_once(
    hire: Hire, log_in: LogIn, answer: dict[str, Any]
) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    page.route(SEND, lambda route: route.fulfill(**answer), times=1)
    write(page, thea.name, "important")
    button(page, "Send").click()
    page.get_by_text("Not sent.").or_(page.get_by_text("We do not know yet whether it arrived")).first.wait_for()
    assert page.get_by_label(f"Write to {thea.name}").input_value() == "important"
    if button(page, "Send").get_attribute("aria-disabled") == "false":
        button(page, "Send").click()
    else:
        page.clock.run_for(2000)
    wait_for_live(page, "Sent")
    assert [message["content"] for message in uma.messages(thea)] == ["important"]


def test_too_many_messages_wait_and_can_be_edited(strict: tuple[Service, str], open_page: Any) -> None:
    service, database = strict
    thea, uma = Person(service, database, "thea", "therapist"), Person(service, database, "uma", "user")
    page = open_page(service.url + "/", "#/conversation/thea")
    fill_login(page, uma.name)
    waiting = page.get_by_text("Sends itself at")
    sent = 0
    while not waiting.is_visible() and sent < 100:
        write(page, thea.name, f"message {sent}")
        button(page, "Send").click()
        page.get_by_text("Kept in this tab.").wait_for(state="detached")
        messages(page).get_by_text(f"message {sent}", exact=True).or_(waiting).first.wait_for()
        sent += 1
    last = f"message {sent - 1}"
    assert page.get_by_label("Write to thea").input_value() == last
    assert last not in [message["content"] for message in uma.messages(thea)]
    button(page, "Edit").click()
    write(page, thea.name, "made better")
    page.get_by_text("Kept in this tab.").wait_for()


def test_a_service_that_is_gone_is_named_and_nothing_is_lost(tmp_path: Any, open_page: Any) -> None:
    database = str(tmp_path / "messages.db")
    with serving(database) as service:
        thea, uma = Person(service, database, "thea", "therapist"), Person(service, database, "uma", "user")
        thea.send(uma, "Hello")
        page = open_page(service.url + "/", "#/conversation/thea")
        fill_login(page, uma.name)
        messages(page).wait_for()
        service.stop(signal.SIGKILL)
        page.evaluate("dispatchEvent(new Event('online'))")
        page.get_by_text("The service does not answer.").wait_for()
        assert messages(page).all_inner_texts() == ["Hello"]
        write(page, thea.name, "kept")
        button(page, "Send").click()
        page.get_by_text("We do not know yet whether it arrived").wait_for()
        button(page, "Edit").click()
        page.get_by_text("Your first text may have arrived.").wait_for()
        assert page.get_by_label("Write to thea").input_value() == "kept"
        button(page, "Account uma").click()
        button(page, "Log out").click()
        heading(page, "Log in").wait_for()
        page.get_by_text("The service does not answer").wait_for()
        assert "kept" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_who_has_just_logged_in_stays_where_nothing_can_be_loaded(hire: Hire, open_page: Any, service: Service) -> None:
    uma = hire("user")
    page = open_page(apart=True)
    freeze(page)
    page.goto(f"{service.url}/")
    page.route("**/api/messages/**", lambda route: route.abort())
    fill_login(page, uma.name)
    page.get_by_text("Your conversations could not be loaded").wait_for()
    page.clock.run_for(5000)
    assert heading(page, "Conversations").is_visible()


def test_a_search_without_an_answer_leaves_no_older_results(hire: Hire, log_in: LogIn) -> None:
    thea = hire("therapist")
    page = log_in(hire("user"), "#/new")
    choice = page.locator(".results button", has_text=thea.name)
    page.get_by_label("Send to").fill(thea.name)
    choice.wait_for()
    page.route("**/recipients*", lambda route: route.abort())
    page.get_by_label("Send to").fill(f"{thea.name}.")
    page.get_by_text("The service does not answer").wait_for()
    assert choice.count() == 0
