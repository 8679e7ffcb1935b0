"""Nothing that was written is lost, and nothing is sent twice. Routes are intercepted only to make the network fail."""

from typing import Any

from looks import (
    button,
    choose_person,
    heading,
    messages,
    poll_until,
    requests_of,
    row,
    settle,
    wait_for_live,
    write,
)
from page_people import Hire, LogIn, fill_login

SEND = "**/api/messages/send"


def draft_of(page: Any, name: str) -> str:
    return str(page.get_by_label(f"Write to {name}").input_value())


def test_a_draft_survives_a_reload_and_another_conversation(hire: Hire, log_in: LogIn) -> None:
    thea, sam, uma = hire("therapist"), hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "half a thought")
    page.get_by_text("Kept in this tab.").wait_for()
    page.reload()
    heading(page, thea.name).wait_for()
    assert draft_of(page, thea.name) == "half a thought"
    page.evaluate(f"location.hash = '#/conversation/{sam.name}'")
    heading(page, sam.name).wait_for()
    assert draft_of(page, sam.name) == ""
    page.go_back()
    heading(page, thea.name).wait_for()
    assert draft_of(page, thea.name) == "half a thought"


def test_a_person_chosen_for_a_new_message_survives_a_reload(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, "#/new")
    choose_person(page, thea.name)
    page.get_by_label("Your message").fill("not yet sent")
    page.reload()
    assert page.get_by_label("Your message").input_value() == "not yet sent"


