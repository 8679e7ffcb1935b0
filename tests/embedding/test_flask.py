"""Messages inside a Flask site: the site's own rules hold for them, and its own routes live on."""

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from embedded import SEND
from flask.testing import FlaskClient

import msgsvc
import msgsvc.flask

INBOX = "/api/messages/inbox"
HELLO = {"recipient": "thea", "content": "Hello"}


@pytest.fixture
def messages(host_path: str) -> Iterator[msgsvc.app.App]:
    app = msgsvc.create_app(
        msgsvc.Settings(database=host_path), authenticate=lambda _environ: flask.session.get("username")
    )
    yield app
    app.close()


@pytest.fixture
def site(messages: msgsvc.app.App) -> flask.Flask:
    site = flask.Flask("site")
    site.secret_key = "not secret here"
    site.register_blueprint(msgsvc.flask.blueprint(messages))
    return site


def logged_in(site: flask.Flask, username: str = "uma", **session: Any) -> FlaskClient:
    client = site.test_client()
    with client.session_transaction() as stored:
        stored.update(username=username, **session)
    return client


def test_the_page_is_a_blueprint_of_its_own(host_path: str) -> None:
    settings = msgsvc.Settings(database=host_path, page="/messages")
    messages = msgsvc.create_app(settings, authenticate=lambda _environ: flask.session.get("username"))
    site = flask.Flask("site")
    site.secret_key = "not secret here"
    site.register_blueprint(msgsvc.flask.page_blueprint(messages))
    assert site.test_client().get("/messages").headers["Location"].endswith("/messages/")
    page = site.test_client().get("/messages/", headers={"Accept-Encoding": "gzip"})
    assert (page.status_code, page.mimetype, page.headers["Cache-Control"]) == (200, "text/html", "no-cache")
    assert (page.headers["Content-Encoding"], "default-src" in page.headers["Content-Security-Policy"]) == (
        "gzip",
        True,
    )
    assert site.test_client().get("/messages/app.js").mimetype == "text/javascript"
    assert site.test_client().get("/messages/session").status_code == 401
    assert logged_in(site).get("/messages/session").json == {"username": "uma", "role": "user"}
    messages.close()


def test_a_before_request_rule_of_the_site_ends_a_session(site: flask.Flask) -> None:
    @site.before_request
    def end_idle_sessions() -> Any:
        return ("idle", 401) if flask.session.get("idle") else None

    assert logged_in(site).get(INBOX).status_code == 200
    refused = logged_in(site, idle=True).get(INBOX)
    assert (refused.status_code, refused.text) == (401, "idle")


def test_a_call_refreshes_a_permanent_session(site: flask.Flask) -> None:
    answer = logged_in(site, _permanent=True).get(INBOX)
    assert "Expires=" in answer.headers["Set-Cookie"]


def test_the_rate_limit_and_the_headers_of_the_site_hold(site: flask.Flask) -> None:
    calls = []

    @site.before_request
    def limit() -> Any:
        calls.append(flask.request.path)
        return ("too many", 429) if len(calls) > 50 else None

    @site.after_request
    def secure(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    client = logged_in(site)
    answers = [client.get(INBOX) for _ in range(60)]
    assert [answer.status_code for answer in answers] == [200] * 50 + [429] * 10
    assert {answer.headers["Content-Security-Policy"] for answer in answers} == {"default-src 'self'"}


@pytest.mark.parametrize("before", [True, False])
def test_routes_of_the_site_beneath_the_prefix_live_on(messages: msgsvc.app.App, before: bool) -> None:
    """Whether it adds them before the blueprint or after it; also those that look like a message's path."""
    site = flask.Flask("site")
    site.secret_key = "not secret here"
    if not before:
        site.register_blueprint(msgsvc.flask.blueprint(messages))
    own_rules = ["/api/messages/sent", "/api/messages/<name>", "/api/messages/folder/<name>"]
    for rule in (*own_rules, "/<path:page>"):
        site.add_url_rule(rule, rule, lambda rule=rule, **_arguments: rule)
    if before:
        site.register_blueprint(msgsvc.flask.blueprint(messages))
    client = logged_in(site)
    for path, rule in zip(("/api/messages/sent", "/api/messages/7", "/api/messages/folder/a"), own_rules, strict=True):
        assert client.get(path).text == rule
    assert client.get("/api/messages/nothing/here").text == "/<path:page>"
    assert client.get(INBOX).json["conversations"] == []
    assert client.delete("/api/messages/7").json["code"] == "message_not_found"
    assert client.get("/api/users").text == "/<path:page>"


@pytest.mark.parametrize("read", ["data", "json"])
def test_a_body_that_a_hook_has_read_is_not_lost(site: flask.Flask, read: str) -> None:
    site.before_request(lambda: getattr(flask.request, read) and None)
    assert logged_in(site).post(SEND, json=HELLO).status_code == 201


def test_a_form_that_a_hook_has_read_is_415(site: flask.Flask) -> None:
    site.before_request(lambda: flask.request.form and None)
    assert logged_in(site).post(SEND, data=HELLO).status_code == 415


def test_a_body_that_is_too_large_is_413_in_our_form(site: flask.Flask) -> None:
    answer = logged_in(site).post(SEND, json={**HELLO, "content": "x" * 70_000})
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


def test_headers_and_empty_answers_pass_the_framework_unchanged(site: flask.Flask) -> None:
    client = logged_in(site)
    found = client.get(INBOX, headers={"X-Request-ID": "mine"})
    assert found.headers["X-Request-ID"] == "mine"
    assert (found.headers["Cache-Control"], found.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    head = client.head(INBOX)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(found.data)))
    unchanged = client.get(INBOX, headers={"If-None-Match": found.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", found.headers["ETag"])
    message_id = client.post(SEND, json=HELLO).json["message_id"]
    hidden = client.delete(f"/api/messages/{message_id}")
    assert (hidden.status_code, hidden.data, hidden.content_type) == (204, b"", None)
    other = client.put(INBOX)
    assert (other.status_code, other.json["code"], other.headers["Allow"]) == (405, "method_not_allowed", "GET, HEAD")


def test_a_url_that_is_no_number_of_a_message_is_no_fault(site: flask.Flask) -> None:
    assert logged_in(site).delete(f"/api/messages/{'9' * 5000}").status_code == 404
