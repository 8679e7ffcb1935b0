"""Another process holds the lock of the database: what waits for it, and how that is said and ended.

SQLite's one lock for a file; what other sessions hold on PostgreSQL is in test_postgresql_faults.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from old_databases import USERS, insert_rows, messages_table
from processes import WAIT_SECONDS, environment, msgsvc
from served import serving, sign_in

from msgsvc import Settings, create_app
from msgsvc.testing import Client

NOTICE = "waits for the lock of another process"


@contextmanager
def locked(database: str, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute(begin)
        yield other


@pytest.fixture
def old_database(database_path: str) -> str:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(USERS + messages_table(("sent_at", "is_read")))
    insert_rows(database_path, ("sent_at", "is_read"))
    return database_path


@pytest.mark.parametrize("command", [("explain", "thea", "uma"), ("user", "list"), ("migrate",), ("check",)])
def test_command_with_nothing_to_migrate_waits_for_no_lock(database_path: str, command: tuple[str, ...]) -> None:
    sign_in(database_path, thea="therapist", uma="user")
    with locked(database_path):
        ran = msgsvc(*command, "--database", database_path, cwd=Path(database_path).parent)
    assert (ran.status, ran.errors) == (0, "")


@pytest.mark.parametrize("command", [("token", "uma"), ("user", "suspend", "uma")])
def test_command_that_writes_gives_a_held_lock_up_in_one_line(database_path: str, command: tuple[str, ...]) -> None:
    sign_in(database_path, uma="user")
    with locked(database_path):
        ran = msgsvc(*command, "--database", database_path, cwd=Path(database_path).parent)
    assert (ran.status, ran.errors.count("\n")) == (1, 1)
    assert "locked" in ran.errors


def test_service_starts_and_reads_while_another_process_holds_the_lock(database_path: str) -> None:
    tokens = sign_in(database_path, uma="user")
    with locked(database_path), serving(database_path, admin_username="ada", admin_password="long enough 1") as service:
        assert service.call("GET", "/api/messages/inbox", Authorization=tokens["uma"]).status == 200
        assert service.call("GET", "/healthz").status == 200


def test_application_is_made_while_another_process_holds_the_lock(database_path: str) -> None:
    sign_in(database_path, uma="user")
    with locked(database_path), closing(Client(create_app(Settings(database=database_path)))) as client:
        assert client.get("/healthz").status_code == 200


def waiting(database: str, *command: str) -> "subprocess.Popen[str]":
    """The command, which has said for what it waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "msgsvc", *command, "--database", database],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    line = process.stderr.readline()
    assert NOTICE in line
    assert database in line
    return process


@pytest.mark.parametrize("command", [("migrate",), ("serve", "--port", "0"), ("user", "list")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_migration_that_waits_says_so_and_ends_on_a_signal(
    old_database: str, command: tuple[str, ...], number: int
) -> None:
    with locked(old_database):
        process = waiting(old_database, *command)
        begun = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=WAIT_SECONDS)
        assert time.monotonic() - begun < WAIT_SECONDS / 2
    assert process.returncode == 130
    assert errors.count("\n") == 1


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_migration_goes_on_when_the_lock_is_given_back(old_database: str, begin: str) -> None:
    with locked(old_database, begin):
        process = waiting(old_database, "migrate")
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert "0001_messages" in output
