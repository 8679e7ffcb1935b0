"""Random requests: each gets a JSON answer and never a 5xx, and the service keeps working."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import API, send
from werkzeug.test import run_wsgi_app

from msgsvc import Settings, create_app
from msgsvc.routes import Route, routes
from msgsvc.testing import Client

ROUTES = routes(API, standalone=True)
ROLES = ("therapist", "clinician", "user", "admin")
NAMES = ("thea", "clara", "uma", "adam", "nobody")
FIELDS = ("recipient", "subject", "content", "up_to", "username", "password", "role", "suspended")
PARAMETERS = ("page", "limit", "unread_only", "before", "after", "q", "reason", "role", "username")
HEADERS = (
    "AUTHORIZATION",
    "IDEMPOTENCY_KEY",
    "IF_NONE_MATCH",
    "X_REQUEST_ID",
    "ORIGIN",
    "ACCESS_CONTROL_REQUEST_METHOD",
    "CONTENT_ENCODING",
    "HOST",
    "X_FORWARDED_FOR",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")

bytes_as_wsgi = st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
words = st.sampled_from((*NAMES, *ROLES, "1", "0", "10", "true", "false", "2", "9223372036854775807")) | st.text(
    max_size=20
)
as_wsgi = bytes_as_wsgi | words.map(lambda text: text.encode(errors="surrogatepass").decode("latin-1"))
header_values = as_wsgi.filter(lambda value: "\r" not in value and "\n" not in value)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
bodies = (
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4).map(lambda body: json.dumps(body).encode())
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
    | st.sampled_from([b"[" * 60_000, b'{"a":' * 10_000, b"1" * 10_000, b'{"content": "\\ud800"}', b"x" * 70_000])
)
queries = st.lists(st.tuples(st.sampled_from(PARAMETERS), as_wsgi), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@st.composite
def paths(draw: st.DrawFn, route: Route) -> str:
    """The path of the route with a generated value for each argument."""
    parts = [draw(as_wsgi) if part.startswith("<") else part for part in route.path.split("/")]
    return "/".join(parts)


@st.composite
def requests(draw: st.DrawFn, route: Route) -> dict[str, Any]:
    """A WSGI environ as a server builds it from a client's bytes."""
    body = draw(bodies) if route.method != "GET" or draw(st.booleans()) else b""
    environ = {
        "REQUEST_METHOD": draw(st.just(route.method) | st.sampled_from(METHODS)),
        "SCRIPT_NAME": "",
        "PATH_INFO": draw(paths(route) | as_wsgi.map(lambda path: f"/{path}")),
        "QUERY_STRING": draw(queries | bytes_as_wsgi),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": draw(st.sampled_from(["192.0.2.1", "2001:db8::1", "", "nonsense"])),
        "CONTENT_TYPE": draw(st.just("application/json") | header_values),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }
    given_headers = draw(st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=2))
    return {**environ, **{f"HTTP_{name}": value for name, value in given_headers.items()}}


@pytest.fixture(scope="module")
def fuzzed(shared_database: str) -> Iterator[Client]:
    with closing(Client(create_app(Settings(database=shared_database, send_rate=0, page="")))) as client:
        for name, role in zip(NAMES, ROLES, strict=False):
            client.as_user(name, role)
        send(client.as_user("thea", "therapist"), "uma")
        send(client.as_user("uma", "user"), "adam")
        yield client


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route.method} {route.path}" for route in ROUTES])
def test_random_requests_get_documented_answers(fuzzed: Client, route: Route) -> None:
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(environ=requests(route), role=st.sampled_from(ROLES))
    def holds(environ: dict[str, Any], role: str) -> None:
        # Earlier requests may have ended the session, so it is renewed.
        name = NAMES[ROLES.index(role)]
        caller = fuzzed.as_user(name, role)
        pieces, status, headers = run_wsgi_app(fuzzed.app, {**caller.identity, **environ}, buffered=True)
        code, text = int(status.split()[0]), b"".join(pieces)
        assert code < 500, text
        assert headers["X-Request-ID"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        if code in (204, 304) or environ["REQUEST_METHOD"] == "HEAD":
            assert text == b""
        elif code >= 400:
            answer = json.loads(text)
            assert set(answer) == {"error", "code"}
            assert headers["Content-Type"] == "application/json"
            assert answer["error"].isprintable()
            assert answer["code"].isidentifier()
            assert code != 405 or headers["Allow"]
            assert code != 401 or headers["WWW-Authenticate"] == "Bearer"
            assert code not in (429, 503) or int(headers["Retry-After"]) >= 1
        else:
            json.loads(text)

    holds()
    assert fuzzed.get("/healthz").status_code == 200
    fuzzed.as_user("tom", "user")
    send(fuzzed.as_user("tara", "therapist"), "tom")
