"""Many writers on one PostgreSQL database, in several applications and processes."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import postgresql_server
import psycopg
import pytest
from postgresql_server import PATIENT
from processes import WAIT_SECONDS, environment
from served import Service, call, serving, sign_in
from support import API, send
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.app import App
from msgsvc.storage.postgresql.check import check
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql


@pytest.fixture
def database() -> Iterator[str]:
    """After the test every summary equals a full recount."""
    uri = postgresql_server.new_database()
    yield uri
    assert list(check(uri, lambda _line: None)) == []
    postgresql_server.drop_database(uri)


def applications(database: str, count: int, **settings: Any) -> list[App]:
    return [create_app(Settings(database=database, **{"send_rate": 0, **settings})) for _ in range(count)]


@pytest.fixture
def two(database: str) -> Iterator[list[Client]]:
    """Two applications on one database, as two processes have them."""
    apps = applications(database, 2)
    yield [Client(app) for app in apps]
    for app in apps:
        app.close()


def at_once(calls: list[Callable[[], TestResponse]]) -> list[TestResponse]:
    start = threading.Barrier(len(calls))

    def wait_and_call(made: Callable[[], TestResponse]) -> TestResponse:
        start.wait(60)
        return made()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and_call, calls))


def test_one_key_in_two_applications_stores_one_message(two: list[Client]) -> None:
    theas = [client.as_user("thea", "therapist") for client in two]
    two[0].as_user("uma")
    body, key = {"recipient": "uma", "content": "once"}, {"Idempotency-Key": "k"}
    answers = at_once([lambda thea=thea: thea.post(f"{API}/send", json=body, headers=key) for thea in theas * 6])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["message_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1


def test_processes_of_a_host_put_the_same_account_at_once(database: str) -> None:
    apps = applications(database, 4)
    start = threading.Barrier(len(apps))

    def put_all(app: App) -> None:
        for number in range(10):
            start.wait(60)
            app.put_account(f"uma{number}", "user")

    with ThreadPoolExecutor(len(apps)) as pool:
        list(pool.map(put_all, apps))
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (10,)
        audited = "SELECT count(*) FROM msgsvc_audit WHERE action = 'user_created'"
        assert connection.execute(audited).fetchone() == (10,)
    for app in apps:
        app.close()


def test_two_admins_cannot_demote_each_other(two: list[Client]) -> None:
    for number in range(5):
        names = [f"adam{number}", f"eve{number}"]
        admins = [client.as_user(name, "admin") for client, name in zip(two, names, strict=True)]
        answers = at_once(
            [
                lambda admin=admin, other=other: admin.patch(f"/api/users/{other}", json={"role": "user"})
                for admin, other in zip(admins, reversed(names), strict=True)
            ]
        )
        assert sorted(answer.status_code for answer in answers) in ([200, 403], [200, 409])
        for name in names:
            two[0].as_user(name, "user")


def start_at_once(database: str, **variables: str) -> None:
    environ = environment(MSGSVC_DATABASE=database, **variables)
    starting = [sys.executable, "-c", "import msgsvc; msgsvc.create_app().close()"]
    processes = [subprocess.Popen(starting, env=environ) for _ in range(4)]
    assert [process.wait(WAIT_SECONDS) for process in processes] == [0] * 4


def test_the_first_admin_is_made_once(database: str) -> None:
    start_at_once(database, MSGSVC_ADMIN_USERNAME="root", MSGSVC_ADMIN_PASSWORD="a long enough secret")
    with psycopg.connect(database) as connection:
        created = connection.execute("SELECT count(*) FROM msgsvc_audit WHERE action = 'user_created'").fetchone()
    assert created == (1,)


def test_many_starts_migrate_once() -> None:
    uri = postgresql_server.new_database(empty=True)
    start_at_once(uri)
    assert list(check(uri, lambda _line: None)) == []
    postgresql_server.drop_database(uri)


FAILING = """
CREATE SEQUENCE failures;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence is not rolled back.
    IF nextval('failures') <= 3 THEN
        RAISE EXCEPTION 'lost against another' USING ERRCODE = '{}';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON messages {} FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"], ids=["in a statement", "at the commit"])
@pytest.mark.parametrize("state", ["40001", "40P01"], ids=["serialization failure", "deadlock"])
def test_work_that_lost_against_another_is_run_again(two: list[Client], database: str, state: str, when: str) -> None:
    thea = two[0].as_user("thea", "therapist")
    two[0].as_user("uma")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FAILING.format(state, when).encode())
        send(thea, "uma")
        assert connection.execute("SELECT nextval('failures')").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)


WRITERS = 8
MESSAGES_EACH = 25


def walk(service: Service, token: str, writers: threading.Event) -> list[str]:
    """Follows the conversation by ``after`` while it is written; the contents in the order in which they appeared."""
    seen: list[str] = []
    after = 0
    with closing(service.connection()) as connection:
        while True:
            was_over = writers.is_set()
            path = f"{API}/conversation/thea?after={after}&limit=200"
            messages = call(connection, "GET", path, Authorization=token).json["messages"]
            seen += [message["content"] for message in messages]
            after = messages[-1]["id"] if messages else after
            if was_over and not messages:
                return seen


def test_who_walks_by_after_misses_nothing_that_two_processes_write(database: str, tmp_path: Path) -> None:
    tokens = sign_in(database, thea="therapist", uma="user")
    with ExitStack() as stack:
        services = [
            stack.enter_context(serving(database, prepare=PATIENT, log=tmp_path / f"{number}.log", threads="8"))
            for number in range(2)
        ]
        over = threading.Event()

        def write(number: int) -> None:
            with closing(services[number % 2].connection()) as connection:
                for message in range(MESSAGES_EACH):
                    body = {"recipient": "uma", "content": f"{number} {message}"}
                    answer = call(connection, "POST", f"{API}/send", body, Authorization=tokens["thea"])
                    assert answer.status == 201, answer

        with ThreadPoolExecutor(WRITERS + 1) as pool:
            reader = pool.submit(walk, services[0], tokens["uma"], over)
            list(pool.map(write, range(WRITERS)))
            over.set()
            seen = reader.result()
    assert sorted(seen) == sorted(f"{number} {n}" for number in range(WRITERS) for n in range(MESSAGES_EACH))


def test_a_host_that_was_overtaken_gets_a_newer_id(database: str) -> None:
    """An id is drawn before the row waits for the writer ahead of it."""
    with psycopg.connect(database, autocommit=True) as one, psycopg.connect(database, autocommit=True) as other:
        one.execute("INSERT INTO users (username, role) VALUES ('a', 'user'), ('b', 'user')")
        insert = (
            "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('a', 'b', %s) RETURNING id"
        )
        one.execute("BEGIN")
        one.execute("SELECT pg_advisory_xact_lock(msgsvc_conversation_key('a', 'b'))")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: other.execute(insert, ("drawn first",)).fetchone())
            watch = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while one.execute(watch).fetchone() == (0,):
                pass
            first = one.execute(insert, ("visible first",)).fetchone()
            one.execute("COMMIT")
            second = waiting.result()
    assert first is not None
    assert second is not None
    assert first < second
