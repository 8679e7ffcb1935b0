"""Authority counts when it is used: whoever loses it while a call is under way sees nothing and changes nothing."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from postgresql_server import Host
from support import send
from werkzeug.security import generate_password_hash
from werkzeug.test import EnvironBuilder

from msgsvc.authorization import Access
from msgsvc.middleware import Call
from msgsvc.routes import Route, routes
from msgsvc.storage.base import Ahead, Snapshot
from msgsvc.testing import Client
from msgsvc.tokens import PasswordHasher

PASSWORD = "correct horse battery"
QUICK_HASH = generate_password_hash(PASSWORD, method="scrypt:512:8:1")
NEW_PASSWORD = "staple of seven lamps"

ROUTES = [route for route in routes("/api/messages", standalone=True) if route.access is not Access.ANYONE]
BODIES = {
    "POST /api/messages/send": {"recipient": "uma", "content": "Hello"},
    "POST /api/users": {"username": "new", "role": "admin", "password": NEW_PASSWORD},
    "PATCH /api/users/<username>": {"password": NEW_PASSWORD},
    "PUT /api/auth/password": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
}
LOSSES = {
    "suspended": "INSERT INTO msgsvc_suspensions VALUES ('adam', '2026-02-05 10:30:45')",
    "demoted": "UPDATE users SET role = 'user' WHERE username = 'adam'",
    "logged out": "DELETE FROM msgsvc_sessions WHERE username = 'adam'",
    "deleted": "DELETE FROM users WHERE username = 'adam'",
    "bound to change the password": "UPDATE msgsvc_credentials SET must_change = 1 WHERE username = 'adam'",
}
REFUSALS = {
    "suspended": "account_suspended",
    "demoted": "admin_only",
    "logged out": "unauthorized",
    "deleted": "unauthorized",
    "bound to change the password": "password_change_required",
}


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def is_refused(route: Route, loss: str) -> bool:
    """Demotion closes only what is for admins; a password that must be changed leaves three calls open."""
    if loss == "demoted":
        return route.access is Access.ADMIN
    return loss != "bound to change the password" or route.access is not Access.OWN_SESSION


CASES = [(route, loss) for route in ROUTES for loss in LOSSES if is_refused(route, loss)]


@pytest.fixture
def adam(people: dict[str, Client], host: sqlite3.Connection) -> Client:
    """An admin with a password, a conversation, and another admin who may take the role from him."""
    people["adam"].as_user("ada", "admin")
    if isinstance(host, Host):
        host.drop_foreign_keys()
    host.execute("INSERT INTO msgsvc_credentials (username, password_hash) VALUES ('adam', ?)", (QUICK_HASH,))
    send(people["uma"], "adam", "sentinel of uma")
    send(people["uma"], "thea", "sentinel of uma")
    return people["adam"]


def call(client: Client, route: Route) -> Call:
    values = {"<id:message_id>": "1", "<username>": "uma", "<a>": "uma", "<b>": "thea"}
    path = re.sub(r"<[^>]+>", lambda match: values[match[0]], route.path)
    query = {"reason": "complaint"} if route.path.endswith("<b>") else {}
    builder = EnvironBuilder(path, method=route.method, query_string=query, json=BODIES.get(name(route)))
    if name(route) not in BODIES:
        builder = EnvironBuilder(path, method=route.method, query_string=query)
    return client.app.call({**builder.get_environ(), **client.identity})


def contents(host: sqlite3.Connection) -> list[str]:
    """Every row of every table but the audit of denials."""
    return [line for line in host.iterdump() if not re.search("admin_denied|sqlite_sequence", line)]


def answer_of(running: Call) -> tuple[str, str]:
    status, _, body = running.respond()
    return status[:3], body.decode()


@pytest.mark.parametrize(("route", "loss"), CASES, ids=[f"{name(route)}-{loss}" for route, loss in CASES])
def test_authority_lost_after_parsing_counts(adam: Client, host: sqlite3.Connection, route: Route, loss: str) -> None:
    running = call(adam, route)
    running.parse()
    host.execute(LOSSES[loss])
    before = contents(host)
    running.handle()
    status, body = answer_of(running)
    assert (status, json.loads(body)["code"]) == ("401" if "unauth" in body else "403", REFUSALS[loss])
    assert contents(host) == before


class _HookedHasher(PasswordHasher):
    """Runs a function while a password is being hashed."""

    def __init__(self, while_hashing: Callable[[], None]) -> None:
        super().__init__(threads=8)
        self._while_hashing = while_hashing

    def hash(self, password: str) -> str:
        self._while_hashing()
        return super().hash(password)

    def verify(self, password_hash: str | None, password: str) -> bool:
        is_right = super().verify(password_hash, password)
        self._while_hashing()
        return is_right


HASHING = [case for case in CASES if case[0].path in ("/api/users", "/api/users/<username>", "/api/auth/password")]
HASHING = [case for case in HASHING if case[0].method != "GET"]


@pytest.mark.parametrize(("route", "loss"), HASHING, ids=[f"{name(route)}-{loss}" for route, loss in HASHING])
def test_authority_lost_while_hashing_counts(adam: Client, host: sqlite3.Connection, route: Route, loss: str) -> None:
    before: list[list[str]] = []

    def lose() -> None:
        if not before:
            host.execute(LOSSES[loss])
            before.append(contents(host))

    adam.app.services = replace(adam.app.services, passwords=_HookedHasher(lose))
    running = call(adam, route)
    running.parse()
    running.handle()
    status, body = answer_of(running)
    assert (status, json.loads(body)["code"]) == ("401" if "unauth" in body else "403", REFUSALS[loss])
    assert contents(host) == before[0]


@pytest.mark.parametrize("password", [PASSWORD, "wrong horse"])
def test_a_session_that_ended_while_hashing_learns_nothing_of_the_password(
    adam: Client, host: sqlite3.Connection, password: str
) -> None:
    hasher = _HookedHasher(lambda: host.execute(LOSSES["logged out"]))
    adam.app.services = replace(adam.app.services, passwords=hasher)
    body = {"current_password": password, "new_password": NEW_PASSWORD}
    assert adam.put("/api/auth/password", json=body).json["code"] == "unauthorized"


@pytest.mark.parametrize("loss", ["suspended", "deleted"])
def test_login_of_an_account_that_was_closed_while_hashing_is_refused(
    adam: Client, host: sqlite3.Connection, loss: str
) -> None:
    hasher = _HookedHasher(lambda: host.execute(LOSSES[loss]))
    adam.app.services = replace(adam.app.services, passwords=hasher)
    host.execute("DELETE FROM msgsvc_sessions")
    login = Client(adam.app).post("/api/auth/login", json={"username": "adam", "password": PASSWORD})
    assert login.json["code"] == ("account_suspended" if loss == "suspended" else "wrong_credentials")
    assert host.execute("SELECT count(*) FROM msgsvc_sessions").fetchone() == (0,)


def test_login_with_a_password_that_was_reset_while_hashing_is_refused(adam: Client, host: sqlite3.Connection) -> None:
    hasher = _HookedHasher(lambda: host.execute("UPDATE msgsvc_credentials SET password_hash = 'x'"))
    adam.app.services = replace(adam.app.services, passwords=hasher)
    login = Client(adam.app).post("/api/auth/login", json={"username": "adam", "password": PASSWORD})
    assert login.json["code"] == "wrong_credentials"


class _HookedStorage:
    """Runs a function after the first snapshot in which something was read."""

    def __init__(self, storage: Any, after_reading: Callable[[], None]) -> None:
        self._storage = storage
        self._after_reading = after_reading

    @contextmanager
    def read(self, ahead: Ahead = ()) -> Iterator[Snapshot]:
        with self._storage.read(ahead) as snapshot:
            yield snapshot
        self._after_reading()

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._storage, attribute)


LOOKS = [(route, loss) for route, loss in CASES if route.path.startswith("/api/messages/admin/conversation")]


@pytest.mark.parametrize(("route", "loss"), LOOKS, ids=[f"{name(route)}-{loss}" for route, loss in LOOKS])
def test_a_look_of_an_admin_who_lost_authority_after_reading_is_not_answered(
    adam: Client, host: sqlite3.Connection, route: Route, loss: str
) -> None:
    services = adam.app.services
    storage: Any = _HookedStorage(services.database, lambda: host.execute(LOSSES[loss]))
    adam.app.services = replace(services, database=storage)
    running = call(adam, route)
    running.parse()
    running.handle()
    adam.app.services = services
    status, body = answer_of(running)
    assert status in ("401", "403")
    assert "sentinel" not in body
    assert host.execute("SELECT count(*) FROM msgsvc_audit WHERE action LIKE 'conversation%'").fetchone() == (0,)


def test_prolonging_late_revives_no_session(people: dict[str, Client], host: sqlite3.Connection) -> None:
    delayed: list[Callable[[], None]] = []
    uma = people["uma"]
    uma.app.services.clock.advance(600)  # type: ignore[attr-defined]
    later = {"msgsvc.run_later": lambda _session, work: delayed.append(work)}
    assert uma.get("/api/messages/inbox", environ_overrides=later).status_code == 200
    uma.app.services.clock.advance(1800)  # type: ignore[attr-defined]
    assert uma.get("/api/messages/inbox").status_code == 401
    for prolong in delayed:
        prolong()
    assert delayed
    assert uma.get("/api/messages/inbox").status_code == 401
    assert host.execute("SELECT count(*) FROM msgsvc_sessions WHERE ends_at > 1770289845").fetchone() == (0,)
