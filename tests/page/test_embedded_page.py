"""The page inside a host: under the host's login and cookie, at the host's path, behind a proxy's prefix."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import pytest
from hosts import create_host_database
from looks import button, heading, messages, row, settle, wait_for_live, write
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

import msgsvc
import msgsvc.flask

PREFIX = "/clinic"


def host(path: str, mount: str) -> Any:
    """A Flask site whose cookie says who is logged in. In the settings stand the paths that the stack knows."""
    site = flask.Flask(__name__)
    site.secret_key = "not secret here"

    @site.get("/login/<name>")
    def login(name: str) -> str:
        flask.session["username"] = name
        return "welcome"

    @site.get("/logout")
    def logout() -> str:
        flask.session.clear()
        return "goodbye"

    def logged_in(environ: Any) -> str | None:
        with site.request_context(environ):
            return flask.session.get("username")

    outer = PREFIX if mount == "prefix" else ""
    settings = msgsvc.Settings(database=path, prefix=f"{outer}/api/messages", page=f"{outer}/messages")
    app = msgsvc.create_app(settings, authenticate=logged_in)
    if mount == "blueprint":
        site.register_blueprint(msgsvc.flask.blueprint(app))
        site.register_blueprint(msgsvc.flask.page_blueprint(app))
        return site
    whole = DispatcherMiddleware(site, {"/api/messages": app, "/messages": app})
    if mount == "prefix":
        return DispatcherMiddleware(flask.Flask("nothing"), {PREFIX: whole})
    return behind_proxy(whole) if mount == "proxy" else whole


def behind_proxy(site: Any) -> Any:
    """A proxy that takes the prefix from every path, of which the site knows nothing."""

    def proxied(environ: Any, start_response: Any) -> Any:
        return site({**environ, "PATH_INFO": environ["PATH_INFO"].removeprefix(PREFIX)}, start_response)

    return proxied


@contextmanager
def running(wsgi: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, wsgi, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["dispatcher", "blueprint", "prefix", "proxy"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "host.db")
    create_host_database(path)
    with running(host(path, request.param)) as address:
        yield address + (PREFIX if request.param in {"prefix", "proxy"} else "")


def log_in_at(open_page: Any, address: str, name: str, fragment: str = "") -> Any:
    page = open_page(f"{address}/login/{name}")
    page.goto(f"{address}/messages/{fragment}")
    heading(page, "Conversations").wait_for()
    settle(page)
    return page


def test_two_people_write_under_the_login_of_the_host(open_page: Any, address: str) -> None:
    page = log_in_at(open_page, address, "uma", "#/conversation/thea")
    write(page, "thea", "May I ask you something?")
    button(page, "Send").click()
    wait_for_live(page, "Sent")
    assert page.get_by_role("button", name="Account").count() == 0
    assert page.evaluate("sessionStorage.getItem('msgsvc.session')") is None
    other = log_in_at(open_page, address, "thea")
    row(other, "uma").click()
    messages(other).get_by_text("May I ask you something?").wait_for()


def test_the_address_without_a_slash_leads_to_the_page(open_page: Any, address: str) -> None:
    page = open_page(f"{address}/login/uma")
    page.goto(f"{address}/messages")
    heading(page, "Conversations").wait_for()
    assert page.url.split("#")[0] == f"{address}/messages/"


def test_when_the_host_has_logged_out_the_page_is_empty(open_page: Any, address: str) -> None:
    page = log_in_at(open_page, address, "uma", "#/conversation/thea")
    write(page, "thea", "not for the next person")
    page.request.get(f"{address}/logout")
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_text("You were logged out.").wait_for()
    assert "not for the next person" not in page.content()
    page.request.get(f"{address}/login/clara")
    button(page, "Try again").click()
    heading(page, "thea").wait_for()
    assert page.get_by_label("Write to thea").input_value() == ""


def test_another_person_at_the_host_gets_a_page_of_their_own(open_page: Any, address: str) -> None:
    page = log_in_at(open_page, address, "uma", "#/conversation/thea")
    write(page, "thea", "only mine")
    page.request.get(f"{address}/login/adam")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("link", name="Audit").wait_for()
    assert page.get_by_role("link", name="Accounts").count() == 0
    assert "only mine" not in page.evaluate("JSON.stringify(sessionStorage)")
