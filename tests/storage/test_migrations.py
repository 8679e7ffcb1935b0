"""Migration: whatever a file holds, it ends in the one present schema, as a whole or not at all, and loses nothing."""

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from processes import CHECKOUT
from support import inbox, send

from msgsvc import Settings, create_app
from msgsvc.storage.base import MigrationError
from msgsvc.storage.sql_files import sql_directory
from msgsvc.storage.sqlite.migrations import PAGE_BYTES, migrate
from msgsvc.testing import Client

EVERY_MIGRATION = [path.stem for path in sorted((sql_directory("sqlite") / "migrations").glob("*.sql"))]

COLUMNS = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "sender_username": "TEXT NOT NULL",
    "recipient_username": "TEXT NOT NULL",
    "subject": "TEXT",
    "content": "TEXT NOT NULL",
    "is_read": "INTEGER DEFAULT 0",
    "read_at": "TIMESTAMP",
    "sent_at": "TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    "deleted_at": "TIMESTAMP",
    "is_deleted_by_sender": "INTEGER DEFAULT 0",
    "is_deleted_by_recipient": "INTEGER DEFAULT 0",
    "created_at": "TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
}
"""The specified table, column by column."""

CONSTRAINTS = """,
    FOREIGN KEY (sender_username) REFERENCES users (username),
    FOREIGN KEY (recipient_username) REFERENCES users (username),
    CHECK (sender_username != recipient_username)"""

ADDABLE = [name for name in COLUMNS if name not in ("id", "sender_username", "recipient_username", "content")]

USERS = """
    CREATE TABLE users (id INTEGER PRIMARY KEY, full_name TEXT, username TEXT NOT NULL UNIQUE, role TEXT NOT NULL);
    INSERT INTO users (full_name, username, role)
    VALUES ('Thea T', 'thea', 'therapist'), ('Uma U', 'uma', 'user'), ('Ugo', 'ugo', 'user');
"""
AT = ["2025-01-01 10:00:00", "2025-01-01 10:00:01", "2025-01-01 10:00:02"]
ROWS = [
    # In the order of COLUMNS, from id to created_at.
    (1, "thea", "uma", "Hello", "one", 1, AT[1], AT[0], None, 0, 0, AT[0]),
    (2, "uma", "thea", None, "two", 0, None, AT[0], None, 1, 0, AT[0]),
    (3, "thea", "uma", None, "three", 0, None, AT[1], None, 0, 1, AT[1]),
    (5, "ugo", "uma", None, "four", 0, None, AT[1], AT[2], 1, 1, AT[1]),
    (9, "ugo", "uma", "Hi", "five", 0, None, AT[2], None, 0, 0, AT[2]),
    (10, "ugo", "uma", None, "six", None, None, AT[2], None, None, None, AT[2]),
]


def execute(path: str, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def rows(path: str, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, parameters).fetchall()


def dump(path: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def messages_table(lacking: tuple[str, ...] = (), constraints: str = CONSTRAINTS) -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items() if name not in lacking)
    return f"CREATE TABLE messages ({columns}{constraints});"


def insert_rows(path: str, lacking: tuple[str, ...] = ()) -> None:
    kept = [position for position, name in enumerate(COLUMNS) if name not in lacking]
    names = ", ".join(name for name in COLUMNS if name not in lacking)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            f"INSERT INTO messages ({names}) VALUES ({', '.join('?' * len(kept))})",
            [[row[position] for position in kept] for row in ROWS],
        )


def schema(path: str) -> dict[str, object]:
    """Columns of messages, and everything that is the service's own or on messages, whatever the host has beside."""
    columns = dict(rows(path, "SELECT name, type FROM pragma_table_info('messages')"))
    objects = rows(
        path,
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE name GLOB 'msgsvc_*' OR name GLOB 'idx_messages*' ORDER BY name",
    )
    tables = [name for kind, name, _ in objects if kind == "table"]
    return {
        "messages": columns,
        "objects": objects,
        "tables": {name: rows(path, "SELECT name, type FROM pragma_table_info(?)", (name,)) for name in tables},
    }


