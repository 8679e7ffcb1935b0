"""Copies between the engines: everything of ours, counted again, into a database that has no messages; or nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import postgresql_server
import psycopg
import pytest
from support import API, history, inbox, send, unread

from msgsvc import Settings, create_app
from msgsvc.app import App
from msgsvc.cli import main
from msgsvc.storage.copying import TABLES, Tables, copy
from msgsvc.storage.engines import engine_for, is_uri
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

DERIVED = {
    "msgsvc_migrations",
    "msgsvc_conversations",
    "msgsvc_mailboxes",
    "msgsvc_messages_before",
    "msgsvc_people_words",
    "msgsvc_display_name",
    "sqlite_sequence",
}
"""What a copy leaves out: it is counted anew, or belongs to the one database."""


@pytest.fixture
def server_database() -> Iterator[str]:
    uri = postgresql_server.new_database()
    yield uri
    postgresql_server.drop_database(uri)


@pytest.fixture(params=["from SQLite", "from PostgreSQL"])
def ends(request: pytest.FixtureRequest, server_database: str, tmp_path: Path) -> tuple[str, str]:
    """The source and the destination."""
    file = str(tmp_path / "file.db")
    return (file, server_database) if request.param == "from SQLite" else (server_database, file)


@pytest.fixture
def tokens(ends: tuple[str, str]) -> dict[str, Any]:
    """Fills the source; the identities of thea and uma there."""
    with closing(create_app(Settings(database=ends[0], send_rate=60))) as app:
        client = Client(app)
        people = {name: client.as_user(name, role) for name, role in [("thea", "therapist"), ("uma", "user")]}
        admin, clara = client.as_user("adam", "admin"), client.as_user("clara", "clinician")
        for text in ["first", "second", "hidden"]:
            send(people["thea"], "uma", text)
        people["thea"].delete(f"{API}/3")
        people["uma"].patch(f"{API}/1/read")
        key = {"Idempotency-Key": "once"}
        people["uma"].post(f"{API}/send", json={"recipient": "thea", "content": "answer ü"}, headers=key)
        send(clara, "uma", "hello")
        admin.patch("/api/users/clara", json={"suspended": True})
        account = {"username": "ugo", "role": "user", "password": "seven quiet otters"}
        assert admin.post("/api/users", json=account).status_code == 201
        assert people["uma"].put(f"{API}/blocks/ugo").status_code == 204
        return {name: person.identity for name, person in people.items()}


def acting(app: App, identity: dict[str, str]) -> Client:
    """A client with the identity of another one."""
    client = Client(app)
    client.identity.update(identity)
    return client


def rows_of(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every table that is copied."""
    with engine_for(database).source(database) as tables:
        return {
            table: sorted(tables.rows(table, [name for name in columns if not name.endswith("_at")]), key=repr)
            for table, columns in TABLES.items()
        }


