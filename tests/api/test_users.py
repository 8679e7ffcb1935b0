"""People management: create, list, role, password, suspension, and the first admin."""

import sqlite3
from contextlib import closing

import pytest
from support import open_files, refusal

from msgsvc import Settings, create_app
from msgsvc.settings import SettingsError
from msgsvc.testing import Client

People = dict[str, Client]


def test_created_account_can_log_in(people: People, client: Client) -> None:
    body = {"username": "new", "role": "therapist", "password": "eight888"}
    created = people["adam"].post("/api/users", json=body)
    assert (created.status_code, created.json) == (201, {"username": "new", "role": "therapist", "suspended": False})
    login = client.post("/api/auth/login", json={"username": "new", "password": "eight888"})
    assert (login.status_code, login.json["role"]) == (200, "therapist")


def test_taken_name_is_refused(people: People) -> None:
    body = {"username": "uma", "role": "user", "password": "eight888"}
    assert refusal(people["adam"].post("/api/users", json=body)) == (409, "user_exists")


def test_what_a_host_stores_that_is_no_text_spoils_no_list(people: People, database_path: str) -> None:
    """On SQLite alone: a column of PostgreSQL holds its type."""
    total = people["adam"].get("/api/users").json["total_users"]
    with closing(sqlite3.connect(database_path)) as host, host:
        host.execute("INSERT INTO users (username, role) VALUES (x'ff', 'user'), ('zoe', x'ff')")
    listed = people["adam"].get("/api/users?limit=100")
    assert (listed.status_code, listed.json["total_users"]) == (200, total + 1)
    assert listed.json["users"][-1] == {"username": "zoe", "role": None, "suspended": False}


@pytest.mark.parametrize(
    "change",
    [
        {"username": "a/b"},
        {"username": "."},
        {"username": "tab\t"},
        {"username": "x" * 65},
        {"username": None},
        {"role": "boss"},
        {"role": None},
        {"password": "short"},
        {"password": "x" * 257},
        {"extra": 1},
    ],
)
def test_new_account_needs_a_sound_name_role_and_password(people: People, change: dict[str, object]) -> None:
    body = {"username": "new", "role": "user", "password": "eight888"} | change
    assert people["adam"].post("/api/users", json=body).status_code == 400


def test_accounts_are_listed_by_name_in_pages_and_by_role(people: People) -> None:
    page = people["adam"].get("/api/users?limit=2&page=2").json
    assert page == {
        "users": [
            {"username": "thea", "role": "therapist", "suspended": False},
            {"username": "ugo", "role": "user", "suspended": False},
        ],
        "page": 2,
        "page_size": 2,
        "total_users": 5,
    }
    listed = people["adam"].get("/api/users?role=user").json
    assert ([user["username"] for user in listed["users"]], listed["total_users"]) == (["ugo", "uma"], 2)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/users"), ("POST", "/api/users"), ("PATCH", "/api/users/uma")]
)
@pytest.mark.parametrize("username", ["thea", "clara", "uma"])
def test_only_admins_manage_people(people: People, method: str, path: str, username: str) -> None:
    assert refusal(people[username].open(path, method=method)) == (403, "admin_only")


def test_role_change_counts_from_the_next_request(people: People) -> None:
    assert people["clara"].get("/api/users").status_code == 403
    assert people["adam"].patch("/api/users/clara", json={"role": "admin"}).json["role"] == "admin"
    assert people["clara"].get("/api/users").status_code == 200


def test_password_reset_by_an_admin_ends_every_session(people: People, client: Client) -> None:
    people["adam"].patch("/api/users/uma", json={"password": "changed8"})
    assert people["uma"].get("/api/messages/inbox").status_code == 401
    assert client.post("/api/auth/login", json={"username": "uma", "password": "changed8"}).status_code == 200


def test_suspension_applies_to_every_call_and_process_at_once(people: People, database: str) -> None:
    second = create_app(Settings(database=database), clock=people["uma"].app.services.clock)
    headers = {"Authorization": people["uma"].identity["HTTP_AUTHORIZATION"]}
    assert people["adam"].patch("/api/users/uma", json={"suspended": True}).json["suspended"] is True
    for path in ("/api/messages/inbox", "/api/messages/unread", "/api/auth/session", "/api/messages/blocks"):
        assert refusal(people["uma"].get(path)) == (403, "account_suspended")
        assert refusal(Client(second).get(path, headers=headers)) == (403, "account_suspended")
    assert refusal(people["uma"].post("/api/messages/send", json={})) == (403, "account_suspended")
    second.close()


