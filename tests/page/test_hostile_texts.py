"""Texts and names of people who mean harm, or only write another script, are shown as text and nothing else."""

from typing import Any

import pytest
from looks import button, heading, messages, row, wait_for_live, write
from page_people import Hire, LogIn

TEXTS = [
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title = 'taken'\">",
    "<b>bold</b> &amp; </p></li><!--",
    "javascript:alert(1) https://example.org",
    "\u202egnp.exe \u202d \u2066 \u2069 \u200f",
    "\u05e9\u05dc\u05d5\u05dd mixed \u0645\u0631\u062d\u0628\u0627 with this",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f642 e\u0301 \u0e01\u0e49",
    "w" * 5000,
    "\u5bbd" * 5000,
    "one\n\n\n   two\tthree",
]
WIDTHS = [1280, 320]


def assert_fits(page: Any) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_texts_and_subjects_are_shown_as_they_are(hire: Hire, log_in: LogIn) -> None:
    thea, uma = hire("therapist"), hire("user")
    for text in TEXTS:
        thea.send(uma, text, subject=text[:100])
    page = log_in(uma, f"#/conversation/{thea.name}")
    messages(page).nth(len(TEXTS) - 1).wait_for()
    assert messages(page).evaluate_all("nodes => nodes.map(node => node.textContent)") == TEXTS
    assert page.locator(".subject").evaluate_all("nodes => nodes.map(node => node.textContent)") == [
        text[:100] for text in TEXTS
    ]
    assert page.locator(".log :is(a, img, script, iframe, style)").count() == 0
    assert page.title().endswith("Messages")
    assert_fits(page)


@pytest.mark.parametrize("text", TEXTS[:7])
def test_a_preview_is_text(hire: Hire, log_in: LogIn, text: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    thea.send(uma, text)
    page = log_in(uma)
    row(page, thea.name).wait_for()
    assert row(page, thea.name).locator(".preview bdi").text_content() == text
    assert row(page, thea.name).locator("img, script, b").count() == 0


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[4], TEXTS[6], TEXTS[8]])
def test_what_is_written_arrives_unchanged(hire: Hire, log_in: LogIn, text: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    page = log_in(uma, f"#/conversation/{thea.name}")
    write(page, thea.name, text)
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert uma.messages(thea)[0]["content"] == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<img src=x onerror=alert(1)>", None),
        ("\u202egnp.\u202c", "[U+202E]gnp.[U+202C]"),
        ("a\u200bb\u0007", "a[U+200B]b[U+0007]"),
        ("\u05d3\u05e0\u05d4", None),
        ("W" * 60, None),
        ("..?x=1&#\u00e4%2F", None),
        ("\U0001f642 smile", None),
        ("__proto__", None),
    ],
)
def test_a_name_is_shown_with_marks_and_opens_its_conversation(
    hire: Hire, log_in: LogIn, name: str, shown: str | None
) -> None:
    thea, ugo = hire("therapist"), hire("user", name)
    number = ugo.name.removeprefix(name)
    ugo.send(thea, "It is me")
    page = log_in(thea)
    link = page.locator("a.conv")
    link.wait_for()
    assert link.locator("bdi").first.text_content() == f"{shown or name}{number}"
    assert_fits(page)
    page.set_viewport_size({"width": 1280, "height": 700})
    link.click()
    messages(page).wait_for()
    heading(page, f"{shown or name}{number}").wait_for()
    page.get_by_role("button", name="Options for this conversation").click()
    button(page, "Block").click()
    assert f"{shown or name}{number}" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("textbox").fill("Hello")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert thea.call("GET", "/inbox")["conversations"][0]["with_user"] == ugo.name
    assert_fits(page)


@pytest.mark.parametrize(
    "fragment", ["#/conversation/%E0%A4%A", "#/conversation/", "#/nothing", "#javascript:alert(1)"]
)
def test_an_address_without_meaning_shows_the_inbox(hire: Hire, log_in: LogIn, fragment: str) -> None:
    page = log_in(hire("user"), fragment)
    page.get_by_text("Choose a conversation to read it here.").wait_for()


def test_a_reason_and_a_name_in_the_audit_are_text(hire: Hire, log_in: LogIn) -> None:
    thea, ugo, adam = hire("therapist"), hire("user", "<i>\u202eugo"), hire("admin")
    ugo.send(thea, TEXTS[1])
    page = log_in(adam, "#/look-up")
    page.get_by_label("First person").fill(thea.name)
    page.get_by_label("Second person").fill(ugo.name)
    page.get_by_label("Reason").fill(TEXTS[0])
    button(page, "Look").click()
    messages(page).wait_for()
    assert messages(page).text_content() == TEXTS[1]
    assert f"Reason: \u201c{TEXTS[0]}\u201d" in page.locator(".note").text_content()
    page.get_by_role("link", name="Audit").click()
    page.get_by_text(TEXTS[0]).first.wait_for()
    assert page.locator("table :is(i, script, img)").count() == 0


def test_a_long_name_breaks_no_other_word_of_a_table(hire: Hire, log_in: LogIn) -> None:
    hire("user", "0" + "W" * 57)
    page = log_in(hire("admin"), "#/accounts")
    page.get_by_role("row").nth(1).wait_for()
    lines = page.locator("td:nth-child(3) span").evaluate_all("all => all.map(it => it.getClientRects().length)")
    assert set(lines) == {1}