def recounted(path: str) -> tuple[set[Any], set[Any]]:
    """What the summaries must say, counted in plain Python: the conversations and the mailboxes."""
    unread: dict[tuple[str, str], int] = defaultdict(int)
    newest: dict[tuple[str, str], int] = {}
    query = (
        "SELECT id, sender_username, recipient_username, is_read, deleted_at, is_deleted_by_sender,"
        " is_deleted_by_recipient FROM messages ORDER BY id"
    )
    for message_id, sender, recipient, is_read, deleted_at, by_sender, by_recipient in rows(path, query):
        if deleted_at is None and not by_sender:
            newest[sender, recipient] = message_id
        if deleted_at is None and not by_recipient:
            newest[recipient, sender] = message_id
            unread[recipient, sender] += not is_read
    conversations = {(*pair, message_id, unread[pair]) for pair, message_id in newest.items()}
    mailboxes = {
        (
            owner,
            sum(row[3] for row in conversations if row[0] == owner),
            sum(row[0] == owner for row in conversations),
            sum(row[0] == owner and row[3] > 0 for row in conversations),
        )
        for owner in {row[0] for row in conversations}
    }
    return conversations, mailboxes


def summaries(path: str) -> tuple[set[Any], set[Any]]:
    conversations = rows(path, "SELECT owner, partner, last_message_id, unread_count FROM msgsvc_conversations")
    mailboxes = rows(
        path, "SELECT owner, total_unread, conversation_count, unread_conversation_count FROM msgsvc_mailboxes"
    )
    return set(conversations), {row for row in mailboxes if row[2]}


@pytest.fixture(scope="module")
def fresh_schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = str(tmp_path_factory.mktemp("fresh") / "messages.db")
    migrate(path)
    return schema(path)


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


def test_a_message_to_oneself_is_refused_by_the_table_itself(database_path: str) -> None:
    migrate(database_path)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        execute(
            database_path,
            USERS.split(";")[1].replace("(full_name, username, role)", "(created_at, username, role)")
            + "; INSERT INTO messages (sender_username, recipient_username, content) VALUES ('uma', 'uma', 'me')",
        )


