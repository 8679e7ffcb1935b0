"""What people do on the page, by mouse."""

from typing import Any

from looks import button, choose_person, heading, in_dialog, messages, poll_until, row, wait_for_live, write
from page_people import PASSWORD, Hire, LogIn, fill_login


def test_the_inbox_shows_partners_unread_counts_and_roles(hire: Hire, log_in: LogIn) -> None:
    thea, uma, clara = hire("therapist"), hire("user"), hire("clinician")
    uma.send(thea, "first")
    uma.send(thea, "second")
    thea.send(clara, "to a colleague")
    page = log_in(thea)
    row(page, uma.name).get_by_text("second").wait_for()
    assert row(page, uma.name).locator(".badge").inner_text().startswith("2")
    assert "You: to a colleague" in row(page, clara.name).inner_text()
    assert page.title() == "(2) Messages"
    wait_for_live(page, "2 unread")


def test_only_unread_filters_and_offers_the_way_back(hire: Hire, log_in: LogIn) -> None:
    thea, uma, ugo = hire("therapist"), hire("user"), hire("user")
    uma.send(thea)
    thea.send(ugo)
    page = log_in(thea)
    row(page, ugo.name).wait_for()
    button(page, "Only unread").click()
    row(page, ugo.name).wait_for(state="detached")
    wait_for_live(page, "1 conversation with unread messages")
    row(page, uma.name).click()
    messages(page).wait_for()
    page.wait_for_function("() => document.title === 'Messages'")
    poll_until(page, button(page, "Show all conversations"))
    button(page, "Show all conversations").click()
    row(page, ugo.name).wait_for()


def test_more_conversations_load_on_demand(hire: Hire, log_in: LogIn) -> None:
    thea = hire("therapist")
    for _ in range(23):
        thea.send(hire("user"))
    page = log_in(thea)
    page.locator("a.conv").nth(19).wait_for()
    button(page, "Load more conversations").click()
    wait_for_live(page, "3 more conversations")
    assert page.locator("a.conv").count() == 23
    assert page.locator("a.conv").nth(20).evaluate("row => row === document.activeElement")


def test_a_reply_is_sent_and_its_receipt_shown(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "How are you?")
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).wait_for()
    write(page, thea.name, "Better")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert messages(page).all_inner_texts() == ["How are you?", "Better"]
    page.get_by_text("Sent, not read yet").wait_for()
    thea.call("PATCH", f"/conversation/{uma.name}/read")
    poll_until(page, page.locator(".receipt", has_text="Read "))


