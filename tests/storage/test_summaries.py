"""The summaries behind the inbox stay right under any statement that a host runs on messages or users.

SQLite's statements; test_postgresql_summaries runs PostgreSQL's.
"""

import random
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from msgsvc.storage.sqlite.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = (
    "id, sender_username, recipient_username, is_read, deleted_at, is_deleted_by_sender, is_deleted_by_recipient,"
    " content, sent_at"
)
VALUES = f"INTO messages ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

RECOUNTED = (
    "SELECT owner, partner, max(id), sum(is_unread), (SELECT role FROM users WHERE username = partner)"
    " FROM msgsvc_visible_messages GROUP BY owner, partner"
)
CONVERSATIONS = "SELECT owner, partner, last_message_id, unread_count, partner_role FROM msgsvc_conversations"
TOTALS = "SELECT owner, sum(unread_count), count(*), sum(unread_count > 0) FROM msgsvc_conversations GROUP BY owner"
MAILBOXES = (
    "SELECT owner, total_unread, conversation_count, unread_conversation_count FROM msgsvc_mailboxes"
    " WHERE conversation_count OR total_unread OR unread_conversation_count"
)
SHOWN = (
    "SELECT owner, partner, unread_count, m.id, m.content, m.sent_at, m.sender_username, partner_role"
    " FROM msgsvc_conversations INNER JOIN messages AS m ON m.id = last_message_id WHERE owner = ?"
)
VERSIONS = "SELECT owner, version FROM msgsvc_mailboxes"

Statement = tuple[str, tuple[object, ...]]


def any_statement(chance: random.Random) -> Statement:
    sender, recipient = chance.sample("abc", 2)
    message_id = chance.randint(1, 30)

    def flag() -> object:
        return chance.choice([0, 1, None, 2])

    def values(of: object) -> tuple[object, ...]:
        deleted_at = chance.choice([None, None, "2026-02-05"])
        return (of, sender, recipient, flag(), deleted_at, flag(), flag(), chance.choice("xX"), chance.choice("12"))

    several = f"WHERE id % 3 = {message_id % 3}"
    new_values = "SET is_read = excluded.is_read, sender_username = excluded.sender_username,"
    kinds: list[Callable[[], Statement]] = [
        lambda: (f"INSERT {VALUES}", values(None)),
        lambda: (f"INSERT OR REPLACE {VALUES}", values(message_id)),
        lambda: (f"INSERT OR IGNORE {VALUES}", values(message_id)),
        lambda: (
            f"INSERT {VALUES} ON CONFLICT (id) DO UPDATE {new_values} recipient_username = excluded.recipient_username",
            values(message_id),
        ),
        lambda: ("DELETE FROM messages WHERE id = ?", (message_id,)),
        lambda: (f"UPDATE messages SET is_read = ? {several}", (flag(),)),
        lambda: (f"UPDATE messages SET is_read = ?, is_deleted_by_recipient = ? {several}", (flag(), flag())),
        lambda: ("UPDATE messages SET is_deleted_by_sender = ? WHERE sender_username = ?", (flag(), sender)),
        lambda: ("UPDATE messages SET deleted_at = ? WHERE id = ?", (chance.choice([None, "2026"]), message_id)),
        lambda: ("UPDATE messages SET content = ? WHERE id = ?", (chance.choice("xX"), message_id)),
        lambda: (f"UPDATE messages SET content = ?, is_read = ? {several}", (chance.choice("xX"), flag())),
        lambda: ("UPDATE OR IGNORE messages SET rowid = ? WHERE id = ?", (chance.randint(1, 40), message_id)),
        lambda: ("UPDATE messages SET sent_at = ? WHERE id = ?", (chance.choice("12"), message_id)),
        lambda: (
            "UPDATE messages SET sender_username = ?, recipient_username = ? WHERE id = ?",
            (sender, recipient, message_id),
        ),
        lambda: (
            f"UPDATE OR {chance.choice(['IGNORE', 'REPLACE'])} messages SET id = ? WHERE id = ?",
            (chance.randint(1, 40), message_id),
        ),
    ]
    return chance.choice(kinds)()


