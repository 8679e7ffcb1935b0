"""Which passwords may be set, everywhere one is set; who must change theirs; how often."""

import sqlite3
from itertools import pairwise

import pytest
from support import API, refusal
from werkzeug.security import generate_password_hash

from msgsvc import Settings, create_app
from msgsvc.accounts import PASSWORD_CHANGES_AN_HOUR
from msgsvc.authorization import Access
from msgsvc.errors import ApiError
from msgsvc.passwords import _common_passwords, new_password
from msgsvc.routes import Route, routes
from msgsvc.settings import SettingsError
from msgsvc.testing import Client, Clock

OLD, NEW = "correct horse battery", "staple of seven lamps"
EASY = {
    "password": "most common",
    "PassWord": "most common",
    "qwertyuiop": "most common",
    "iloveyou": "most common",
    "12345678": "plain sequence",
    "23456789": "plain sequence",
    "hgfedcba": "plain sequence",
    "aaaaaaaa": "one character",
    "aAaAaAaA": "one character",
    " " * 8: "only blanks",
    " \t\u00a0\u2003\u200b\u3164\u2800 ": "only blanks",
    "uma.uma.uma": "name of the account",
    "UMA.uma.UMA": "name of the account",
}


@pytest.mark.parametrize("password", EASY)
def test_an_easy_password_is_refused_with_its_rule(password: str) -> None:
    with pytest.raises(ApiError) as refused:
        new_password("password", password, "uma.uma.uma")
    assert EASY[password] in refused.value.sentence
    assert refused.value.code == "invalid_field"


@pytest.mark.parametrize("password", [OLD, NEW, "1234567x", "\U0001f642x" * 128, "  spaces  ", "passwords of 7"])
def test_other_passwords_are_taken(password: str) -> None:
    assert new_password("password", password, "uma") == password


def test_the_list_has_three_thousand_passwords_of_the_length_asked_for() -> None:
    assert len(_common_passwords()) > 2900
    assert min(map(len, _common_passwords())) == 8


def test_the_rules_hold_wherever_a_password_is_set(people: dict[str, Client], host: sqlite3.Connection) -> None:
    adam = people["adam"]
    host.execute("INSERT INTO msgsvc_credentials (username, password_hash) VALUES ('adam', 'x')")
    calls = [
        ("POST", "/api/users", {"username": "iloveyou2", "role": "user", "password": "iloveyou2"}),
        ("PATCH", "/api/users/uma", {"password": "12345678"}),
        ("PUT", "/api/auth/password", {"current_password": OLD, "new_password": "aaaaaaaa"}),
        ("PUT", "/api/auth/password", {"current_password": OLD, "new_password": OLD}),
    ]
    for method, path, body in calls:
        assert refusal(adam.open(path, method=method, json=body)) == (400, "invalid_field")


def test_the_rules_hold_for_the_first_admin(database: str) -> None:
    with pytest.raises(SettingsError, match="most common"):
        create_app(Settings(database=database, admin_username="ada", admin_password="password"))


# What must be changed

OPEN = {("GET", "/api/auth/session"), ("POST", "/api/auth/logout"), ("PUT", "/api/auth/password")}
CLOSED = [
    route
    for route in routes(API, standalone=True)
    if route.access is not Access.ANYONE and (route.method, route.path) not in OPEN
]


@pytest.fixture
def bound(people: dict[str, Client], client: Client) -> Client:
    """An admin whose password must be changed, logged in with it."""
    body = {"password": OLD, "must_change_password": True}
    client.as_user("ada", "admin")
    assert people["adam"].patch("/api/users/ada", json=body).json == {
        "username": "ada",
        "role": "admin",
        "suspended": False,
    }
    answer = client.post("/api/auth/login", json={"username": "ada", "password": OLD}).json
    assert answer["must_change_password"] is True
    ada = Client(client.app)
    ada.identity = {"HTTP_AUTHORIZATION": answer["token"]}
    return ada


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: f"{route.method} {route.path}")
def test_everything_else_is_closed_until_the_password_is_changed(bound: Client, route: Route) -> None:
    path = route.path.replace("<id:message_id>", "1").replace("<username>", "uma").replace("<a>", "uma")
    answer = bound.open(path.replace("<b>", "ugo"), method=route.method)
    assert refusal(answer) == (403, "password_change_required")


def test_changing_the_password_opens_everything(bound: Client) -> None:
    assert bound.get("/api/auth/session").json["must_change_password"] is True
    body = {"current_password": OLD, "new_password": NEW}
    assert bound.put("/api/auth/password", json=body).status_code == 204
    assert bound.get("/api/auth/session").json["must_change_password"] is False
    assert bound.get("/api/users").status_code == 200


def test_who_must_change_may_log_out(bound: Client) -> None:
    assert bound.post("/api/auth/logout").status_code == 204


def test_a_new_account_may_have_to_change_its_password(people: dict[str, Client], client: Client) -> None:
    body = {"username": "new", "role": "user", "password": OLD, "must_change_password": True}
    assert people["adam"].post("/api/users", json=body).status_code == 201
    answer = client.post("/api/auth/login", json={"username": "new", "password": OLD}).json
    assert answer["must_change_password"] is True


@pytest.mark.parametrize("body", [{"must_change_password": True}, {"password": OLD, "must_change_password": 1}])
def test_must_change_comes_with_a_password_and_is_a_flag(people: dict[str, Client], body: dict[str, object]) -> None:
    assert people["adam"].patch("/api/users/uma", json=body).status_code == 400


def test_ones_own_password_is_changed_five_times_an_hour(
    people: dict[str, Client], host: sqlite3.Connection, clock: Clock
) -> None:
    quick = generate_password_hash(OLD, method="scrypt:512:8:1")
    host.execute("INSERT INTO msgsvc_credentials (username, password_hash) VALUES ('uma', ?)", (quick,))

    def change(current: str, new: str) -> int:
        body = {"current_password": current, "new_password": new}
        return people["uma"].put("/api/auth/password", json=body).status_code

    texts = [OLD, *(f"{NEW} {number}" for number in range(PASSWORD_CHANGES_AN_HOUR + 1))]
    statuses = [change(current, new) for current, new in pairwise(texts)]
    assert statuses == [204] * PASSWORD_CHANGES_AN_HOUR + [429]
    clock.advance(1799)
    body = {"current_password": texts[-2], "new_password": texts[-1]}
    refused = people["uma"].put("/api/auth/password", json=body)
    assert refusal(refused) == (429, "too_many_password_changes")
    assert int(refused.headers["Retry-After"]) == 3600 - 1799
    rows = host.execute("SELECT count(*) FROM msgsvc_audit WHERE action = 'password_changed'").fetchone()
    assert rows == (1,)
