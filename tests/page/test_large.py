"""A full mailbox costs the page no more than a small one: its calls, bytes and nodes are bounded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from looks import button, messages, row, wait_for_live, write
from page_people import Hire, LogIn, Person
from served import serving
from test_polling import is_inbox

MESSAGES = 20_000
PARTNERS = 2_000
PARTS = 200
INSERT_MESSAGE = "INSERT INTO messages (sender_username, recipient_username, content, is_read) VALUES (?, ?, ?, 1)"


def fill(database: str, thea: Person, uma: Person) -> None:
    partners = [f"{thea.name}.partner{number}" for number in range(PARTNERS)]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO users (username, role) VALUES (?, 'user')", [(name,) for name in partners])
        connection.executemany(INSERT_MESSAGE, [(name, thea.name, "Hello " * 10) for name in partners])
        connection.executemany(
            INSERT_MESSAGE, [(uma.name, thea.name, f"message {number}") for number in range(MESSAGES)]
        )


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Person]:
    """A therapist with a full mailbox, at a service of her own."""
    database = str(tmp_path / "messages.db")
    with serving(database) as service:
        thea, uma = Person(service, database, "thea", "therapist"), Person(service, database, "uma", "user")
        fill(database, thea, uma)
        yield thea


def nodes(page: Any) -> int:
    """The nodes that the browser holds, in the document or not."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    count: int = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return count


@pytest.mark.slow
def test_a_full_inbox_is_one_small_call_and_a_long_conversation_keeps_memory_flat(full: Person, log_in: LogIn) -> None:
    page = log_in(full, frozen=True)
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer) if "/api/" in answer.url else None)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    with page.expect_response(is_inbox) as inbox:
        page.reload()
    page.locator("a.conv").nth(19).wait_for()
    assert len(inbox.value.body()) < 10_000
    assert page.locator("a.conv").count() == 20
    assert len([answer for answer in answers if is_inbox(answer)]) == 1
    assert page.evaluate("document.querySelectorAll('*').length") < 400
    row(page, "uma").click()
    messages(page).nth(49).wait_for()
    (opened,) = [answer for answer in answers if "/conversation/" in answer.url]
    assert len(opened.body()) < 30_000
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 1})
    load_parts(page, 10)
    before = nodes(page)
    load_parts(page, PARTS - 10)
    assert page.locator(".msg").count() <= 300
    assert nodes(page) < before * 1.2


def load_parts(page: Any, parts: int) -> None:
    """Presses Load older messages and waits until the page says that they are there, this often."""
    page.evaluate(
        """async parts => {
            for (let part = 0; part < parts; part += 1) {
                const said = new Promise(done => {
                    new MutationObserver((_, observer) => done(observer.disconnect()))
                        .observe(document.getElementById('live'), {childList: true});
                });
                [...document.querySelectorAll('button')].find(it => it.textContent === 'Load older messages').click();
                await said;
            }
        }""",
        parts,
    )


def test_the_way_back_to_the_newest_is_short(hire: Hire, log_in: LogIn, database: str) -> None:
    thea, uma = hire("therapist"), hire("user")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(INSERT_MESSAGE, [(uma.name, thea.name, f"message {number}") for number in range(450)])
    page = log_in(thea, f"#/conversation/{uma.name}")
    messages(page).nth(49).wait_for()
    load_parts(page, 7)
    button(page, "Load newer messages").click()
    wait_for_live(page, "50 newer messages")
    write(page, uma.name, "an answer")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    messages(page).get_by_text("an answer").wait_for()
    messages(page).get_by_text("message 449", exact=True).wait_for()