def test_copy_moves_everything_of_ours(
    ends: tuple[str, str], tokens: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    source, destination = ends
    assert main(["copy", source, destination]) == 0
    assert capsys.readouterr().out.strip() == engine_for(destination).shown(destination)
    assert rows_of(destination) == rows_of(source)
    assert [table for table, rows in rows_of(source).items() if not rows] == [
        "msgsvc_login_addresses",
        "msgsvc_login_attempts",
    ]
    with (
        closing(create_app(Settings(database=destination))) as app,
        closing(create_app(Settings(database=source))) as old,
    ):
        for name, identity in tokens.items():
            before, after = acting(old, identity), acting(app, identity)
            assert inbox(after) == inbox(before)
            assert history(after, "uma" if name == "thea" else "thea") == history(
                before, "uma" if name == "thea" else "thea"
            )
        thea, uma = acting(app, tokens["thea"]), acting(app, tokens["uma"])
        assert unread(uma) == 3
        again = {"recipient": "thea", "content": "answer ü"}
        assert uma.post(f"{API}/send", json=again, headers={"Idempotency-Key": "once"}).json["message_id"] == 4
        assert send(thea, "uma", "after the copy") == 6
        assert unread(uma) == 4
    assert main(["check", "--database", destination]) == 0


def test_copy_refuses_a_destination_that_has_messages(
    ends: tuple[str, str], tokens: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    source, destination = ends
    assert main(["copy", source, destination]) == 0
    copied = rows_of(destination)
    assert main(["copy", source, destination]) == 1
    assert "the destination is in use: messages has rows; nothing was copied" in capsys.readouterr().err
    assert rows_of(destination) == copied
    assert main(["check", "--database", destination]) == 0


def test_copy_refuses_a_database_as_both_of_its_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "messages.db"
    migrate(str(path))
    (tmp_path / "link.db").symlink_to(path)
    assert main(["copy", str(path), str(tmp_path / "link.db")]) == 2
    assert capsys.readouterr().err == "msgsvc: source and destination are the same database\n"


def test_interrupted_copy_leaves_nothing_and_can_run_again(ends: tuple[str, str], tokens: dict[str, Any]) -> None:
    source, destination = ends

    def interrupt(line: str) -> None:
        if "msgsvc_audit" in line:
            raise KeyboardInterrupt

    def interrupted(tables: Tables) -> None:
        with engine_for(destination).destination(destination) as copied:
            copy(tables, copied, interrupt)

    with engine_for(source).source(source) as tables, pytest.raises(KeyboardInterrupt):
        interrupted(tables)
    assert not any(rows_of(destination).values())
    assert main(["check", "--database", destination]) == 0
    assert main(["copy", source, destination]) == 0
    assert rows_of(destination) == rows_of(source)


def test_accounts_of_a_host_stay_as_they_are(ends: tuple[str, str], tokens: dict[str, Any]) -> None:
    source, destination = ends
    create_app(Settings(database=destination)).close()
    insert = "INSERT INTO users (username, role) VALUES ('uma', 'clinician')"
    if is_uri(destination):
        with psycopg.connect(destination) as connection:
            connection.execute(insert)
    else:
        with closing(sqlite3.connect(destination)) as file, file:
            file.execute(insert)
    assert main(["copy", source, destination]) == 0
    assert ("uma", "clinician") in rows_of(destination)["users"]
    assert rows_of(destination)["messages"] == rows_of(source)["messages"]
    assert main(["check", "--database", destination]) == 0


def test_times_and_texts_that_the_other_engine_cannot_store_are_replaced(tmp_path: Path, server_database: str) -> None:
    file = str(tmp_path / "file.db")
    migrate(file)
    with closing(sqlite3.connect(file)) as host, host:
        host.execute("INSERT INTO users (username, role) VALUES ('a', 'user'), ('b', 'user')")
        host.execute(
            "INSERT INTO messages (sender_username, recipient_username, content, sent_at, deleted_at)"
            " VALUES ('a', 'b', 'x' || char(0) || CAST(x'ff' AS TEXT), 1700000000, 'yesterday')"
        )
    assert main(["copy", file, server_database]) == 0
    with psycopg.connect(server_database, options="-c TimeZone=UTC") as connection:
        row = connection.execute("SELECT content, sent_at::text, deleted_at::text FROM messages").fetchone()
    assert row == ("x\ufffd\ufffd", "2023-11-14 22:13:20+00", "-infinity")


def test_backup_of_postgresql_is_a_sqlite_file_of_the_same(
    server_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(create_app(Settings(database=server_database))) as app:
        client = Client(app)
        client.as_user("uma")
        send(client.as_user("thea", "therapist"), "uma", "kept")
    target = tmp_path / "backup.db"
    assert main(["backup", str(target), "--database", server_database]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["backup.db"]
    assert rows_of(str(target)) == rows_of(server_database)
    assert main(["check", "--database", str(target)]) == 0
    assert main(["backup", str(target), "--database", server_database]) == 1
    assert "exists; --overwrite replaces it" in capsys.readouterr().err


def test_every_table_of_the_service_is_copied_or_derived(tmp_path: Path) -> None:
    file = str(tmp_path / "file.db")
    migrate(file)
    with closing(sqlite3.connect(file)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == TABLES.keys() | DERIVED
        for table, columns in TABLES.items():
            assert [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] == list(columns)
