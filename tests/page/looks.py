"""How the tests find things on the page, by the names that people hear."""

import time
from contextlib import suppress
from typing import Any


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def in_dialog(page: Any, name: str) -> Any:
    return page.get_by_role("dialog").get_by_role("button", name=name, exact=True)


def row(page: Any, name: str) -> Any:
    """The row of a partner in the inbox."""
    return page.locator(f"a.conv[href='#/conversation/{name}']")


def heading(page: Any, name: str) -> Any:
    return page.get_by_role("heading", name=name, exact=True)


def messages(page: Any) -> Any:
    return page.get_by_role("region", name="Messages").locator(".text")


def write(page: Any, name: str, text: str) -> None:
    page.get_by_label(f"Write to {name}").fill(text)


def wait_for_live(page: Any, text: str) -> None:
    """Waits until the live region says this."""
    page.wait_for_function("text => document.getElementById('live').textContent === text", arg=text)


def focused(page: Any) -> str:
    """The name, or else the text, of what has the focus."""
    name = "(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)"
    return str(page.evaluate(f"{name}(document.activeElement)"))


def poll_until(page: Any, locator: Any) -> None:
    """Lets the page ask the service, as it does on return of the network, until this is to be seen."""
    from playwright.sync_api import TimeoutError  # noqa: PLC0415

    for _ in range(100):
        page.evaluate("dispatchEvent(new Event('online'))")
        with suppress(TimeoutError):
            locator.first.wait_for(timeout=300)
            return
    raise AssertionError(f"never seen: {locator}")


def freeze(page: Any) -> None:
    """From the next address on, the time of the page goes on by `page.clock.run_for` alone."""
    now = time.time()
    page.clock.install(time=now)
    page.clock.pause_at(now + 1)


def hide(page: Any) -> None:
    """As when another tab comes to the front."""
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def show_again(page: Any) -> None:
    page.evaluate("delete document.hidden")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def requests_of(page: Any, method: str, part: str) -> list[Any]:
    """The requests that the page makes from now on: a list that grows."""
    made: list[Any] = []
    page.on(
        "request", lambda request: made.append(request) if request.method == method and part in request.url else None
    )
    return made


def settle(page: Any) -> None:
    """Gives the page the time of another call, to take in what it was answered."""
    page.evaluate("fetch('icon.svg').then(answer => answer.text())")
