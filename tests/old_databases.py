"""Databases of hosts and of older versions, and what a migration must make of them."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import Any

from msgsvc.storage.sql_files import sql_directory

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
    # In the order of COLUMNS.
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
    """The columns of messages, the service's own objects and those on messages, without the host's other objects."""
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
    """The expected summaries (conversations, mailboxes), counted in plain Python."""
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
