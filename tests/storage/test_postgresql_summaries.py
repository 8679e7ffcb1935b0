"""On PostgreSQL, the summaries behind the inbox stay right under any statement that a host runs on its tables.

The statements are PostgreSQL's own: it has no INSERT OR REPLACE, and UPDATEs of many rows fire its triggers once.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import postgresql_server
import psycopg
import pytest

pytestmark = pytest.mark.postgresql

COLUMNS = (
    "sender_username, recipient_username, is_read, deleted_at, is_deleted_by_sender, is_deleted_by_recipient, content,"
    " sent_at"
)
RECOUNTED = (
    "SELECT owner, partner, max(id), count(*) FILTER (WHERE is_unread),"
    " (SELECT role FROM users WHERE username = partner) FROM msgsvc_visible_messages GROUP BY owner, partner"
)
CONVERSATIONS = "SELECT owner, partner, last_message_id, unread_count, partner_role FROM msgsvc_conversations"
TOTALS = (
    "SELECT owner, sum(unread_count), count(*), count(*) FILTER (WHERE unread_count > 0) FROM msgsvc_conversations"
    " GROUP BY owner"
)
MAILBOXES = (
    "SELECT owner, total_unread, conversation_count, unread_conversation_count FROM msgsvc_mailboxes"
    " WHERE conversation_count <> 0 OR total_unread <> 0 OR unread_conversation_count <> 0"
)
SHOWN = (
    "SELECT partner, unread_count, m.id, m.content, m.sent_at, m.sender_username, partner_role"
    " FROM msgsvc_conversations INNER JOIN messages AS m ON m.id = last_message_id WHERE owner = %s"
)
VERSIONS = "SELECT owner, version FROM msgsvc_mailboxes"

Statement = tuple[str, tuple[object, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def host() -> Iterator[Connection]:
    uri = postgresql_server.new_database()
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("INSERT INTO users (username, role) VALUES ('a', 'user'), ('b', 'user'), ('c', 'user')")
        yield connection
    postgresql_server.drop_database(uri)


def any_statement(chance: random.Random) -> Statement:
    sender, recipient = chance.sample("abc", 2)
    message_id = chance.randint(1, 30)

    def flag() -> object:
        return chance.choice([0, 1, None, 2])

    def values() -> tuple[object, ...]:
        deleted_at = chance.choice([None, None, "2026-02-05"])
        sent_at = chance.choice(["2026-01-01", "2026-01-02"])
        return (sender, recipient, flag(), deleted_at, flag(), flag(), chance.choice("xX"), sent_at)

    several = f"WHERE id %% 3 = {message_id % 3}"
    upsert = (
        f"INSERT INTO messages (id, {COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET is_read = excluded.is_read, sender_username = excluded.sender_username,"
        " recipient_username = excluded.recipient_username"
    )
    kinds: list[Callable[[], Statement]] = [
        lambda: (f"INSERT INTO messages ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", values()),
        lambda: (f"INSERT INTO messages ({COLUMNS}) SELECT {COLUMNS} FROM messages LIMIT 5", ()),
        lambda: (upsert, (message_id, *values())),
        lambda: ("DELETE FROM messages WHERE id = %s", (message_id,)),
        lambda: ("DELETE FROM messages WHERE sender_username = %s AND id > 20", (sender,)),
        lambda: (f"UPDATE messages SET is_read = %s {several}", (flag(),)),
        lambda: (f"UPDATE messages SET is_read = %s, is_deleted_by_recipient = %s {several}", (flag(), flag())),
        lambda: ("UPDATE messages SET is_deleted_by_sender = %s WHERE sender_username = %s", (flag(), sender)),
        lambda: (
            "UPDATE messages SET deleted_at = %s WHERE id = %s",
            (chance.choice([None, "2026-01-01"]), message_id),
        ),
        lambda: ("UPDATE messages SET content = %s WHERE id = %s", (chance.choice("xX"), message_id)),
        lambda: ("UPDATE messages SET sent_at = %s WHERE id = %s", (values()[-1], message_id)),
        lambda: (
            "UPDATE messages SET sender_username = %s, recipient_username = %s WHERE id = %s",
            (sender, recipient, message_id),
        ),
        lambda: ("UPDATE messages SET id = %s WHERE id = %s", (chance.randint(1, 40), message_id)),
    ]
    return chance.choice(kinds)()


def any_statement_on_users(chance: random.Random) -> Statement:
    name, role = chance.choice("abc"), chance.choice(["user", "clinician", "guest"])
    insert = "INSERT INTO users (username, role) VALUES (%s, %s)"
    return chance.choice(
        [
            ("DELETE FROM users WHERE username = %s", (name,)),
            (insert, (name, role)),
            (f"{insert} ON CONFLICT (username) DO UPDATE SET role = excluded.role", (name, role)),
            ("UPDATE users SET username = %s WHERE username = %s", (chance.choice("abc"), name)),
            ("UPDATE users SET role = %s WHERE username = %s", (role, name)),
            ("UPDATE users SET username = username || 'x', role = %s WHERE username = %s", (role, name)),
            ("UPDATE users SET username = %s WHERE username = %s", (name, f"{name}x")),
        ]
    )


def everything(connection: Connection, statement: str, *parameters: object) -> set[tuple[Any, ...]]:
    return set(connection.execute(statement.encode(), parameters or None))


@pytest.mark.parametrize("has_foreign_keys", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_summaries_and_versions_follow_any_host_statement(host: Connection, seed: int, has_foreign_keys: bool) -> None:
    chance = random.Random(seed)
    if not has_foreign_keys:
        for side in ("sender", "recipient"):
            host.execute(f"ALTER TABLE messages DROP CONSTRAINT messages_{side}_username_fkey".encode())
    for _ in range(250):
        shown = {owner: everything(host, SHOWN, owner) for owner in "abc"}
        versions = dict(everything(host, VERSIONS))
        statement, parameters = chance.choice([any_statement, any_statement, any_statement_on_users])(chance)
        with suppress(psycopg.errors.IntegrityError):
            host.execute(statement.encode(), parameters)
        assert everything(host, CONVERSATIONS) == everything(host, RECOUNTED), (statement, parameters)
        assert everything(host, MAILBOXES) == everything(host, TOTALS), (statement, parameters)
        now = dict(everything(host, VERSIONS))
        for owner in "abc":
            if everything(host, SHOWN, owner) != shown[owner]:
                assert now[owner] != versions.get(owner), (statement, parameters)


def test_mark_read_changes_only_the_readers_count(host: Connection) -> None:
    host.execute(
        "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('a', 'b', 'x'), ('a', 'b', 'y')"
    )
    before = dict(everything(host, VERSIONS))
    host.execute("UPDATE messages SET is_read = 1 WHERE id = 1")
    after = dict(everything(host, VERSIONS))
    assert everything(host, CONVERSATIONS) == {("a", "b", 2, 0, "user"), ("b", "a", 2, 1, "user")}
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]


def test_truncate_empties_the_summaries(host: Connection) -> None:
    host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('a', 'b', 'x')")
    host.execute("TRUNCATE messages")
    assert everything(host, CONVERSATIONS) == set()
    assert everything(host, MAILBOXES) == set()


def test_reading_thousands_of_messages_counts_once(host: Connection) -> None:
    """A trigger for each row would write the summary thousands of times in one transaction."""
    host.execute(
        "INSERT INTO messages (sender_username, recipient_username, content)"
        " SELECT 'a', 'b', 'x' FROM generate_series(1, 5000)"
    )
    before = host.execute("SELECT ctid::text FROM msgsvc_conversations WHERE owner = 'b'").fetchone()
    host.execute("UPDATE messages SET is_read = 1")
    after = host.execute("SELECT ctid::text, unread_count FROM msgsvc_conversations WHERE owner = 'b'").fetchone()
    assert after is not None
    assert before is not None
    versions = int(after[0].strip("()").split(",")[1]) - int(before[0].strip("()").split(",")[1])
    assert (versions, after[1]) == (1, 0)
