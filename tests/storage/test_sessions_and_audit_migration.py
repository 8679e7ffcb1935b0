"""Migration 0009 on a database of the previous release: the audit keeps its rows and ids, sessions go on.

On SQLite: PostgreSQL has no earlier release.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from msgsvc import Settings, create_app
from msgsvc.storage.sql_files import digest, sql_directory
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.testing import Client, Clock
from msgsvc.tokens import token_hash

AT = "2026-02-05 10:00:00"
NOW = 1_770_287_445
BEFORE = [
    # id, actor, action, subject, reason, request_id
    (1, "adam", "conversation_viewed", "thea and uma", "complaint", "r1"),
    (2, "adam", "conversation_viewed", "thea and uma and x", "complaint", "r2"),
    (3, "adam", "conversation_viewed", "thea and and uma", "complaint", "r3"),
    (4, "command line", "user_created", "uma", "user", None),
    (5, "command line", "user_suspended", "uma", None, "r5"),
    (6, "settings", "user_created", "adam", "admin", None),
    (7, "login", "login_throttled", "user:uma", None, "r7"),
    (8, "login", "login_throttled", "user:typed-password", None, "r8"),
    (9, "login", "login_throttled", "address:192.0.2.1", None, "r9"),
    (12, "adam", "conversations_listed", None, None, "r10"),
]
AFTER = [
    # id, actor, source, subject, participants, reason
    (1, "adam", "api", None, "thea", "uma", "complaint"),
    (2, "adam", "api", "thea and uma and x", None, None, "complaint"),
    (3, "adam", "api", "thea and and uma", None, None, "complaint"),
    (4, None, "command line", "uma", None, None, "user"),
    (5, "command line", "api", "uma", None, None, None),
    (6, None, "settings", "adam", None, None, "admin"),
    (7, None, "login", "uma", None, None, None),
    (8, None, "login", None, None, None, None),
    (9, None, "login", None, None, None, "from 192.0.2.1"),
    (12, "adam", "api", None, None, None, None),
]


@pytest.fixture
def previous(database_path: str) -> str:
    """A database as the release before 0009 left it."""
    directory = sql_directory("sqlite") / "migrations"
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        for path in sorted(Path(directory).glob("000[1-8]*.sql")):
            text = path.read_text(encoding="utf-8")
            connection.executescript(text)
            record = "INSERT INTO msgsvc_migrations (name, digest) VALUES (?, ?)"
            connection.execute(record, (path.stem, digest(text)))
        connection.executemany("INSERT INTO users (username, role) VALUES (?, ?)", [("uma", "user"), ("adam", "admin")])
        connection.executemany(
            "INSERT INTO msgsvc_audit (id, actor, action, subject, reason, request_id, at)"
            f" VALUES (?, ?, ?, ?, ?, ?, '{AT}')",
            BEFORE,
        )
        connection.executemany(
            "INSERT INTO msgsvc_sessions (token_hash, username, created_at, last_used_at) VALUES (?, ?, ?, ?)",
            [
                (token_hash("alive"), "uma", NOW - 3000, NOW - 1000),
                (token_hash("idle"), "uma", NOW - 3000, NOW - 2000),
                (token_hash("of nobody"), "gone", NOW - 10, NOW - 10),
            ],
        )
        connection.executemany(
            "INSERT INTO msgsvc_login_attempts (subject, attempts, window_started_at) VALUES (?, 10, ?)",
            [("user:uma", NOW - 60), ("user:typed-password", NOW - 60), ("address:192.0.2.1", NOW - 60)],
        )
    return database_path


def rows(path: str, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_columns_that_the_host_dropped_since_the_previous_release_are_added(previous: str) -> None:
    with closing(sqlite3.connect(previous)) as connection:
        connection.executescript("""
            PRAGMA legacy_alter_table = ON;
            CREATE TABLE new_messages (
                id INTEGER PRIMARY KEY, sender_username TEXT NOT NULL, recipient_username TEXT NOT NULL, content TEXT
            );
            DROP TABLE messages;
            ALTER TABLE new_messages RENAME TO messages;
        """)
    done = migrate(previous)
    assert {"restored column deleted_at", "restored column is_read"} <= set(done)
    assert migrate(previous) == []


def test_the_rows_of_the_audit_keep_their_ids_and_are_read_in_one_way_or_left(previous: str) -> None:
    migrate(previous)
    columns = "id, actor, source, subject, participant_a, participant_b, reason"
    assert rows(previous, f"SELECT {columns} FROM msgsvc_audit ORDER BY id") == AFTER
    assert [row[0] for row in rows(previous, "SELECT request_id FROM msgsvc_audit ORDER BY id")] == [
        row[-1] for row in BEFORE
    ]
    with closing(sqlite3.connect(previous)) as connection:
        connection.execute("INSERT INTO msgsvc_audit (source, action, at) VALUES ('api', 'x', 'x')")
        assert connection.execute("SELECT max(id) FROM msgsvc_audit").fetchone() == (13,)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM msgsvc_audit")


def test_nothing_is_left_of_a_name_that_nobody_has(previous: str) -> None:
    migrate(previous)
    with closing(sqlite3.connect(previous)) as connection:
        assert "typed-password" not in "".join(connection.iterdump())
    subjects = rows(previous, "SELECT subject FROM msgsvc_login_attempts ORDER BY subject")
    assert subjects == [("address:192.0.2.1",), ("user:uma",)]


def test_sessions_go_on_under_the_limits_of_the_settings(previous: str) -> None:
    with closing(Client(create_app(Settings(database=previous), clock=Clock(NOW)))) as client:
        for token, status in (("alive", 200), ("idle", 401)):
            answer = client.get("/api/auth/session", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
    assert rows(previous, "SELECT count(*) FROM msgsvc_sessions WHERE username = 'gone'") == [(0,)]