def test_everything_created_is_messages_users_or_begins_with_the_own_prefix(database_path: str) -> None:
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
def test_everything_a_host_has_stays(database_path: str, fresh_schema: dict[str, object], with_messages: bool) -> None:
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
def test_any_users_table_with_a_unique_username_and_a_role_is_taken_as_found(database_path: str, users: str) -> None:
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
def test_a_messages_table_of_any_age_is_completed(
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
def test_a_row_gets_the_default_of_an_added_column_or_what_its_twin_says(
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
def test_a_host_goes_on_inserting_without_an_added_column(database_path: str, lacking: tuple[str, ...]) -> None:
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


# Refusals


def users_table(columns: str) -> str:
    return f"CREATE TABLE users ({columns});"


REFUSALS = {
    "users without role": (users_table("username TEXT PRIMARY KEY"), "users"),
    "users without username": (users_table("name TEXT PRIMARY KEY, role TEXT"), "users"),
    "username not unique": (users_table("username TEXT, role TEXT"), "username"),
    "username unique with another": (users_table("username TEXT, role TEXT, UNIQUE (username, role)"), "username"),
    "username unique for some": (
        users_table("username TEXT, role TEXT") + "CREATE UNIQUE INDEX u ON users (username) WHERE role = 'admin'",
        "username",
    ),
    "messages without content": (USERS + messages_table(("content",)), "content"),
    "messages without sender": (USERS + messages_table(("sender_username",), ""), "sender_username"),
    "messages without id": (USERS + messages_table(("id",)), "id"),
    "id of another type": (USERS + messages_table().replace(COLUMNS["id"], "TEXT PRIMARY KEY"), "id"),
    "id no key": (USERS + messages_table().replace(COLUMNS["id"], "INTEGER"), "id"),
    "id half a key": (
        USERS + messages_table(("id",), ", id INTEGER, PRIMARY KEY (id, content)"),
        "id",
    ),
    "messages a view": (USERS + "CREATE VIEW messages AS SELECT 1 AS id;", "messages"),
    "users a view": (
        "CREATE TABLE people (username TEXT PRIMARY KEY, role TEXT);"
        "CREATE VIEW users AS SELECT username, role FROM people;",
        "users",
    ),
}


def assert_refused_and_untouched(path: str, word: str) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(MigrationError) as caught:
        migrate(path)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Path(path).read_bytes() == before
    assert [file.name for file in Path(path).parent.iterdir()] == [Path(path).name]


@pytest.mark.parametrize(("script", "word"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_migrated_is_refused_in_one_line_and_left_as_it_was(
    database_path: str, script: str, word: str
) -> None:
    execute(database_path, script)
    assert_refused_and_untouched(database_path, word)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("INSERT INTO msgsvc_migrations (name, digest) VALUES ('9999_from_the_future', 'x')", "9999_from_the_future"),
        ("UPDATE msgsvc_migrations SET digest = 'x' WHERE name LIKE '0002%'", "0002"),
    ],
    ids=["newer", "changed"],
)
def test_a_database_of_another_version_is_refused_and_left_as_it_was(
    database_path: str, change: str, word: str
) -> None:
    migrate(database_path)
    execute(database_path, change)
    assert_refused_and_untouched(database_path, word)


def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(database_path: str) -> None:
    scripts = sorted((sql_directory("sqlite") / "migrations").glob("*.sql"))
    table = re.findall(r"CREATE TABLE (\w+)", "".join(script.read_text(encoding="utf-8") for script in scripts))[-1]
    execute(database_path, USERS + messages_table(tuple(ADDABLE)) + f"CREATE TABLE {table} (x);")
    insert_rows(database_path, tuple(ADDABLE))
    before = Path(database_path).read_bytes()
    with pytest.raises(MigrationError, match=table):
        migrate(database_path)
    assert Path(database_path).read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(database_path: str) -> None:
    Path(database_path).write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(MigrationError):
        migrate(database_path)
    assert Path(database_path).read_bytes() == b"Dear diary, " * 1000


# Several at once, and a crash in the middle

CHILD = """
import sys
sys.path.append(sys.argv[2])
from msgsvc.storage.sqlite.migrations import migrate
print("ready", flush=True)
sys.stdin.readline()
print(",".join(migrate(sys.argv[1])))
"""


def start_migrating(path: str) -> "subprocess.Popen[str]":
    """A process that is about to migrate and waits for a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, path, str(CHECKOUT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def let_go(child: "subprocess.Popen[str]") -> None:
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An older database with 200,000 messages."""
    path = str(tmp_path_factory.mktemp("large") / "messages.db")
    execute(path, USERS + messages_table(("is_deleted_by_sender", "created_at")))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO messages (sender_username, recipient_username, content, is_read) VALUES (?, ?, 'Hello', ?)",
            ((*(("thea", "uma") if n % 2 else ("uma", "ugo")), n % 3 == 0) for n in range(200_000)),
        )
    return Path(path).read_bytes()


@pytest.mark.parametrize("kind", ["fresh", "older", "large"])
def test_several_processes_may_migrate_one_database_at_once(
    database_path: str, fresh_schema: dict[str, object], large_file: bytes, kind: str
) -> None:
    if kind == "older":
        execute(database_path, USERS + messages_table(("sent_at", "is_read")))
        insert_rows(database_path, ("sent_at", "is_read"))
    elif kind == "large":
        Path(database_path).write_bytes(large_file)
    children = [start_migrating(database_path) for _ in range(4)]
    for child in children:
        let_go(child)
    ended = [child.communicate() for child in children]
    assert [errors for _, errors in ended] == [""] * 4
    assert sorted(output.strip() for output, _ in ended) == ["", "", "", ",".join(EVERY_MIGRATION)]
    assert schema(database_path) == fresh_schema
    assert summaries(database_path) == recounted(database_path)


@pytest.mark.fault
def test_a_crash_in_the_middle_leaves_the_old_schema_or_the_new(
    database_path: str, fresh_schema: dict[str, object], large_file: bytes
) -> None:
    def restore() -> None:
        for leftover in Path(database_path).parent.iterdir():
            leftover.unlink()
        Path(database_path).write_bytes(large_file)

    restore()
    old_schema = schema(database_path)
    old_rows = rows(database_path, "SELECT * FROM messages")
    whole = start_migrating(database_path)
    begun = time.monotonic()
    let_go(whole)
    whole.communicate()
    duration = time.monotonic() - begun

    moments = [random.uniform(0, 1.2 * duration) for _ in range(5)]
    for moment in moments:
        restore()
        child = start_migrating(database_path)
        let_go(child)
        time.sleep(moment)
        child.send_signal(signal.SIGKILL)
        child.communicate()

        assert rows(database_path, "PRAGMA integrity_check") == [("ok",)], moments
        if schema(database_path) != fresh_schema:
            assert schema(database_path) == old_schema, moments
            assert rows(database_path, "SELECT * FROM messages") == old_rows, moments
            assert migrate(database_path) == EVERY_MIGRATION
        assert migrate(database_path) == []
        assert summaries(database_path) == recounted(database_path)
