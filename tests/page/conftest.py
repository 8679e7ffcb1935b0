"""A real browser on a real service: people who log in, write and read. An error on the console fails the test."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe import WIDE
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


@pytest.fixture(scope="session")
def profile(browser: Any) -> Iterator[Any]:
    """A browser profile for one tab at a time: to make one for each test takes longer than most tests."""
    context = new_profile(browser)
    # Without a tab the window would close, and the next test wait for another one.
    context.new_page()
    yield context
    context.close()


def new_profile(browser: Any, **options: Any) -> Any:
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.add_init_script(f"({COUNT_CALLS})()")
    return context


@pytest.fixture
def open_page(browser: Any, profile: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Opens the page. The second of a test has a profile of its own, as has one with cookies, a clock or options."""
    opened: list[Any] = []
    errors: list[str] = []

    def open_page(url: str = "", fragment: str = "", *, apart: bool = False, **options: Any) -> Any:
        shares = not (opened or url or apart or options)
        page = (profile if shares else new_profile(browser, **options)).new_page()
        opened.append(page if shares else page.context)
        page.set_default_timeout(60_000)
        page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((url or service.url + "/") + fragment)
        return page

    yield open_page
    for page_or_context in opened:
        page_or_context.close()
    profile.set_offline(offline=False)
    assert errors == []


@pytest.fixture
def log_in(open_page: Callable[..., Any], service: Service) -> LogIn:
    """The page of a person who has logged in, with all that it loads at the address given.

    `frozen` stops the clock of the page, so that it neither polls nor tries again until the test lets time pass.
    """

    def log_in(person: Person, fragment: str = "", *, frozen: bool = False, apart: bool = False, **options: Any) -> Any:
        elsewhere = "" if person.service is service else f"{person.service.url}/"
        page = open_page(elsewhere, "icon.svg", apart=apart or frozen, **options)
        page.evaluate("token => sessionStorage.setItem('msgsvc.session', token)", person.new_token())
        if frozen:
            freeze(page)
        page.goto(f"{person.service.url}/{fragment}")
        page.locator(".account", has_text=person.name).wait_for(state="attached")
        settle(page)
        return page

    return log_in
