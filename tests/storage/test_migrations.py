"""Migration: every supported file gets the present schema and loses nothing.

On SQLite, whose files of earlier releases exist; PostgreSQL has none yet.
"""

import random
import sqlite3
from contextlib import closing
from itertools import combinations
from pathlib import Path

import pytest
from old_databases import (
    ADDABLE,
    COLUMNS,
    CONSTRAINTS,
    EVERY_MIGRATION,
    ROWS,
    USERS,
    dump,
    execute,
    insert_rows,
    messages_table,
    recounted,
    rows,
    schema,
    summaries,
)
from support import inbox, send

from msgsvc import Settings, create_app
from msgsvc.storage.sqlite.migrations import PAGE_BYTES, migrate
from msgsvc.testing import Client

# A fresh file


def test_a_fresh_file_gets_the_specified_messages_table(database_path: str) -> None:
    assert migrate(database_path) == EVERY_MIGRATION
    with closing(sqlite3.connect(":memory:")) as specified:
        specified.executescript(messages_table())
        for pragma in ("table_info", "foreign_key_list"):
            expected = specified.execute(f"SELECT * FROM pragma_{pragma}('messages')").fetchall()
            assert rows(database_path, f"SELECT * FROM pragma_{pragma}('messages')") == expected
    indexes = {
        name: [column for (column,) in rows(database_path, "SELECT name FROM pragma_index_info(?)", (name,))]
        for name in ("idx_messages_recipient", "idx_messages_conversation", "idx_messages_deleted")
    }
    assert indexes == {
        "idx_messages_recipient": ["recipient_username", "is_read"],
        "idx_messages_conversation": ["sender_username", "recipient_username"],
        "idx_messages_deleted": ["deleted_at"],
    }


def test_only_a_new_file_gets_small_pages(database_path: str, tmp_path: Path) -> None:
    hosts = str(tmp_path / "host.db")
    execute(hosts, USERS)
    migrate(database_path)
    migrate(hosts)
    (new,), (old,) = rows(database_path, "PRAGMA page_size"), rows(hosts, "PRAGMA page_size")
    assert new == (PAGE_BYTES,) != old


def test_table_refuses_a_message_to_oneself(database_path: str) -> None:
    migrate(database_path)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        execute(
            database_path,
            USERS.split(";")[1].replace("(full_name, username, role)", "(created_at, username, role)")
            + "; INSERT INTO messages (sender_username, recipient_username, content) VALUES ('uma', 'uma', 'me')",
        )


def test_created_objects_have_the_own_prefix(database_path: str) -> None:
    migrate(database_path)
    names = {name for (name,) in rows(database_path, "SELECT name FROM sqlite_master")}
    foreign = {name for name in names if not name.startswith(("msgsvc_", "sqlite_", "idx_messages_"))}
    assert foreign == {"messages", "users"}


# A host's file

HOST_TABLES = (
    USERS
    + """
    CREATE TABLE sessions (id TEXT PRIMARY KEY, cookie BLOB);
    INSERT INTO sessions VALUES ('s1', x'00ff');
    CREATE TABLE blocks (a TEXT, b TEXT);
    INSERT INTO blocks VALUES ('x', 'y');
    CREATE TABLE audit (line TEXT);
    CREATE TRIGGER audit_users AFTER UPDATE ON users BEGIN INSERT INTO audit VALUES (new.username); END;
    CREATE INDEX users_by_role ON users (role);
    CREATE VIEW staff AS SELECT username FROM users WHERE role <> 'user';
"""
)


@pytest.mark.parametrize("with_messages", [False, True])
def test_migration_keeps_all_host_objects(
    database_path: str, fresh_schema: dict[str, object], with_messages: bool
) -> None:
    execute(database_path, HOST_TABLES)
    if with_messages:
        execute(database_path, messages_table() + "ALTER TABLE messages ADD COLUMN ward TEXT DEFAULT 'north';")
        execute(database_path, "CREATE TRIGGER host_own AFTER INSERT ON messages BEGIN SELECT 1; END;")
        insert_rows(database_path)
    before = dump(database_path)
    migrate(database_path)
    assert set(before) - set(dump(database_path)) == set()
    after = schema(database_path)
    after["messages"].pop("ward", None)  # type: ignore[attr-defined]
    assert after == fresh_schema
    assert summaries(database_path) == recounted(database_path)


def test_the_service_works_on_a_hosts_users(database_path: str) -> None:
    execute(database_path, HOST_TABLES)
    client = Client(create_app(Settings(database=database_path)))
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma", "user")
    send(thea, "uma", "How are you?")
    assert inbox(uma)["total_unread"] == 1
    client.close()
    assert rows(database_path, "SELECT id, full_name FROM users WHERE username = 'uma'") == [(2, "Uma U")]