def any_statement_on_users(chance: random.Random) -> Statement:
    name, role = chance.choice("abc"), chance.choice(["user", "clinician", "guest"])
    way = chance.choice(["", "OR IGNORE", "OR REPLACE"])
    return chance.choice(
        [
            ("DELETE FROM users WHERE username = ?", (name,)),
            (f"INSERT {way} INTO users (username, role) VALUES (?, ?)", (name, role)),
            (f"UPDATE {way} users SET username = ? WHERE username = ?", (chance.choice("abc"), name)),
            ("UPDATE users SET role = ? WHERE username = ?", (role, name)),
            ("UPDATE users SET username = username || 'x', role = ? WHERE username = ?", (role, name)),
            ("UPDATE users SET username = ? WHERE username = ?", (name, f"{name}x")),
        ]
    )


def everything(connection: sqlite3.Connection, sql: str, *parameters: object) -> set[tuple[Any, ...]]:
    return set(connection.execute(sql, parameters))


@pytest.mark.parametrize("recursive_triggers", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_summaries_and_versions_follow_any_host_statement(
    database_path: str, seed: int, recursive_triggers: bool
) -> None:
    migrate(database_path)
    chance = random.Random(seed)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers:d}")
        connection.execute("BEGIN")
        for _ in range(700):
            shown = {owner: everything(connection, SHOWN, owner) for owner in "abc"}
            versions = dict(connection.execute(VERSIONS))
            statement = chance.choice([any_statement, any_statement, any_statement_on_users])(chance)
            with suppress(sqlite3.IntegrityError):
                connection.execute(*statement)
            assert everything(connection, CONVERSATIONS) == everything(connection, RECOUNTED), statement
            assert everything(connection, MAILBOXES) == everything(connection, TOTALS), statement
            now = dict(connection.execute(VERSIONS))
            for owner in "abc":
                if everything(connection, SHOWN, owner) != shown[owner]:
                    assert now[owner] != versions.get(owner), statement


def test_mark_read_changes_only_the_readers_count(database_path: str) -> None:
    migrate(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        insert = "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'Hello')"
        connection.execute(insert)
        connection.execute(insert)
        before = dict(connection.execute(VERSIONS))
        connection.execute("UPDATE messages SET is_read = 1 WHERE id = 1")
        after = dict(connection.execute(VERSIONS))
        assert everything(connection, CONVERSATIONS) == {("thea", "uma", 2, 0, None), ("uma", "thea", 2, 1, None)}
    assert after["thea"] == before["thea"]
    assert after["uma"] != before["uma"]


SENT = "INTO messages (id, sender_username, recipient_username, content, sent_at, is_read) VALUES (1, ?, ?, ?, ?, 1)"


@pytest.mark.parametrize(
    "change",
    [
        ("UPDATE messages SET sender_username = recipient_username, recipient_username = sender_username", ()),
        ("UPDATE messages SET content = 'other'", ()),
        ("UPDATE messages SET sent_at = '2'", ()),
        (f"INSERT OR REPLACE {SENT}", ("uma", "thea", "Hello", "1")),
        (f"INSERT OR REPLACE {SENT}", ("thea", "uma", "other", "1")),
        (f"INSERT OR REPLACE {SENT}", ("thea", "uma", "Hello", "2")),
    ],
)
def test_a_change_of_the_newest_message_that_no_count_shows_changes_the_version(
    database_path: str, change: Statement
) -> None:
    migrate(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        connection.execute(f"INSERT {SENT}", ("thea", "uma", "Hello", "1"))
        before = dict(connection.execute(VERSIONS))
        connection.execute(*change)
        after = dict(connection.execute(VERSIONS))
    assert after["thea"] != before["thea"]
    assert after["uma"] != before["uma"]


def test_replacing_the_newest_message_by_the_same_changes_no_version(database_path: str) -> None:
    migrate(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        connection.execute(f"INSERT {SENT}", ("thea", "uma", "Hello", "1"))
        before = everything(connection, VERSIONS)
        connection.execute(f"INSERT OR REPLACE {SENT}", ("thea", "uma", "Hello", "1"))
        assert everything(connection, VERSIONS) == before
