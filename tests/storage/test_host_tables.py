"""The tables of a host that goes on living: rebuilt tables, odd columns and rows, rules of its own.

SQLite's DDL and untyped columns; PostgreSQL's DDL is in test_postgresql_restoring.
"""

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import API, conversation, faults, history, inbox, refusal, send, unread

from msgsvc import Settings, create_app
from msgsvc.storage.base import MigrationError
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.testing import Client

REBUILD = {
    "messages": """
        PRAGMA foreign_keys = OFF;
        PRAGMA legacy_alter_table = ON;
        BEGIN;
        CREATE TABLE new_messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sender_username TEXT NOT NULL, recipient_username TEXT NOT NULL,
            subject TEXT, content TEXT NOT NULL, is_read INTEGER DEFAULT 0, read_at TIMESTAMP,
            sent_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, deleted_at TIMESTAMP, is_deleted_by_sender INTEGER DEFAULT 0,
            is_deleted_by_recipient INTEGER DEFAULT 0, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, ward TEXT
        );
        INSERT INTO new_messages SELECT *, 'north' FROM messages;
        DROP TABLE messages;
        ALTER TABLE new_messages RENAME TO messages;
        COMMIT;
    """,
    "users": """
        PRAGMA foreign_keys = OFF;
        PRAGMA legacy_alter_table = ON;
        BEGIN;
        CREATE TABLE new_users (username TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL, created_at TEXT, email TEXT);
        INSERT INTO new_users SELECT *, '' FROM users;
        DROP TABLE users;
        ALTER TABLE new_users RENAME TO users;
        COMMIT;
    """,
    "columns lost": """
        PRAGMA foreign_keys = OFF;
        PRAGMA legacy_alter_table = ON;
        BEGIN;
        CREATE TABLE new_messages (
            id INTEGER PRIMARY KEY, sender_username TEXT NOT NULL, recipient_username TEXT NOT NULL, content TEXT
        );
        INSERT INTO new_messages SELECT id, sender_username, recipient_username, content FROM messages;
        DROP TABLE messages;
        ALTER TABLE new_messages RENAME TO messages;
        COMMIT;
    """,
    "renamed away": """
        PRAGMA foreign_keys = OFF;
        ALTER TABLE messages RENAME TO old_messages;
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sender_username TEXT NOT NULL, recipient_username TEXT NOT NULL,
            subject TEXT, content TEXT NOT NULL, is_read INTEGER DEFAULT 0, read_at TIMESTAMP,
            sent_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, deleted_at TIMESTAMP, is_deleted_by_sender INTEGER DEFAULT 0,
            is_deleted_by_recipient INTEGER DEFAULT 0, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
        );
        INSERT INTO messages SELECT * FROM old_messages;
    """,
}


@pytest.mark.parametrize("rebuild", REBUILD.values(), ids=REBUILD)
def test_what_a_rebuilt_table_lost_is_restored_and_counted_at_the_next_start(
    people: dict[str, Client],
    host: sqlite3.Connection,
    database_path: str,
    rebuild: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(people["thea"], "uma", "before")
    assert people["thea"].get("/healthz").status_code == 200
    host.executescript(rebuild)
    host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'after')")
    host.execute("UPDATE users SET role = 'admin' WHERE username = 'thea'")
    assert refusal(people["thea"].get("/healthz")) == (503, "storage_unavailable")
    people["thea"].close()

    with closing(create_app(Settings(database=database_path))) as app:
        assert "restored what a host's DDL had dropped" in caplog.text
        again = Client(app)
        assert again.get("/healthz").status_code == 200
        uma = again.as_user("uma")
        assert (unread(uma), inbox(uma)["conversations"][0]["with_role"]) == (2, "admin")
        send(again.as_user("thea"), "uma")
        assert unread(uma) == 3
    assert faults(database_path) == []
    assert migrate(database_path) == []


def test_migrate_says_what_it_restored(database_path: str) -> None:
    migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript("DROP TRIGGER msgsvc_messages_after_insert; DROP INDEX idx_messages_recipient;")
    restored = ["restored idx_messages_recipient", "restored msgsvc_messages_after_insert"]
    assert migrate(database_path) == restored
    assert migrate(database_path) == []


def test_an_altered_table_of_the_service_is_left_alone_and_reported(database_path: str) -> None:
    migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection:
        connection.execute("ALTER TABLE msgsvc_blocks ADD COLUMN colour TEXT")
    assert migrate(database_path) == []
    assert faults(database_path) == ["schema: msgsvc_blocks is missing or changed"]


