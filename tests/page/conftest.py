"""A real browser on a real service: people who log in, write and read. An error on the console fails the test."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from looks import COUNT_CALLS, freeze, settle
from page_people import Hire, LogIn, Person
from requirements import needs, unavailable
from served import Service, serving

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    chromium = needs("chromium", "apt-get install chromium, for the tests of the page")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        unavailable("playwright is missing: pip install -e '.[test]', for the tests of the page")
    with sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("page") / "messages.db")


@pytest.fixture(scope="session")
def service(database: str) -> Iterator[Service]:
    with serving(database) as service:
        yield service


_numbers = itertools.count()


@pytest.fixture
def hire(service: Service, database: str) -> Hire:
    """Makes a person of a role, with a name that no other test has; the name begins with the role or what is given."""

    def hire(role: str, name: str = "") -> Person:
        return Person(service, database, f"{name or role}{next(_numbers)}", role)

    return hire


def is_error(said: Any) -> bool:
    """The browser itself reports every refused or failed request as an error; the page must report none."""
    return said.type == "error" and "Failed to load resource" not in said.text


@pytest.fixture
def open_page(browser: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Opens the page in a browser profile of its own."""
    contexts = []
    errors: list[str] = []

    def open_page(url: str = "", fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.add_init_script(f"({COUNT_CALLS})()")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((url or service.url + "/") + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def log_in(open_page: Callable[..., Any]) -> LogIn:
    """The page of a person who has logged in, with all that it loads at the address given.

    `frozen` stops the clock of the page, so that it neither polls nor tries again until the test lets time pass.
    """

    def log_in(person: Person, fragment: str = "", *, frozen: bool = False, **options: Any) -> Any:
        page = open_page(f"{person.service.url}/", "icon.svg", **options)
        page.evaluate("token => sessionStorage.setItem('msgsvc.session', token)", person.new_token())
        if frozen:
            freeze(page)
        page.goto(f"{person.service.url}/{fragment}")
        page.locator(".account", has_text=person.name).wait_for(state="attached")
        settle(page)
        return page

    return log_in
