"""A migration that is refused, fails, is killed or runs in several processes at once.

On SQLite; test_postgresql_concurrency starts many processes on PostgreSQL.
"""

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from old_databases import (
    ADDABLE,
    COLUMNS,
    EVERY_MIGRATION,
    USERS,
    execute,
    insert_rows,
    messages_table,
    recounted,
    rows,
    schema,
    summaries,
)
from processes import CHECKOUT

from msgsvc.storage.base import MigrationError
from msgsvc.storage.sql_files import sql_directory
from msgsvc.storage.sqlite.migrations import migrate


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
def test_unsupported_schema_is_refused_and_unchanged(database_path: str, script: str, word: str) -> None:
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
def test_database_of_another_version_is_refused_and_unchanged(database_path: str, change: str, word: str) -> None:
    migrate(database_path)
    execute(database_path, change)
    assert_refused_and_untouched(database_path, word)


def test_failed_migration_leaves_the_file_unchanged(database_path: str) -> None:
    scripts = sorted((sql_directory("sqlite") / "migrations").glob("*.sql"))
    table = re.findall(r"CREATE TABLE (\w+)", "".join(script.read_text(encoding="utf-8") for script in scripts))[-1]
    execute(database_path, USERS + messages_table(tuple(ADDABLE)) + f"CREATE TABLE {table} (x);")
    insert_rows(database_path, tuple(ADDABLE))
    before = Path(database_path).read_bytes()
    with pytest.raises(MigrationError, match=table):
        migrate(database_path)
    assert Path(database_path).read_bytes() == before


def test_file_that_is_no_database_is_refused_and_unchanged(database_path: str) -> None:
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
    """A process that waits for a line on standard input and then migrates."""
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
    """An older database with 50,000 messages."""
    path = str(tmp_path_factory.mktemp("large") / "messages.db")
    execute(path, USERS + messages_table(("is_deleted_by_sender", "created_at")))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO messages (sender_username, recipient_username, content, is_read) VALUES (?, ?, 'Hello', ?)",
            ((*(("thea", "uma") if n % 2 else ("uma", "ugo")), n % 3 == 0) for n in range(50_000)),
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
    assert all(errors == "" or "waits for the lock" in errors for _, errors in ended), ended
    assert sorted(output.strip() for output, _ in ended) == ["", "", "", ",".join(EVERY_MIGRATION)]
    assert schema(database_path) == fresh_schema
    assert summaries(database_path) == recounted(database_path)


@pytest.mark.fault
def test_crash_during_migration_leaves_the_old_or_the_new_schema(
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
