"""Messages among the URL patterns of a Django site: its middleware holds for them, and its own routes live on."""

# ruff: noqa: PLC0415 (most of Django can only be imported once it is configured)

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from embedded import SEND

import msgsvc
import msgsvc.django

INBOX = "/api/messages/inbox"
HELLO = {"recipient": "thea", "content": "Hello"}
CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@pytest.fixture
def site(tmp_path: Path, django_database: bytes) -> Iterator[hosts.Site]:
    database = tmp_path / "site.db"
    database.write_bytes(django_database)
    site = hosts.django_site(str(database))
    yield site
    site.messages.close()


def logged_in(username: str = "uma", **options: Any) -> Client:
    from django.contrib.auth.models import User

    client = Client(**options)
    client.force_login(User.objects.get(username=username))
    return client


def post(client: Client, **headers: str) -> Any:
    return client.post(SEND, json.dumps(HELLO), "application/json", headers=headers)


class _Middleware:
    """A site's own middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response


class EndIdleSessions(_Middleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("idle", status=401) if "Idle" in request.headers else self.get_response(request)


class ReadBody(_Middleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = request.body
        response = self.get_response(request)
        response["Read"] = str(len(before))
        return response


def with_middleware(*more: str) -> Any:
    from django.conf import settings

    return override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *more])


def test_django_test_client_reaches_the_calls(site: hosts.Site) -> None:
    assert Client().get(INBOX).status_code == 401
    assert post(logged_in()).status_code == 201
    assert logged_in("thea").get(INBOX).json()["total_unread"] == 1


def test_a_middleware_of_the_site_ends_a_session(site: hosts.Site) -> None:
    with with_middleware(f"{__name__}.EndIdleSessions", "django.middleware.security.SecurityMiddleware"):
        refused = logged_in().get(INBOX, headers={"Idle": "yes"})
        allowed = logged_in().get(INBOX)
    assert (refused.status_code, refused.content) == (401, b"idle")
    assert (allowed.status_code, allowed.headers["Cross-Origin-Opener-Policy"]) == (200, "same-origin")


def test_a_call_refreshes_the_session_that_the_site_saves_at_every_request(site: hosts.Site) -> None:
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        assert "sessionid" in logged_in().get(INBOX).cookies


def test_a_body_that_a_middleware_has_read_is_not_lost(site: hosts.Site) -> None:
    with with_middleware(f"{__name__}.ReadBody"):
        answer = post(logged_in())
    assert (answer.status_code, answer.headers["Read"]) == (201, str(len(json.dumps(HELLO))))


def test_the_csrf_token_of_the_site_is_demanded(site: hosts.Site) -> None:
    with with_middleware(CSRF):
        client = logged_in(enforce_csrf_checks=True)
        assert post(client).status_code == 403
        token = "a" * 32
        client.cookies["csrftoken"] = token
        assert post(client, **{"X-CSRFToken": token}).status_code == 201
        assert client.get(INBOX).status_code == 200


@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_a_body_that_is_too_large_is_413_in_our_form(site: hosts.Site, size: int) -> None:
    answer = logged_in().post(SEND, "x" * size, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_chunked_body_is_411(site: hosts.Site) -> None:
    """Django reads none, also behind a server that hands it on."""
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = logged_in().generic("PATCH", "/api/messages/conversation/thea/read", '{"up_to": 1}', **chunked)
    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")


def test_headers_and_empty_answers_pass_the_framework_unchanged(site: hosts.Site) -> None:
    client = logged_in()
    found = client.get(INBOX, headers={"X-Request-ID": "mine"})
    assert found.headers["X-Request-ID"] == "mine"
    assert (found.headers["Cache-Control"], found.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    head = client.head(INBOX)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(found.content)))
    unchanged = client.get(INBOX, headers={"If-None-Match": found.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", found.headers["ETag"])
    hidden = client.delete(f"/api/messages/{post(client).json()['message_id']}")
    assert (hidden.status_code, hidden.content, "Content-Type" in hidden.headers) == (204, b"", False)
    other = client.put(INBOX)
    assert (other.status_code, other.json()["code"], other.headers["Allow"]) == (405, "method_not_allowed", "GET, HEAD")


def test_routes_of_the_site_beneath_the_prefix_live_on(site: hosts.Site) -> None:
    own = path("api/messages/sent", lambda _request: HttpResponse("sent"))
    ours = path("api/messages/", include(msgsvc.django.urls(site.messages)))
    for patterns in ((own, ours), (ours, own)):
        with override_settings(ROOT_URLCONF=patterns):
            assert logged_in().get("/api/messages/sent").content == b"sent"
            assert logged_in().get(INBOX).status_code == 200
            assert logged_in().get("/api/messages/nothing").status_code == 404


def test_a_url_that_is_no_number_of_a_message_is_no_fault(site: hosts.Site) -> None:
    assert logged_in().delete(f"/api/messages/{'9' * 5000}").content == b"the host's page"


def test_the_page_has_patterns_of_its_own(site: hosts.Site) -> None:
    settings = msgsvc.Settings(database=site.messages.services.settings.database, page="/messages")
    authenticate = lambda environ: environ[msgsvc.django.REQUEST].user.get_username() or None  # noqa: E731
    messages = msgsvc.create_app(settings, authenticate=authenticate)
    with override_settings(ROOT_URLCONF=(path("messages/", include(msgsvc.django.page_urls(messages))),)):
        page = Client().get("/messages/")
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-cache")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert Client().get("/messages/app.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert Client().get("/messages/session").status_code == 401
        assert logged_in().get("/messages/session").json() == {"username": "uma", "role": "user"}
    messages.close()
