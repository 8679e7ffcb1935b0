"""Two people at once, two tabs of one person, and what admins do."""

from typing import Any

from looks import button, heading, in_dialog, messages, poll_until, row, settle, wait_for_live, write
from page_people import Hire, LogIn, fill_login


def say(page: Any, to: str, text: str) -> None:
    write(page, to, text)
    button(page, "Send").click()
    wait_for_live(page, "Sent")


def test_two_people_write_to_each_other(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    hers, his = log_in(thea, f"#/conversation/{uma.name}"), log_in(uma, f"#/conversation/{thea.name}")
    say(hers, uma.name, "How are you?")
    poll_until(his, messages(his).get_by_text("How are you?"))
    say(his, thea.name, "Better")
    poll_until(hers, messages(hers).get_by_text("Better"))
    poll_until(his, his.locator(".receipt", has_text="Read "))
    assert messages(hers).all_inner_texts() == messages(his).all_inner_texts() == ["How are you?", "Better"]


def test_two_tabs_of_one_person_show_the_same(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "How are you?")
    one = log_in(uma)
    row(one, thea.name).locator(".badge").wait_for()
    other = log_in(uma, f"#/conversation/{thea.name}")
    other.wait_for_function("() => document.title === 'Messages'")
    poll_until(one, one.locator(".counted", has_text="Nothing unread"))
    say(other, thea.name, "Better")
    poll_until(one, row(one, thea.name).get_by_text("Better"))


def test_a_draft_belongs_to_its_tab(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    one = log_in(uma, f"#/conversation/{thea.name}")
    write(one, thea.name, "half a thought")
    other = log_in(uma, f"#/conversation/{thea.name}")
    heading(other, thea.name).wait_for()
    assert other.get_by_label(f"Write to {thea.name}").input_value() == ""


def test_a_message_deleted_in_one_tab_goes_from_the_other(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "first")
    gone = thea.send(uma, "second")
    page = log_in(uma, f"#/conversation/{thea.name}", frozen=True)
    messages(page).nth(1).wait_for()
    uma.call("DELETE", f"/{gone}")
    page.get_by_role("button", name="Options for the message").nth(1).click()
    button(page, "Delete message").click()
    in_dialog(page, "Delete message").click()
    wait_for_live(page, "Message deleted")
    assert messages(page).all_inner_texts() == ["first"]


def test_an_admin_looks_with_a_reason_that_the_audit_shows(hire: Hire, log_in: LogIn) -> None:
    thea, uma, adam = hire("therapist"), hire("user"), hire("admin")
    for number in range(60):
        thea.send(uma, f"message {number}")
    page = log_in(adam, "#/look-up")
    page.get_by_label("Username").fill(uma.name)
    button(page, "List conversations").click()
    page.get_by_role("button", name="Fill in").click()
    page.get_by_label("Reason").fill(f"About {uma.name}")
    button(page, "Look").click()
    messages(page).nth(49).wait_for()
    button(page, "Load older messages").click()
    wait_for_live(page, "10 older messages")
    assert messages(page).count() == 60
    assert thea.unread() == uma.unread() - 60 == 0
    assert page.get_by_role("button", name="Delete").count() == 0
    page.get_by_role("link", name="Audit").click()
    page.get_by_label("About").fill(uma.name)
    button(page, "Show").click()
    page.get_by_role("row", name=f"About {uma.name}").first.wait_for()


def test_a_look_at_unknown_people_is_refused_in_words(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("admin"), "#/look-up")
    page.get_by_label("First person").fill("nobody")
    page.get_by_label("Second person").fill("no one")
    page.get_by_label("Reason").fill("A mistake")
    button(page, "Look").click()
    page.get_by_role("alert").wait_for()
    assert "[object" not in page.get_by_role("alert").inner_text()


def test_an_admin_makes_suspends_and_reinstates_an_account(hire: Hire, log_in: LogIn, open_page: Any) -> None:
    adam, thea = hire("admin"), hire("therapist", "a.first.name")
    name = f"new.{thea.name}"
    page = log_in(adam, "#/accounts")
    button(page, "New account").click()
    page.get_by_label("Username").fill(name)
    page.get_by_role("dialog").get_by_label("Role").select_option("Therapist")
    page.get_by_label("First password").fill("a quiet green river")
    in_dialog(page, "Create account").click()
    wait_for_live(page, f"{name} created")
    button(page, "New account").click()
    page.get_by_label("Username").fill(name)
    page.get_by_label("First password").fill("a quiet green river")
    in_dialog(page, "Create account").click()
    page.get_by_text(f"There is already an account {name}.").wait_for()
    in_dialog(page, "Cancel").click()
    settle(page)
    for suspended in (True, False):
        button(page, f"Change {thea.name}").click()
        page.get_by_label("Suspended").set_checked(suspended)
        in_dialog(page, "Save").click()
        page.locator("tr", has=button(page, f"Change {thea.name}")).get_by_text(
            "Suspended" if suspended else "Open"
        ).wait_for()
        theirs = open_page()
        fill_login(theirs, thea.name)
        if suspended:
            theirs.get_by_text("Your account is closed for now").wait_for()
        else:
            heading(theirs, "Conversations").wait_for()


def test_the_first_password_must_be_replaced(hire: Hire, log_in: LogIn, open_page: Any) -> None:
    adam, uma = hire("admin"), hire("user", "a.first.name")
    page = log_in(adam, "#/accounts")
    button(page, f"Change {uma.name}").click()
    page.get_by_label("New password (optional)").fill("a quiet green river")
    in_dialog(page, "Save").click()
    wait_for_live(page, f"{uma.name} changed")
    theirs = open_page()
    fill_login(theirs, uma.name, "a quiet green river")
    heading(theirs, "Choose your own password").wait_for()
    theirs.get_by_label("New password").fill("12345678")
    button(theirs, "Save").click()
    theirs.get_by_text("This password is too easy to guess.").wait_for()
    theirs.get_by_label("New password").fill("a loud blue mountain")
    button(theirs, "Save").click()
    heading(theirs, "Conversations").wait_for()


def test_only_admins_see_the_administration(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("therapist"), "#/accounts")
    page.get_by_text("Choose a conversation to read it here.").wait_for()
    assert not page.get_by_role("navigation").is_visible()