OLDER = """
    CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT);
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY, sender_username TEXT, recipient_username TEXT, content TEXT, created_at TIMESTAMP
    );
    INSERT INTO users VALUES ('thea', 'therapist'), ('uma', 'user');
    INSERT INTO messages (sender_username, recipient_username, content)
    VALUES ('thea', NULL, 'to nobody'), (NULL, 'uma', 'from nobody'), ('uma', 'uma', 'to oneself'),
        ('thea', 'uma', 'Hi');
"""


def test_rows_without_a_name_or_to_oneself_stop_no_start_and_count_for_nobody(database_path: str) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(OLDER)
    client = Client(create_app(Settings(database=database_path)))
    uma = client.as_user("uma")
    with closing(sqlite3.connect(database_path)) as connection, connection:
        connection.execute("INSERT INTO messages (sender_username, content) VALUES ('thea', 'to nobody')")
        connection.execute(
            "UPDATE messages SET is_read = 1 WHERE recipient_username IS NULL OR sender_username IS NULL"
        )
        connection.execute("UPDATE messages SET content = 'changed' WHERE sender_username = recipient_username")
    assert unread(uma) == 1
    assert [row["with_user"] for row in inbox(uma)["conversations"]] == ["thea"]
    assert refusal(uma.get(f"{API}/conversation/uma")) == (400, "self_conversation")
    client.close()
    assert faults(database_path) == []


@pytest.mark.parametrize(("collation", "twin"), [("NOCASE", "Uma"), ("RTRIM", "uma ")])
def test_names_compare_exactly_where_the_columns_of_a_host_do_not(
    database_path: str, collation: str, twin: str
) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(f"""
            CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT);
            CREATE TABLE messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                sender_username TEXT COLLATE {collation},
                recipient_username TEXT COLLATE {collation},
                content TEXT
            );
        """)
    client = Client(create_app(Settings(database=database_path, send_rate=0)))
    thea, clara = client.as_user("thea", "therapist"), client.as_user("clara", "clinician")
    uma, other = client.as_user("uma"), client.as_user(twin)
    message_id = send(thea, twin)
    send(clara, twin)

    assert (unread(uma), unread(other)) == (0, 2)
    assert history(uma, "thea") == []
    assert uma.patch(f"{API}/conversation/thea/read").json["marked"] == 0
    assert refusal(uma.patch(f"{API}/{message_id}/read")) == (403, "not_participant")
    assert refusal(uma.delete(f"{API}/{message_id}")) == (403, "not_participant")
    assert uma.delete(f"{API}/conversation/thea").status_code == 204
    assert refusal(uma.post(f"{API}/send", json={"recipient": "clara", "content": "x"})) == (403, "reply_only")
    assert history(other, "thea") == [message_id]
    with closing(sqlite3.connect(database_path)) as connection, connection:
        connection.execute("UPDATE users SET username = 'ulla' WHERE username = 'uma'")
    assert history(other, "thea") == [message_id]
    client.close()
    assert faults(database_path) == []


@pytest.mark.parametrize(
    "column", ["thread_id INTEGER NOT NULL", "deleted_at TIMESTAMP NOT NULL", "subject TEXT NOT NULL"]
)
@pytest.mark.parametrize("is_migrated", [False, True])
def test_a_column_that_a_send_cannot_fill_stops_the_start_with_its_name(
    database_path: str, column: str, is_migrated: bool
) -> None:
    table = f"""
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY, sender_username TEXT, recipient_username TEXT, content TEXT, {column}
        );
    """
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(table)
        if is_migrated:
            connection.executescript("ALTER TABLE messages RENAME TO away")
    if is_migrated:
        migrate(database_path)
        with closing(sqlite3.connect(database_path)) as connection:
            connection.executescript("DROP TABLE messages; PRAGMA legacy_alter_table = ON;")
            connection.executescript("ALTER TABLE away RENAME TO messages")
    with pytest.raises(MigrationError, match=f"the column {column.split(maxsplit=1)[0]} of the table messages"):
        create_app(Settings(database=database_path))


def test_flags_without_a_default_as_django_makes_them_are_filled_by_a_send(database_path: str) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript("""
            CREATE TABLE messages (
                id INTEGER PRIMARY KEY, sender_username TEXT NOT NULL, recipient_username TEXT NOT NULL,
                content TEXT NOT NULL, is_read bool NOT NULL, is_deleted_by_sender bool NOT NULL,
                is_deleted_by_recipient bool NOT NULL, sent_at datetime NOT NULL, created_at datetime NOT NULL
            );
        """)
    with closing(create_app(Settings(database=database_path))) as app:
        client = Client(app)
        uma = client.as_user("uma")
        send(client.as_user("thea", "therapist"), "uma")
        assert unread(uma) == 1


