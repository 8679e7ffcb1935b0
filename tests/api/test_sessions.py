"""Sessions: login and its throttle, idle and absolute limits, logout, password change, token format."""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import API, refusal
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.storage.engines import is_uri
from msgsvc.testing import Client, Clock

PASSWORD = "correct horse"
QUICK_HASH = generate_password_hash(PASSWORD, method="scrypt:512:8:1")
SESSION = "/api/auth/session"
LOGIN_ATTEMPTS_EACH_USER = Settings().login_attempts_name
LOGIN_ATTEMPTS_EACH_ADDRESS = Settings().login_attempts_address
HOUR = 3600


@pytest.fixture
def add_account(host: sqlite3.Connection) -> Iterator:
    def add(username: str, role: str = "user", password_hash: str = QUICK_HASH) -> None:
        host.execute("INSERT INTO users (username, role) VALUES (?, ?)", (username, role))
        host.execute(
            "INSERT INTO msgsvc_credentials (username, password_hash) VALUES (?, ?)", (username, password_hash)
        )

    add("uma")
    return add


@pytest.fixture
def second(client: Client, database: str, clock: Clock) -> Iterator[Client]:
    """A second application on the same file, in place of a second process."""
    client = Client(create_app(Settings(database=database), clock=clock))
    yield client
    client.close()


def login(client: Client, username: str = "uma", password: str = PASSWORD, address: str = "192.0.2.1") -> TestResponse:
    return client.post(
        "/api/auth/login",
        json={"username": username, "password": password},
        environ_base={"REMOTE_ADDR": address},
    )


def token(client: Client, username: str = "uma", password: str = PASSWORD) -> str:
    response = login(client, username, password)
    assert response.status_code == 200, response.text
    return response.json["token"]


def with_header(client: Client, authorization: str) -> int:
    return client.get(SESSION, headers={"Authorization": authorization}).status_code


def is_live(client: Client, session_token: str) -> bool:
    return with_header(client, f"Bearer {session_token}") == 200


def test_login_gives_a_session(client: Client, add_account: object) -> None:
    answer = login(client).json

    assert answer == {
        "token": answer["token"],
        "token_type": "Bearer",
        "expires_at": "2026-02-05T22:30:45Z",
        "username": "uma",
        "role": "user",
        "must_change_password": False,
    }
    assert client.get(SESSION, headers={"Authorization": f"Bearer {answer['token']}"}).json == {
        "username": "uma",
        "role": "user",
        "expires_at": "2026-02-05T22:30:45Z",
        "must_change_password": False,
    }


def test_tokens_are_long_and_never_repeat(client: Client, add_account: object) -> None:
    tokens = {token(client) for _ in range(5)}

    assert len(tokens) == 5
    assert {len(each) for each in tokens} == {43}


@pytest.mark.usefixtures("full_hashing_cost")
def test_tokens_and_passwords_are_stored_only_as_hashes(
    client: Client, add_account: object, host: sqlite3.Connection, database: str
) -> None:
    session_token = token(client)
    change = {"current_password": PASSWORD, "new_password": "battery staple"}
    bearer = {"Authorization": f"Bearer {session_token}"}
    assert client.put("/api/auth/password", json=change, headers=bearer).status_code == 204

    if is_uri(database):
        stored = "\n".join(host.iterdump()).encode()
    else:
        stored = b"".join(file.read_bytes() for file in Path(database).parent.iterdir())
    for secret in (session_token, PASSWORD, "battery staple"):
        assert secret.encode() not in stored
    digest = hashlib.sha256(session_token.encode()).digest()
    assert host.execute("SELECT token_hash FROM msgsvc_sessions").fetchall() == [(digest,)]
    assert host.execute("SELECT password_hash LIKE 'scrypt:32768:8:1$%' FROM msgsvc_credentials").fetchall() == [(1,)]