@pytest.mark.parametrize(
    "users",
    [
        "CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT)",
        "CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT) WITHOUT ROWID",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(80), role TEXT, UNIQUE (username))",
        "CREATE TABLE users (username TEXT, role TEXT); CREATE UNIQUE INDEX by_name ON users (username)",
        "CREATE TABLE Users (Username TEXT NOT NULL COLLATE NOCASE UNIQUE, Role TEXT, UNIQUE (role, username))",
    ],
)
def test_users_table_with_unique_username_and_role_is_accepted(database_path: str, users: str) -> None:
    execute(database_path, users)
    definition = rows(database_path, "SELECT sql FROM sqlite_master WHERE lower(name) = 'users'")
    migrate(database_path)
    assert rows(database_path, "SELECT sql FROM sqlite_master WHERE lower(name) = 'users'") == definition


# Older messages tables

LACKING = [(name,) for name in ADDABLE] + [
    ("sent_at", "created_at"),
    ("is_read", "read_at"),
    ("deleted_at", "is_deleted_by_sender", "is_deleted_by_recipient"),
    ("subject", "created_at", "is_deleted_by_recipient"),
    tuple(ADDABLE),
    *random.Random(5).sample(list(combinations(ADDABLE, 4)), 3),
]


def lacking_id(lacking: tuple[str, ...]) -> str:
    return "+".join(lacking)


@pytest.mark.parametrize("lacking", [(), *LACKING], ids=lacking_id)
@pytest.mark.parametrize("constraints", [CONSTRAINTS, ""], ids=["constrained", "bare"])
def test_older_messages_table_gets_all_columns(
    database_path: str, fresh_schema: dict[str, object], lacking: tuple[str, ...], constraints: str
) -> None:
    execute(database_path, USERS + messages_table(lacking, constraints))
    insert_rows(database_path, lacking)
    kept = ", ".join(name for name in COLUMNS if name not in lacking)
    before = rows(database_path, f"SELECT {kept} FROM messages")

    assert migrate(database_path) == EVERY_MIGRATION

    assert rows(database_path, f"SELECT {kept} FROM messages") == before
    assert schema(database_path) == fresh_schema
    assert summaries(database_path) == recounted(database_path)
    assert rows(database_path, "PRAGMA integrity_check") == [("ok",)]


DEFAULTS = {"is_read": 0, "is_deleted_by_sender": 0, "is_deleted_by_recipient": 0}


@pytest.mark.parametrize("lacking", LACKING, ids=lacking_id)
def test_added_column_gets_its_default_or_the_value_of_its_counterpart(
    database_path: str, lacking: tuple[str, ...]
) -> None:
    execute(database_path, USERS + messages_table(lacking))
    insert_rows(database_path, lacking)
    migrate(database_path)
    for number, row in enumerate(ROWS):
        expected = {name: DEFAULTS.get(name) for name in lacking}
        was = dict(zip(COLUMNS, row, strict=True))
        if "is_read" in lacking and "read_at" not in lacking:
            expected["is_read"] = int(was["read_at"] is not None)
        for name, twin in (("sent_at", "created_at"), ("created_at", "sent_at")):
            if name in lacking and twin not in lacking:
                expected[name] = was[twin]
        values = rows(database_path, f"SELECT {', '.join(lacking)} FROM messages ORDER BY id")[number]
        assert dict(zip(lacking, values, strict=True)) == expected


@pytest.mark.parametrize("lacking", LACKING, ids=lacking_id)
def test_host_can_insert_without_an_added_column(database_path: str, lacking: tuple[str, ...]) -> None:
    execute(database_path, USERS + messages_table(lacking))
    migrate(database_path)
    execute(
        database_path,
        "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'by the host')",
    )
    flags = rows(database_path, "SELECT is_read, is_deleted_by_sender, is_deleted_by_recipient FROM messages")
    assert flags == [(0, 0, 0)]
    assert rows(database_path, "SELECT abs(julianday('now') - julianday(sent_at)) < 0.01 FROM messages") == [(1,)]
    assert rows(database_path, "SELECT created_at = sent_at FROM messages") == [(1,)]
    assert (
        summaries(database_path)
        == recounted(database_path)
        == (
            {("thea", "uma", 1, 0), ("uma", "thea", 1, 1)},
            {("thea", 0, 1, 0), ("uma", 1, 1, 1)},
        )
    )


def test_messages_of_an_older_table_are_in_the_inbox_at_once(database_path: str) -> None:
    execute(database_path, USERS + messages_table(tuple(ADDABLE)))
    insert_rows(database_path, tuple(ADDABLE))
    client = Client(create_app(Settings(database=database_path)))
    answer = inbox(client.as_user("uma", "user"))
    client.close()
    assert [(row["with_user"], row["last_message"]) for row in answer["conversations"]] == [
        ("ugo", "six"),
        ("thea", "three"),
    ]
    assert answer["total_unread"] == 5


# A second time


@pytest.mark.parametrize("lacking", [None, (), ("sent_at",)], ids=["fresh", "specified", "older"])
def test_a_second_migration_changes_nothing(database_path: str, lacking: tuple[str, ...] | None) -> None:
    if lacking is not None:
        execute(database_path, USERS + messages_table(lacking))
        insert_rows(database_path, lacking)
    migrate(database_path)
    content, text = Path(database_path).read_bytes(), dump(database_path)
    assert migrate(database_path) == []
    assert Path(database_path).read_bytes() == content
    assert dump(database_path) == text