HOST_RULES = {
    "trigger": "CREATE TRIGGER ward BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'the ward is closed'); END",
    "rollback": "CREATE TRIGGER ward BEFORE INSERT ON messages BEGIN SELECT RAISE(ROLLBACK, 'the ward is closed'); END",
    "unique index": "CREATE UNIQUE INDEX once ON messages (sender_username)",
}


@pytest.mark.parametrize("rule", HOST_RULES.values(), ids=HOST_RULES)
def test_what_a_rule_of_the_host_refuses_is_403_and_no_storage_error(
    people: dict[str, Client], host: sqlite3.Connection, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    send(people["thea"], "uma")
    host.execute(rule)
    answer = people["thea"].post(f"{API}/send", json={"recipient": "uma", "content": "sentinel"})
    assert refusal(answer) == (403, "refused_by_host")
    assert "Retry-After" not in answer.headers
    assert re.search(r"refused_by_host: (SQLITE_CONSTRAINT_|UniqueViolation)", caplog.text)
    assert "ward" not in caplog.text
    if "TRIGGER" in rule:
        host.execute("DROP TRIGGER ward")
    assert people["uma"].delete(f"{API}/conversation/thea").status_code == 204


def test_a_message_that_a_trigger_of_the_host_ignores_is_403(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    host.execute("CREATE TRIGGER ward BEFORE INSERT ON messages BEGIN SELECT RAISE(IGNORE); END")
    answer = people["thea"].post(f"{API}/send", json={"recipient": "uma", "content": "Hello"})
    assert refusal(answer) == (403, "refused_by_host")


# On SQLite, whose last_insert_rowid() tells the id; PostgreSQL's statement returns it.
@pytest.mark.usefixtures("database_path")
def test_the_id_of_a_message_is_its_own_where_a_trigger_of_the_host_inserts_rows(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    host.executescript("""
        CREATE TABLE notifications (id INTEGER PRIMARY KEY, message_id INTEGER);
        CREATE TRIGGER notify AFTER INSERT ON messages
        BEGIN INSERT INTO notifications VALUES (4711, new.id); END;
    """)
    message_id = send(people["thea"], "uma")
    assert host.execute("SELECT message_id FROM notifications").fetchall() == [(message_id,)]


def test_a_column_of_users_that_the_host_demands_refuses_new_accounts_only(database_path: str) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript("""
            CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT, email TEXT NOT NULL);
            INSERT INTO users VALUES ('adam', 'admin', 'adam@example.org');
        """)
    client = Client(create_app(Settings(database=database_path)))
    body = {"username": "vic", "role": "user", "password": "a long password"}
    adam = client.as_user("adam")
    assert refusal(adam.post("/api/users", json=body)) == (403, "refused_by_host")
    client.app.put_account("adam", "user")
    assert refusal(adam.post("/api/users", json=body)) == (403, "admin_only")
    client.close()


def test_a_host_s_delete_does_not_take_the_right_to_reply_back(
    people: dict[str, Client], host: sqlite3.Connection, database_path: str
) -> None:
    send(people["clara"], "uma")
    host.execute("DELETE FROM messages")
    send(people["uma"], "clara")
    assert faults(database_path) == []


def test_an_account_that_messages_name_cannot_be_deleted_with_foreign_keys_on(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    send(people["thea"], "uma")
    host.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        host.execute("DELETE FROM users WHERE username = 'thea'")
    host.execute("DELETE FROM users WHERE username = 'ugo'")
    assert conversation(people["uma"], "thea")["can_reply"] is True


def test_an_embedded_start_without_accounts_says_why_everybody_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "msgsvc")
    path = str(tmp_path / "mysite")
    with closing(create_app(Settings(database=path), authenticate=lambda _environ: "uma")) as app:
        assert f"the table users of {path} is empty" in caplog.text
        app.put_account("uma", "user")
        assert inbox(Client(app))["conversations"] == []
    caplog.clear()
    create_app(Settings(database=path), authenticate=lambda _environ: "uma").close()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("mysql://db/site", "the database is a mysql URI; msgsvc serves SQLite files and postgresql:// URIs"),
        ("host=db dbname=site user=web", "a PostgreSQL database is given as a URI: postgresql://…"),
    ],
)
def test_a_database_of_another_kind_is_refused_in_one_line(named: str, words: str) -> None:
    with pytest.raises(MigrationError, match=f"^{re.escape(words)}$"):
        create_app(Settings(database=named))