def test_unknown_user_and_wrong_password_get_the_same_answer(
    client: Client, add_account: object, host: sqlite3.Connection
) -> None:
    host.execute("INSERT INTO users (username, role) VALUES ('without password', 'user')")
    answers = [
        login(client, "uma", "wrong horse"),
        login(client, "nobody"),
        login(client, "without password"),
        login(client, "UMA"),
        login(client, "uma", PASSWORD.upper()),
        login(client, "uma", PASSWORD + " "),
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, '{"error":"The username or the password is wrong","code":"wrong_credentials"}\n')
    }
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


def test_unix_socket_peer_cannot_claim_a_client_address(
    client: Client, add_account: object, host: sqlite3.Connection
) -> None:
    """An empty trusted_proxy must not match a peer without an address."""
    client.post(
        "/api/auth/login",
        json={"username": "uma", "password": "wrong horse"},
        environ_base={"REMOTE_ADDR": ""},
        headers={"X-Forwarded-For": "203.0.113.7"},
    )
    subjects = host.execute("SELECT subject FROM msgsvc_login_attempts ORDER BY subject").fetchall()
    assert subjects == [("address:",), ("user:uma",)]


@pytest.mark.usefixtures("full_hashing_cost")
def test_an_unknown_user_costs_the_same_time(client: Client, add_account: object, host: sqlite3.Connection) -> None:
    """Measured as CPU time, which other processes do not change."""
    host.execute("UPDATE msgsvc_credentials SET password_hash = ?", (generate_password_hash(PASSWORD),))

    def fastest(username: str) -> float:
        def seconds() -> float:
            started = time.process_time()
            assert login(client, username, "wrong horse").status_code == 401
            return time.process_time() - started

        return min(seconds() for _ in range(3))

    assert 1 / 3 < fastest("nobody") / fastest("uma") < 3