def test_older_messages_load_and_the_first_in_view_stays_in_place(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    for number in range(60):
        uma.send(thea, f"message {number}")
    thea.call("PATCH", f"/conversation/{uma.name}/read")
    # After 0.4 s the page says that it is loading, in a line above the messages.
    page = log_in(thea, f"#/conversation/{uma.name}", frozen=True)
    older = button(page, "Load older messages")
    older.scroll_into_view_if_needed()
    first = page.locator(".msg", has=page.get_by_text("message 10", exact=True))
    before = first.bounding_box()["y"]
    older.click()
    page.get_by_text(f"This is where your conversation with {uma.name} begins.").first.wait_for()
    assert abs(first.bounding_box()["y"] - before) < 2
    assert messages(page).count() == 60


def test_a_new_message_goes_to_somebody_found_by_search(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma)
    button(page, "New message").click()
    choose_person(page, thea.name)
    page.get_by_label("Subject (optional)").fill("A question")
    page.get_by_label("Your message").fill("May I call you?")
    button(page, "Send").click()
    wait_for_live(page, f"Sent to {thea.name}")
    heading(page, thea.name).wait_for()
    (sent,) = thea.messages(uma)
    assert (sent["subject"], sent["content"]) == ("A question", "May I call you?")


def test_choosing_a_partner_opens_the_conversation_that_exists_with_the_text(hire: Hire, log_in: LogIn) -> None:
    thea, sam, uma = hire("therapist"), hire("therapist"), hire("user")
    sam.send(uma, "we know each other")
    page = log_in(uma, "#/new")
    choose_person(page, thea.name)
    page.get_by_label("Your message").fill("for whoever it is")
    button(page, "Choose somebody else").click()
    choose_person(page, sam.name)
    page.get_by_text("we know each other").last.wait_for()
    assert page.get_by_label(f"Write to {sam.name}").input_value() == "for whoever it is"


def test_deleting_a_message_asks_first_and_the_other_side_keeps_it(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    uma.send(thea, "please forget")
    page = log_in(thea, f"#/conversation/{uma.name}")
    page.get_by_role("button", name=f"Options for the message from {uma.name}").click()
    button(page, "Delete message").click()
    in_dialog(page, "Keep it").click()
    assert messages(page).count() == 1
    page.get_by_role("button", name=f"Options for the message from {uma.name}").click()
    button(page, "Delete message").click()
    assert f"{uma.name} keeps it." in page.get_by_role("dialog").inner_text()
    in_dialog(page, "Delete message").click()
    wait_for_live(page, "Message deleted")
    assert thea.messages(uma) == []
    assert len(uma.messages(thea)) == 1


def test_deleting_a_conversation_hides_only_what_the_reader_has_loaded(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    uma.send(thea, "old")
    page = log_in(thea, f"#/conversation/{uma.name}", frozen=True)
    messages(page).wait_for()
    uma.send(thea, "arrives while the question is open")
    button(page, "Options for this conversation").click()
    button(page, "Delete conversation").click()
    in_dialog(page, "Delete conversation").click()
    wait_for_live(page, f"Conversation with {uma.name} deleted")
    assert [message["content"] for message in thea.messages(uma)] == ["arrives while the question is open"]


def test_block_and_unblock(hire: Hire, log_in: LogIn) -> None:
    uma, ugo = hire("user"), hire("user")
    ugo.send(uma)
    page = log_in(uma, f"#/conversation/{ugo.name}")
    messages(page).wait_for()
    button(page, "Options for this conversation").click()
    button(page, "Block").click()
    in_dialog(page, "Block").click()
    wait_for_live(page, f"{ugo.name} is blocked")
    assert [block["username"] for block in uma.call("GET", "/blocks")["blocks"]] == [ugo.name]
    button(page, f"Account {uma.name}").click()
    button(page, "People you blocked").click()
    in_dialog(page, f"Unblock {ugo.name}").click()
    wait_for_live(page, f"{ugo.name} is no longer blocked")
    in_dialog(page, "Close").click()
    page.get_by_text(f"You have blocked {ugo.name}").wait_for(state="hidden")
    assert uma.call("GET", "/blocks") == {"blocks": []}


def test_a_patient_cannot_block_staff(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma)
    page = log_in(uma, f"#/conversation/{thea.name}")
    button(page, "Options for this conversation").click()
    assert page.locator(".head .panel button:visible").all_inner_texts() == ["Delete conversation"]


def test_the_page_says_which_rule_forbids_writing(hire: Hire, log_in: LogIn) -> None:
    clara, uma = hire("clinician"), hire("user")
    page = log_in(uma, f"#/conversation/{clara.name}")
    page.get_by_text(f"You cannot write to {clara.name} yet").wait_for()
    page.get_by_text("Clinicians write first.").wait_for()
    clara.send(uma, "Now you can")
    poll_until(page, page.get_by_label(f"Write to {clara.name}"))


def test_an_unknown_name_is_named_and_leads_back(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("user"), "#/conversation/nobody%20at%20all")
    page.get_by_text("Nobody here is called nobody at all").wait_for()
    button(page, "Back to the conversations").click()
    page.get_by_text("Choose a conversation to read it here.").wait_for()


def test_changing_the_password(hire: Hire, log_in: LogIn, open_page: Any) -> None:
    uma = hire("user")
    page = log_in(uma)
    button(page, f"Account {uma.name}").click()
    button(page, "Change password").click()
    page.get_by_label("Current password").fill("not this one")
    page.get_by_label("New password").fill("a quiet green river")
    in_dialog(page, "Change password").click()
    page.get_by_text("The current password is not right. Please type it again.").wait_for()
    page.get_by_label("Current password").fill(PASSWORD)
    in_dialog(page, "Change password").click()
    wait_for_live(page, "Password changed")
    other = open_page()
    fill_login(other, uma.name)
    other.get_by_text("That did not work").wait_for()
    fill_login(other, uma.name, "a quiet green river")
    heading(other, "Conversations").wait_for()


def test_a_deep_link_survives_the_login_and_a_reload(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, "here")
    page = log_in(uma, f"#/conversation/{thea.name}")
    heading(page, thea.name).wait_for()
    page.reload()
    messages(page).wait_for()
    assert page.url.endswith(f"#/conversation/{thea.name}")