def test_nobody_writes_to_a_suspended_person_but_the_history_stays(people: People) -> None:
    people["uma"].post("/api/messages/send", json={"recipient": "ugo", "content": "hello"})
    people["adam"].patch("/api/users/uma", json={"suspended": True})
    sent = people["ugo"].post("/api/messages/send", json={"recipient": "uma", "content": "there?"})
    assert refusal(sent) == (403, "not_allowed")
    history = people["ugo"].get("/api/messages/conversation/uma").json
    assert ([message["content"] for message in history["messages"]], history["can_reply"]) == (["hello"], False)


def test_reinstated_person_starts_with_no_session(people: People, client: Client) -> None:
    people["adam"].patch("/api/users/uma", json={"suspended": True})
    people["adam"].patch("/api/users/uma", json={"suspended": False})
    assert people["uma"].get("/api/messages/inbox").status_code == 401
    assert client.as_user("uma").get("/api/messages/inbox").status_code == 200


def test_suspended_person_cannot_log_in_even_with_the_right_password(people: People, client: Client) -> None:
    people["adam"].patch("/api/users/uma", json={"password": "eight888", "suspended": True})
    right = client.post("/api/auth/login", json={"username": "uma", "password": "eight888"})
    wrong = client.post("/api/auth/login", json={"username": "uma", "password": "not this"})
    assert (refusal(right), refusal(wrong)) == ((403, "account_suspended"), (401, "wrong_credentials"))


@pytest.mark.parametrize("change", [{"suspended": True}, {"role": "user"}])
def test_last_active_admin_stays(people: People, client: Client, change: dict[str, object]) -> None:
    assert refusal(people["adam"].patch("/api/users/adam", json=change)) == (409, "last_admin")
    other = client.as_user("ada", "admin")
    assert other.patch("/api/users/adam", json=change).status_code == 200
    assert refusal(other.patch("/api/users/ada", json=change)) == (409, "last_admin")


def test_refused_change_changes_nothing_at_all(people: People) -> None:
    refused = people["adam"].patch("/api/users/adam", json={"password": "changed8", "suspended": True})
    assert refused.status_code == 409
    assert people["adam"].get("/api/auth/session").status_code == 200


@pytest.mark.parametrize(
    ("username", "body", "expected"),
    [
        ("nobody", {"role": "user"}, (404, "user_not_found")),
        ("uma", {}, (400, "missing_field")),
        ("uma", {"role": "boss"}, (400, "invalid_field")),
        ("uma", {"suspended": 1}, (400, "invalid_field")),
        ("uma", {"password": "short"}, (400, "invalid_field")),
        ("uma", {"name": "x"}, (400, "unknown_field")),
    ],
)
def test_change_names_a_person_and_a_sound_change(
    people: People, username: str, body: dict[str, object], expected: tuple[int, str]
) -> None:
    assert refusal(people["adam"].patch(f"/api/users/{username}", json=body)) == expected


def test_first_admin_is_made_once_and_never_overwrites(database: str) -> None:
    settings = Settings(database=database, admin_username="root", admin_password="eight888")
    first = Client(create_app(settings))
    assert first.post("/api/auth/login", json={"username": "root", "password": "eight888"}).json["role"] == "admin"
    first.close()
    again = Client(create_app(Settings(database=database, admin_username="root", admin_password="other888")))
    assert again.post("/api/auth/login", json={"username": "root", "password": "other888"}).status_code == 401
    again.close()


def test_first_admin_is_not_made_beside_other_accounts(people: People, database: str) -> None:
    app = create_app(Settings(database=database, admin_username="root", admin_password="eight888"))
    assert people["adam"].get("/api/users").json["total_users"] == 5
    app.close()


@pytest.mark.parametrize(("username", "password"), [("root", "short"), ("a/b", "eight888")])
def test_unsound_first_admin_stops_the_start(database: str, username: str, password: str) -> None:
    with pytest.raises(SettingsError, match="MSGSVC_ADMIN_"):
        create_app(Settings(database=database, admin_username=username, admin_password=password))
    assert database not in open_files()
