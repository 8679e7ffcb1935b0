"""Nobody takes the login from others: places for hashing, counts by name and address, and what wrong clocks leave."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import refusal
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.errors import ApiError
from msgsvc.testing import Client, Clock
from msgsvc.tokens import PasswordHasher

PASSWORD = "correct horse battery"
QUICK_HASH = generate_password_hash(PASSWORD, method="scrypt:512:8:1")
CLINIC, HOME = "192.0.2.1", "198.51.100.7"
DAY = 86_400


@pytest.fixture(autouse=True)
def accounts(client: Client, host: sqlite3.Connection) -> None:
    for username in ("uma", "ugo"):
        host.execute("INSERT INTO users (username, role) VALUES (?, 'user')", (username,))
        insert = "INSERT INTO msgsvc_credentials (username, password_hash) VALUES (?, ?)"
        host.execute(insert, (username, QUICK_HASH))


def login(client: Client, username: str = "uma", password: str = PASSWORD, address: str = CLINIC) -> TestResponse:
    return client.post(
        "/api/auth/login",
        json={"username": username, "password": password},
        environ_base={"REMOTE_ADDR": address},
    )


# Places


def test_a_name_has_one_place_and_the_rest_is_refused_at_once() -> None:
    hasher = PasswordHasher(threads=8)
    with hasher.turn("uma", CLINIC):
        with pytest.raises(ApiError, match="too_many_logins"), hasher.turn("uma", HOME):
            raise AssertionError
        with hasher.turn("ugo", CLINIC):
            pass
    with hasher.turn("uma", CLINIC):
        pass


def test_an_address_leaves_a_place_to_the_others() -> None:
    hasher = PasswordHasher(threads=8)
    third = threading.Thread(target=lambda: hasher.turn("c", CLINIC).__enter__(), daemon=True)
    with hasher.turn("a", CLINIC), hasher.turn("b", CLINIC):
        third.start()
        while "c" not in hasher._names:
            pass
        with pytest.raises(ApiError, match="too_many_logins"), hasher.turn("d", CLINIC):
            raise AssertionError
        with hasher.turn("e", HOME):
            pass
        assert third.is_alive()
    third.join(60)
    assert not third.is_alive()


def test_an_address_hashes_two_at_once() -> None:
    hasher = PasswordHasher(threads=64)
    at_once, most, done = 0, 0, 0
    lock = threading.Lock()
    two = threading.Barrier(2, timeout=60)

    def hash_for(name: str) -> None:
        nonlocal at_once, most, done
        with hasher.turn(name, CLINIC):
            with lock:
                at_once += 1
                most = max(most, at_once)
                done += 1
            two.wait()
            with lock:
                at_once -= 1

    names = [f"p{number:02}" for number in range(20)]
    threads = []
    with hasher.turn("first", CLINIC), hasher.turn("second", CLINIC):
        for name in names:
            threads.append(threading.Thread(target=hash_for, args=(name,)))
            threads[-1].start()
            while name not in hasher._names:
                pass
    for thread in threads:
        thread.join()
    assert (most, done) == (2, 20)


def test_others_log_in_while_one_account_logs_in_on_eight_connections(client: Client, clock: Clock) -> None:
    stop = threading.Event()
    statuses = []

    def log_in_again_and_again() -> None:
        while not stop.is_set():
            statuses.append(login(client).status_code)

    attackers = [threading.Thread(target=log_in_again_and_again) for _ in range(8)]
    for attacker in attackers:
        attacker.start()
    others = [login(client, "ugo").status_code for _ in range(15)]
    stop.set()
    for attacker in attackers:
        attacker.join()
    assert others.count(200) >= 12
    assert set(statuses) <= {200, 503}


def test_a_login_that_finds_no_place_leaves_no_row(client: Client, host: sqlite3.Connection) -> None:
    with client.app.services.passwords.turn("nobody", CLINIC):
        refused = login(client, "nobody")
    assert refusal(refused) == (503, "too_many_logins")
    assert refused.headers["Retry-After"] == "1"
    assert host.execute("SELECT count(*) FROM msgsvc_login_attempts").fetchone() == (0,)


def test_right_logins_at_once_open_sessions_for_at_most_one_name(client: Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: login(client).status_code, range(12)))
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


# Counts


def close_address(client: Client, address: str = CLINIC) -> None:
    for number in range(Settings().login_attempts_address):
        assert login(client, f"nobody{number}", address=address).status_code == 401
    assert refusal(login(client, "somebody", address=address)) == (429, "too_many_attempts")


def test_who_has_logged_in_from_an_address_is_not_shut_out_by_its_count(client: Client, clock: Clock) -> None:
    assert login(client).status_code == 200
    clock.advance(29 * DAY)
    close_address(client)
    assert login(client).status_code == 200
    assert login(client, "ugo").status_code == 429
    assert login(client, "ugo", address=HOME).status_code == 200


def test_after_thirty_days_the_address_is_strange_again(client: Client, clock: Clock) -> None:
    assert login(client).status_code == 200
    clock.advance(30 * DAY + 1)
    close_address(client)
    assert login(client).status_code == 429


def test_the_count_of_the_name_holds_at_a_known_address(client: Client) -> None:
    assert login(client).status_code == 200
    for _ in range(Settings().login_attempts_name):
        assert login(client, password="wrong").status_code == 401
    assert login(client).status_code == 429


def test_the_known_addresses_of_an_account_are_bounded(client: Client, host: sqlite3.Connection) -> None:
    for number in range(25):
        assert login(client, address=f"10.0.0.{number}").status_code == 200
    assert host.execute("SELECT count(*) FROM msgsvc_login_addresses").fetchone() == (20,)


def test_counts_and_window_are_settings(database: str, clock: Clock) -> None:
    settings = Settings(database=database, login_attempts_name=2, login_attempts_address=4, login_window_seconds=60)
    client = Client(create_app(settings, clock=clock))
    assert [login(client, password="wrong").status_code for _ in range(3)] == [401, 401, 429]
    assert [login(client, "nobody").status_code for _ in range(2)] == [401, 429]
    clock.advance(60)
    assert login(client).status_code == 200
    client.close()


def test_a_name_that_nobody_has_is_kept_as_a_hash(client: Client, host: sqlite3.Connection) -> None:
    for _ in range(12):
        login(client, "sentinel-typed-as-name")
    assert "sentinel" not in "".join(host.iterdump())
    assert host.execute("SELECT count(*) FROM msgsvc_audit").fetchone() == (0,)


# Clocks that were wrong


def test_throttle_of_the_future_closes_nothing(client: Client, clock: Clock) -> None:
    clock.advance(DAY)
    for _ in range(11):
        login(client, password="wrong")
    assert login(client).status_code == 429
    clock.advance(-DAY)
    assert login(client).status_code == 200


def test_login_of_the_future_makes_no_address_known(client: Client, clock: Clock) -> None:
    clock.advance(365 * DAY)
    assert login(client).status_code == 200
    clock.advance(-365 * DAY)
    close_address(client)
    assert login(client).status_code == 429
