"""How the tests find things on the page, by the names that people hear."""

import time
from contextlib import suppress
from typing import Any

COUNT_CALLS = """() => {
    const ask = fetch;
    window.underWay = 0;
    window.fetch = (...call) => {
        underWay += 1;
        return ask(...call).finally(() => { underWay -= 1; });
    };
}"""

# What was answered before a call of our own began has reached the page when that call has its answer.
SETTLE = """async (held) => {
    let idle;
    do {
        idle = underWay <= held;
        await (await fetch('icon.svg')).text();
    } while (!idle || underWay > held);
}"""


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


NAME = "(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"


def focused(page: Any) -> str:
    """The name, or else the text, of what has the focus."""
    return str(page.evaluate(NAME))


def wait_for_focus(page: Any, name: str) -> None:
    page.wait_for_function(f"name => {NAME} === name", arg=name)


def choose_person(page: Any, name: str) -> None:
    """Searches for the one person of this name and chooses it, once the search has ended and the list stays."""
    page.get_by_label("Send to").fill(name)
    wait_for_live(page, "1 person found")
    page.locator(".results button", has_text=name).click()


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
    # The clock runs until it is paused, and cannot be paused at a time that is past.
    page.clock.install(time=now - 3600)
    page.clock.pause_at(now)


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


class Hold:
    """Holds the next answer from an address, which the service has given, until it is let through."""

    def __init__(self, page: Any, address: Any) -> None:
        self._page = page
        self._held: list[Any] = []
        page.route(address, lambda route: self._held.append((route, route.fetch())), times=1)

    def wait(self) -> None:
        """Waits until the service has given the answer."""
        for _ in range(10_000):
            if self._held:
                return
            self._page.evaluate("new Promise(requestAnimationFrame)")
        raise AssertionError("never asked for")

    def let_through(self) -> None:
        self.wait()
        route, answer = self._held.pop()
        route.fulfill(response=answer)


def settle(page: Any, held: int = 0) -> None:
    """Waits until the page has no call under way but those that the test holds, and has taken in every answer."""
    page.evaluate(SETTLE, held)


def let_see(page: Any) -> None:
    """Lets time pass on a frozen page until it has seen what is in view, and has the answers to what it marks."""
    for _ in range(2):
        # The browser tells observers in the order of their making what is in view.
        page.evaluate("new Promise(done => new IntersectionObserver(done).observe(document.body))")
        page.clock.run_for(2000)
    settle(page)