@pytest.mark.usefixtures("full_hashing_cost")
def test_password_hashing_is_limited_to_its_share_of_threads(database: str, clock: Clock) -> None:
    app = create_app(Settings(database=database, threads=2), clock=clock)
    start = threading.Barrier(4)
    answers = []

    def attempt() -> None:
        start.wait()
        answers.append(login(Client(app), "nobody"))

    Client(app).get("/healthz")
    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app.close()

    assert {answer.status_code for answer in answers} == {401, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refusal(refused) == (503, "too_many_logins")
    assert int(refused.headers["Retry-After"]) >= 1


def assert_throttled(response: TestResponse) -> int:
    """Asserts a 429; returns its Retry-After."""
    assert refusal(response) == (429, "too_many_attempts")
    wait = int(response.headers["Retry-After"])
    assert wait > 0
    return wait


def test_wrong_passwords_close_the_user_for_a_while(
    client: Client, second: Client, add_account: object, clock: Clock
) -> None:
    for number in range(LOGIN_ATTEMPTS_EACH_USER):
        attempt = login((client, second)[number % 2], "uma", "wrong horse", f"192.0.2.{number}")
        assert attempt.status_code == 401

    wait = assert_throttled(login(client, "uma", "wrong horse", "192.0.2.200"))
    assert_throttled(login(client, "uma", PASSWORD, "192.0.2.201"))
    assert_throttled(login(second, "uma", PASSWORD, "192.0.2.202"))
    clock.advance(wait - 1)
    assert_throttled(login(client, "uma", PASSWORD, "192.0.2.203"))
    clock.advance(1)
    assert login(client, "uma", PASSWORD, "192.0.2.204").status_code == 200


def test_throttle_survives_a_restart(client: Client, add_account: object, database: str, clock: Clock) -> None:
    for _ in range(LOGIN_ATTEMPTS_EACH_USER):
        login(client, "uma", "wrong horse")
    client.close()
    restarted = Client(create_app(Settings(database=database), clock=clock))

    assert_throttled(login(restarted, "uma", PASSWORD))
    restarted.close()


def test_wrong_passwords_close_the_address_for_every_user(client: Client, second: Client, add_account: object) -> None:
    for number in range(LOGIN_ATTEMPTS_EACH_ADDRESS):
        add_account(f"p{number}")
        assert login(client, f"p{number}", "wrong horse").status_code == 401

    assert_throttled(login(client))
    assert_throttled(login(second))
    assert login(client, address="198.51.100.7").status_code == 200


def test_unknown_users_are_throttled_too(client: Client, second: Client) -> None:
    for number in range(LOGIN_ATTEMPTS_EACH_USER):
        assert login(client, "nobody", address=f"192.0.2.{number}").status_code == 401

    assert_throttled(login(second, "nobody", address="192.0.2.200"))


def test_right_password_resets_the_throttle(client: Client, add_account: object) -> None:
    for _ in range(2 * LOGIN_ATTEMPTS_EACH_USER):
        assert login(client, "uma", "wrong horse", "192.0.2.2").status_code == 401
        assert login(client).status_code == 200


def test_right_passwords_never_close_an_address(client: Client, add_account: object) -> None:
    assert {login(client).status_code for _ in range(LOGIN_ATTEMPTS_EACH_ADDRESS + 1)} == {200}


def test_a_session_lasts_while_it_is_used(client: Client, clock: Clock) -> None:
    uma = client.as_user("uma")
    for _ in range(3):
        clock.advance(HOUR / 2 - 1)
        assert uma.get(SESSION).status_code == 200
    clock.advance(HOUR / 2)
    assert refusal(uma.get(SESSION)) == (401, "unauthorized")


def test_any_call_counts_as_use_in_every_process(
    client: Client, add_account: object, second: Client, clock: Clock
) -> None:
    session_token = token(client)
    for caller in (client, second, client):
        clock.advance(HOUR / 2 - 1)
        path = f"{API}/inbox"
        assert caller.get(path, headers={"Authorization": session_token}).status_code == 200


def test_a_session_ends_at_the_latest_after_twelve_hours(client: Client, clock: Clock) -> None:
    uma = client.as_user("uma")
    for _ in range(47):
        clock.advance(HOUR / 4)
        assert uma.get(SESSION).json["expires_at"] == "2026-02-05T22:30:45Z"
    clock.advance(HOUR / 4 - 1)
    assert uma.get(SESSION).status_code == 200
    clock.advance(1)
    assert uma.get(SESSION).status_code == 401


def test_both_limits_are_settings(database: str, clock: Clock) -> None:
    client = Client(
        create_app(Settings(database=database, session_idle_seconds=60, session_max_seconds=100), clock=clock)
    )
    used, idle = client.as_user("uma"), client.as_user("ugo")
    clock.advance(59)
    assert used.get(SESSION).status_code == 200
    clock.advance(1)
    assert idle.get(SESSION).status_code == 401
    clock.advance(39)
    assert used.get(SESSION).status_code == 200
    clock.advance(1)
    assert used.get(SESSION).status_code == 401
    client.close()


def test_the_oldest_session_beyond_twenty_goes(client: Client) -> None:
    other = client.as_user("ugo")
    sessions = [client.as_user("uma") for _ in range(22)]

    assert [each.get(SESSION).status_code for each in sessions] == [401] * 2 + [200] * 20
    assert other.get(SESSION).status_code == 200


def test_login_counts_among_the_twenty(client: Client, add_account: object) -> None:
    first = token(client)
    for _ in range(19):
        client.as_user("uma")
    assert is_live(client, first)
    second_token = token(client)
    assert (is_live(client, first), is_live(client, second_token)) == (False, True)


def test_logout_ends_this_session_in_every_process(client: Client, add_account: object, second: Client) -> None:
    ended, kept = token(client), token(client)
    assert is_live(second, ended)

    response = client.post("/api/auth/logout", headers={"Authorization": f"Bearer {ended}"})
    assert (response.status_code, response.data) == (204, b"")
    assert not is_live(second, ended)
    assert is_live(second, kept)
    assert client.post("/api/auth/logout", headers={"Authorization": f"Bearer {ended}"}).status_code == 401


def test_logout_all_ends_every_session_of_the_account(client: Client, second: Client) -> None:
    sessions = [client.as_user("uma") for _ in range(3)]
    other = client.as_user("ugo")

    assert sessions[0].post("/api/auth/logout-all", json={}).status_code == 204
    assert {each.get(SESSION).status_code for each in sessions} == {401}
    assert other.get(SESSION).status_code == 200


def change_password(caller: Client, current: str, new: str) -> TestResponse:
    return caller.put("/api/auth/password", json={"current_password": current, "new_password": new})


def test_a_password_change_ends_every_other_session(client: Client, add_account: object) -> None:
    changing, other, stranger = client.as_user("uma"), client.as_user("uma"), client.as_user("ugo")

    assert change_password(changing, PASSWORD, "battery staple").status_code == 204
    assert [each.get(SESSION).status_code for each in (changing, other, stranger)] == [200, 401, 200]
    assert login(client).status_code == 401
    assert login(client, password="battery staple").status_code == 200


def test_a_wrong_current_password_changes_nothing(client: Client, add_account: object) -> None:
    changing, other = client.as_user("uma"), client.as_user("uma")

    assert refusal(change_password(changing, "wrong horse", "battery staple")) == (403, "wrong_password")
    assert [each.get(SESSION).status_code for each in (changing, other)] == [200, 200]
    assert login(client).status_code == 200


def test_guessing_the_current_password_is_throttled_with_login(client: Client, add_account: object) -> None:
    uma = client.as_user("uma")
    for _ in range(LOGIN_ATTEMPTS_EACH_USER):
        assert change_password(uma, "wrong horse", "battery staple").status_code == 403

    assert_throttled(change_password(uma, PASSWORD, "battery staple"))
    assert_throttled(login(client))


@pytest.mark.parametrize("new", ["1234567", "", "x" * 257, 12345678, None, "nul\0nul\0nul"])
def test_a_new_password_has_8_to_256_characters(client: Client, add_account: object, new: str) -> None:
    assert change_password(client.as_user("uma"), PASSWORD, new).status_code == 400
    assert login(client).status_code == 200


@pytest.mark.parametrize("new", ["1234567x", "\U0001f642x" * 128, "  spaces  "], ids=["shortest", "longest", "blanks"])
def test_a_password_is_taken_exactly(client: Client, add_account: object, new: str) -> None:
    assert change_password(client.as_user("uma"), PASSWORD, new).status_code == 204
    assert login(client, password=new).status_code == 200
    assert login(client, password=new[1:]).status_code == 401


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("Bearer {}", 200),
        ("{}", 200),
        ("bearer {}", 200),
        ("BEARER {}", 200),
        ("", 401),
        ("Bearer", 401),
        ("Bearer {}x", 401),
        ("x{}", 401),
        ("Basic {}", 401),
        ("Token {}", 401),
        ("Bearer Bearer {}", 401),
        ("Bearer {} {}", 401),
        ("Bearer {}, Bearer {}", 401),
        ('Bearer "{}"', 401),
        ("Bearer:{}", 401),
        ("Bearer \xe9{}", 401),
        ("Bearer " + "x" * 5000, 401),
    ],
)
def test_what_counts_as_a_token(client: Client, add_account: object, form: str, status: int) -> None:
    session_token = token(client)

    assert with_header(client, form.format(session_token, session_token)) == status


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, lambda token: token[:-1], lambda _: "0" * 43])
def test_another_token_is_no_session(client: Client, add_account: object, change: object) -> None:
    assert with_header(client, f"Bearer {change(token(client))}") == 401


def test_a_token_in_query_or_cookie_is_ignored(client: Client, add_account: object) -> None:
    session_token = token(client)

    for name in ("token", "access_token", "session", "Authorization"):
        by_query = client.get(SESSION, query_string={name: session_token})
        by_cookie = client.get(SESSION, headers={"Cookie": f"{name}={session_token}"})
        assert refusal(by_query) == refusal(by_cookie) == (401, "unauthorized")


def test_a_session_ends_with_its_account(client: Client, host: sqlite3.Connection) -> None:
    uma = client.as_user("uma")
    host.execute("DELETE FROM users WHERE username = 'uma'")

    assert refusal(uma.get(SESSION)) == (401, "unauthorized")


def test_a_role_counts_from_the_next_request(client: Client, host: sqlite3.Connection) -> None:
    uma = client.as_user("uma")
    host.execute("UPDATE users SET role = 'therapist' WHERE username = 'uma'")

    assert uma.get(SESSION).json["role"] == "therapist"
