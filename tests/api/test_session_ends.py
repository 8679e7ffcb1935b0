"""When a session ends: for good, whatever is set later and whatever the clock said; and what does not prolong it."""

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from support import API, refusal

from msgsvc import Settings, create_app
from msgsvc.routes import routes
from msgsvc.sessions import delete_ended_sessions
from msgsvc.testing import Client, Clock

SESSION = "/api/auth/session"
YEAR = 365 * 86_400


@pytest.fixture
def start(database: str, clock: Clock) -> Iterator[Callable[..., Client]]:
    """Starts an application on the same database, with these limits."""
    clients: list[Client] = []

    def started(idle: int = 1800, longest: int = 43_200) -> Client:
        settings = Settings(database=database, session_idle_seconds=idle, session_max_seconds=longest)
        clients.append(Client(create_app(settings, clock=clock)))
        return clients[-1]

    yield started
    for client in clients:
        client.close()


def status(client: Client, of: Client) -> int:
    return client.get(SESSION, headers={"Authorization": of.identity["HTTP_AUTHORIZATION"]}).status_code


@pytest.mark.parametrize("limits", [{"idle": 2}, {"longest": 2}])
def test_an_ended_session_stays_ended_when_a_longer_limit_is_set(
    start: Callable[..., Client], clock: Clock, limits: dict[str, int]
) -> None:
    uma = start(**limits).as_user("uma")
    clock.advance(3)
    assert status(start(), uma) == 401


@pytest.mark.parametrize("limits", [{"idle": 2}, {"longest": 2}])
def test_a_session_that_a_shorter_limit_ended_stays_ended_unseen(
    start: Callable[..., Client], clock: Clock, limits: dict[str, int]
) -> None:
    uma = start().as_user("uma")
    start(**limits)
    clock.advance(3)
    assert status(start(), uma) == 401


def test_a_longer_limit_counts_for_the_sessions_that_are_alive(start: Callable[..., Client], clock: Clock) -> None:
    uma = start(idle=600).as_user("uma")
    clock.advance(599)
    later = start(idle=1800)
    assert status(later, uma) == 200
    clock.advance(1000)
    assert status(later, uma) == 200


def test_ended_sessions_are_deleted_without_a_login(client: Client, clock: Clock, host: sqlite3.Connection) -> None:
    client.as_user("uma")
    clock.advance(1700)
    ugo = client.as_user("ugo")
    clock.advance(200)
    ugo.get(f"{API}/inbox")
    assert host.execute("SELECT username FROM msgsvc_sessions").fetchall() == [("ugo",)]


def test_deleting_ended_sessions_writes_nothing_where_none_has_ended(client: Client, host: sqlite3.Connection) -> None:
    client.as_user("uma")
    before = host.execute("PRAGMA data_version").fetchone()
    delete_ended_sessions(client.app.services.database, client.app.services.clock())
    assert host.execute("PRAGMA data_version").fetchone() == before


def test_a_session_of_the_future_is_not_alive_and_is_deleted(client: Client, clock: Clock) -> None:
    clock.advance(YEAR)
    uma = client.as_user("uma")
    clock.advance(-YEAR)
    assert refusal(uma.get(SESSION)) == (401, "unauthorized")
    delete_ended_sessions(client.app.services.database, clock())
    clock.advance(YEAR)
    assert refusal(uma.get(SESSION)) == (401, "unauthorized")


def test_a_clock_that_is_set_back_a_little_ends_no_session(client: Client, clock: Clock) -> None:
    uma = client.as_user("uma")
    clock.advance(-30)
    assert uma.get(SESSION).status_code == 200


READING = [
    route.path
    for route in routes(API, standalone=True)
    if route.method == "GET" and "<" not in route.path and route.path.startswith(API)
]


@pytest.mark.parametrize("path", READING)
def test_a_background_call_does_not_prolong_the_session(client: Client, clock: Clock, path: str) -> None:
    adam = client.as_user("adam", "admin")
    for _ in range(17):
        clock.advance(100)
        assert adam.get(path, headers={"Msgsvc-Background": "1"}).status_code == 200
    clock.advance(100)
    assert adam.get(path).status_code == 401


def test_the_unread_badge_never_prolongs_the_session(client: Client, clock: Clock) -> None:
    uma = client.as_user("uma")
    for _ in range(17):
        clock.advance(100)
        assert uma.get(f"{API}/unread").status_code == 200
    clock.advance(100)
    assert uma.get(f"{API}/unread").status_code == 401


@pytest.mark.parametrize("value", ["0", "", "yes"])
def test_only_1_marks_a_background_call(client: Client, clock: Clock, value: str) -> None:
    uma = client.as_user("uma")
    clock.advance(1799)
    assert uma.get(f"{API}/inbox", headers={"Msgsvc-Background": value}).status_code == 200
    clock.advance(1799)
    assert uma.get(f"{API}/inbox").status_code == 200
