"""Makes the pictures of the page for README and docs: ``python -m tests.page.pictures`` (needs chromium and Pillow)."""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "page")]

from page_people import Person, fill_login  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from served import serving  # noqa: E402

DOCS = TESTS.parent / "docs"
ROLES = {
    "thea.brandt": "therapist",
    "uma": "user",
    "jonas.weber": "user",
    "dr.okafor": "clinician",
    "samira.haddad": "therapist",
    "adam": "admin",
}
READ = [
    ("dr.okafor", "uma", "Your blood test is fine. There is nothing you need to do."),
    ("uma", "dr.okafor", "Thank you for the call. I understood everything."),
    ("adam", "thea.brandt", "From Monday the practice closes at 18:00. Please tell the people who come late."),
    ("dr.okafor", "thea.brandt", "I have seen Mr Weber today. Blood pressure is fine, I would keep the dose as it is."),
    ("thea.brandt", "samira.haddad", "Yes, the group room is free. I booked it for both Fridays."),
    ("samira.haddad", "uma", "See you in the group on Friday."),
    ("thea.brandt", "uma", "Good that you wrote it down. Could you find one of the five things yesterday?"),
    ("uma", "thea.brandt", "I tried. There was only one: on the balcony, with the tea getting cold. Is one enough?"),
    ("thea.brandt", "uma", "One is enough. Nobody marks it."),
]
UNREAD = [
    ("jonas.weber", "thea.brandt", "Thank you. I picked up the new prescription, the pharmacist explained it."),
    (
        "uma",
        "thea.brandt",
        "The night was hard. I did the exercise with the five things I can see, and around four it got a little "
        "better. I am safe. I would like to talk before Thursday if that is possible.",
    ),
    ("uma", "thea.brandt", "Tuesday or Wednesday would work, mornings are best."),
]
DRAFT = "Good that you wrote, and good that you used the exercise. Wednesday at 9:00 is yours."


def save(page: Any, name: str) -> None:
    """64 colours are enough for a page of text, and make a small file."""
    Image.open(io.BytesIO(page.screenshot())).quantize(64).save(DOCS / name, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, serving(f"{directory}/messages.db") as service:
        people = {name: Person(service, f"{directory}/messages.db", name, role) for name, role in ROLES.items()}
        for sender, recipient, content in READ:
            people[sender].send(people[recipient], content)
            people[recipient].call("PATCH", f"/conversation/{sender}/read")
        for sender, recipient, content in UNREAD:
            people[sender].send(people[recipient], content)
        with sync_playwright() as starter:
            browser = starter.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-lcd-text"]
            )
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            page.goto(f"{service.url}/#/conversation/uma")
            fill_login(page, "thea.brandt")
            page.locator(".line").wait_for()
            page.get_by_label("Write to uma").fill(DRAFT)
            page.locator("a.conv[href='#/conversation/uma']").focus()
            page.evaluate("document.activeElement.blur()")
            save(page, "page-wide.png")
            phone = browser.new_context(viewport={"width": 390, "height": 700}).new_page()
            phone.goto(service.url)
            fill_login(phone, "uma")
            phone.locator("a.conv").first.wait_for()
            phone.mouse.move(0, 0)
            phone.evaluate("document.activeElement.blur()")
            save(phone, "page-phone.png")
            browser.close()


if __name__ == "__main__":
    main()