def test_a_failed_send_keeps_the_text_and_sends_it_once(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    page.route(SEND, lambda route: route.fulfill(status=503, json={"error": "Not now", "code": "storage_busy"}))
    write(page, thea.name, "important")
    button(page, "Send").click()
    page.get_by_text("Not sent. Your text is kept here.").wait_for()
    assert draft_of(page, thea.name) == "important"
    page.unroute(SEND)
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert [message["content"] for message in uma.messages(thea)] == ["important"]


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    keys = []

    def lose_the_first(route: Any) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(SEND, lose_the_first)
    write(page, thea.name, "once")
    button(page, "Send").click()
    page.get_by_text("We do not know yet whether it arrived").wait_for()
    assert button(page, "Send").get_attribute("aria-disabled") == "true"
    page.clock.run_for(2000)
    wait_for_live(page, "Sent")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert [message["content"] for message in uma.messages(thea)] == ["once"]
    assert draft_of(page, thea.name) == ""


def test_an_unknown_outcome_survives_a_reload(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route(SEND, lose, times=1)
    write(page, thea.name, "once")
    button(page, "Send").click()
    page.get_by_text("We do not know yet whether it arrived").wait_for()
    page.reload()
    messages(page).wait_for()
    page.get_by_text("5,000 characters left").wait_for()
    assert [message["content"] for message in uma.messages(thea)] == ["once"]


def test_edit_after_an_unknown_outcome_finds_the_message_that_arrived(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")

    def lose(route: Any) -> None:
        if not uma.messages(thea):
            route.fetch()
        route.abort()

    page.route(SEND, lose)
    write(page, thea.name, "arrived")
    button(page, "Send").click()
    button(page, "Edit").click()
    messages(page).wait_for()
    page.wait_for_function("document.querySelector('.reply textarea').value === ''")
    assert [message["content"] for message in uma.messages(thea)] == ["arrived"]


def test_edit_after_an_unknown_outcome_gives_the_text_back(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    page.route(SEND, lambda route: route.abort())
    write(page, thea.name, "never arrived")
    button(page, "Send").click()
    button(page, "Edit").click()
    page.get_by_text("Your first text may have arrived. Please look before you send.").wait_for()
    assert draft_of(page, thea.name) == "never arrived"
    page.unroute(SEND)
    write(page, thea.name, "another text")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert [message["content"] for message in uma.messages(thea)] == ["another text"]


def test_offline_the_text_stays_and_goes_when_the_network_is_back(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "written under way")
    page.context.set_offline(True)
    page.get_by_text("You are offline.").wait_for()
    button(page, "Send").click()
    page.get_by_text("Not sent. Your text is kept here.").wait_for()
    page.context.set_offline(False)
    page.get_by_text("You are offline.").wait_for(state="detached")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert [message["content"] for message in uma.messages(thea)] == ["written under way"]


def test_a_double_click_sends_one_message(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "once")
    button(page, "Send").dblclick()
    wait_for_live(page, "Sent")
    assert len(uma.messages(thea)) == 1


def test_sending_again_while_the_answer_is_slow_sends_one_message(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route(SEND, hold)
    write(page, thea.name, "once")
    button(page, "Send").click()
    page.get_by_text("Sending…").wait_for()
    page.get_by_label(f"Write to {thea.name}").press("Control+Enter")
    button(page, "Send").click(force=True)
    settle(page, held=1)
    assert len(held) == 1
    held[0].continue_()
    wait_for_live(page, "Sent")
    assert len(uma.messages(thea)) == 1


def test_logout_ends_what_is_being_sent(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    page.route(SEND, lambda route: route.abort(), times=1)
    write(page, thea.name, "not after my logout")
    button(page, "Send").click()
    page.get_by_text("We do not know yet whether it arrived").wait_for()
    attempts = requests_of(page, "POST", "/send")
    button(page, f"Account {uma.name}").click()
    button(page, "Log out").click()
    fill_login(page, uma.name)
    heading(page, "Conversations").wait_for()
    page.clock.run_for(5 * 60_000)
    settle(page)
    assert attempts == []


def test_a_new_message_survives_an_ended_session(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, "#/new")
    choose_person(page, thea.name)
    page.get_by_label("Subject (optional)").fill("A question")
    page.get_by_label("Your message").fill("half a thought")
    uma.end_sessions()
    poll_until(page, page.get_by_text("You were logged out."))
    assert "half a thought" not in page.content()
    fill_login(page, uma.name)
    page.get_by_label("Your message").wait_for()
    assert page.get_by_label("Your message").input_value() == "half a thought"
    assert page.get_by_label("Subject (optional)").input_value() == "A question"


def test_too_many_messages_wait_as_the_service_says(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    too_many = {"error": "Too many messages", "code": "too_many_messages"}
    page.route(SEND, lambda route: route.fulfill(status=429, json=too_many, headers={"Retry-After": "2"}), times=1)
    write(page, thea.name, "patience")
    button(page, "Send").click()
    page.get_by_text("Sends itself at").wait_for()
    page.clock.run_for(2000)
    wait_for_live(page, "Sent")
    assert [message["content"] for message in uma.messages(thea)] == ["patience"]


def test_a_draft_survives_an_ended_session_and_is_sent_after_the_login(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "before the end")
    uma.end_sessions()
    button(page, "Send").click()
    page.get_by_text("You were logged out.").wait_for()
    assert page.get_by_text("before the end").count() == 0
    fill_login(page, uma.name)
    messages(page).get_by_text("before the end").wait_for()
    assert [message["content"] for message in uma.messages(thea)] == ["before the end"]


def test_a_draft_is_not_shown_to_another_person(hire: Hire, log_in: LogIn) -> None:
    thea, uma, ugo = hire("therapist"), hire("user"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "only mine")
    uma.end_sessions()
    page.reload()
    page.get_by_text("You were logged out.").wait_for()
    fill_login(page, ugo.name)
    heading(page, thea.name).wait_for()
    assert draft_of(page, thea.name) == ""
    assert "only mine" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_logout_wipes_drafts(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "never to be seen")
    button(page, f"Account {uma.name}").click()
    button(page, "Log out").click()
    fill_login(page, uma.name)
    heading(page, "Conversations").wait_for()
    page.evaluate(f"location.hash = '#/conversation/{thea.name}'")
    heading(page, thea.name).wait_for()
    assert draft_of(page, thea.name) == ""


def test_a_text_that_is_too_long_is_counted_and_not_cut(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, "\U0001f642" * 5002)
    page.get_by_text("2 characters too many").wait_for()
    button(page, "Send").click()
    page.get_by_text("Please make it 2 shorter").wait_for()
    write(page, thea.name, "\U0001f642" * 5000)
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert [len(message["content"]) for message in uma.messages(thea)] == [5000]


def test_a_service_that_is_away_is_named_and_found_again(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma)
    row(page, thea.name).wait_for()
    page.route("**/api/messages/inbox*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_text("The service does not answer.").wait_for()
    assert row(page, thea.name).is_visible()
    page.unroute("**/api/messages/inbox*")
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_text("The service does not answer.").wait_for(state="detached")
