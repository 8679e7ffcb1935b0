"""The statements of the two engines agree in name, parameters and columns; those of PostgreSQL use indexes."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import postgresql_server
import psycopg
import pytest

from msgsvc.storage.postgresql.statements import Command, load
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite.migrations import migrate

pytestmark = pytest.mark.postgresql

SQLITE = load_statements("sqlite")
POSTGRESQL_TEXT = load_statements("postgresql")
POSTGRESQL = load()

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


def parameters(text: str) -> set[str]:
    code = re.sub(r"--.*|'[^']*'", "", text)
    return set(re.findall(r"(?<![:\w]):([a-z_]+)", code))


def test_both_engines_have_the_same_statements() -> None:
    assert POSTGRESQL.keys() == SQLITE.keys()


@pytest.mark.parametrize("name", SQLITE)
def test_statements_take_the_same_parameters(name: str) -> None:
    assert parameters(POSTGRESQL_TEXT[name]) == parameters(SQLITE[name])


@pytest.mark.parametrize("name", SQLITE)
def test_statements_say_their_rule(name: str) -> None:
    assert re.match(r"-- [A-Z].*\.\n", POSTGRESQL_TEXT[name])


class AnyParameters(dict[str, object]):
    """A value for any parameter."""

    NUMBERS = frozenset(
        """
        a_block_counts after before burst cap created_at expired_at hour_ago id idle_seconds idle_since interval kept_id
        limit max_seconds message_id month_ago must_change now offset preview started_since tolerance up_to window_since
        """.split()  # noqa: SIM905
    )

    def __init__(self, name: str) -> None:
        super().__init__()
        self._statement = name

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> object:
        if name in ("token_hash", "body_digest"):
            return b"hash"
        if name == "now" and self._statement in TIMES_AS_TEXT:
            return "2026-02-05 10:30:45"
        if name == "roles":
            return '["user"]'
        if name == "believed_until":
            return 10**9
        return 20 if name in self.NUMBERS else "u2" if name in ("recipient", "partner", "b") else "u1"


TIMES_AS_TEXT = {
    name for name, text in SQLITE.items() if re.search(r"messages\b.*:now|:now.*\bmessages", text, re.DOTALL)
}
TIMES_AS_TEXT |= {"insert_block", "insert_message", "update_message_read"}


@pytest.fixture(scope="module")
def filled() -> Iterator[Connection]:
    """A thousand accounts, and so many rows that reading all of any table is never the cheapest plan."""
    uri = postgresql_server.new_database()
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in FILLING:
            connection.execute(statement.encode())
        connection.execute("ANALYZE")
        yield connection
    postgresql_server.drop_database(uri)


FILLING = [
    "INSERT INTO users (username, role) SELECT 'u' || n, 'therapist' FROM generate_series(1, 2000) AS n",
    "INSERT INTO messages (sender_username, recipient_username, content, is_read, is_deleted_by_sender)"
    " SELECT 'u' || 1 + n % 1999, 'u' || 1 + (n + 1) % 1999, repeat('x', 100), n % 2, n % 7 / 6"
    " FROM generate_series(1, 30000) AS n",
    "INSERT INTO messages (sender_username, recipient_username, content)"
    " SELECT 'u1', 'u2', repeat('x', 100) FROM generate_series(1, 3000) AS n",
    "INSERT INTO msgsvc_sessions (token_hash, username, created_at, last_used_at, ends_at)"
    " SELECT sha256(n::text::bytea), 'u' || n % 2000, n, n, n FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_credentials (username, password_hash) SELECT 'u' || n, repeat('x', 100)"
    " FROM generate_series(1, 5000) AS n",
    "INSERT INTO msgsvc_login_attempts (subject, attempts, window_started_at)"
    " SELECT 'user:' || n, 1, n FROM generate_series(1, 5000) AS n",
    "INSERT INTO msgsvc_idempotency_keys (sender, idempotency_key, body_digest, message_id, sent_at, created_at)"
    " SELECT 'u' || n % 1000, n, 'x', n, '', n FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_blocks (blocker, blocked, blocked_at)"
    " SELECT 'u' || n % 1000, 'u' || n, '' FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_suspensions (username, suspended_at) SELECT 'v' || n, '' FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_send_limits (sender, used_up_to) SELECT 'u' || n, n FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_login_addresses (username, address, last_login_at)"
    " SELECT 'u' || n % 1000, n, n FROM generate_series(1, 20000) AS n",
    "INSERT INTO msgsvc_audit (actor, source, action, subject, participant_a, participant_b, at)"
    " SELECT 'u' || n % 1000, 'api', n % 500, n, n % 1000, n % 900, '2026' FROM generate_series(1, 20000) AS n",
]

WHERE_READING_ALL_IS_RIGHT = {
    "select_users": "pages over all accounts",
    "count_users": "counts all accounts for the page beside it",
    "count_other_active_admins": "a host's users need no index on role; asked once for a change of role",
    "select_all_conversations": "pages over the conversations of all, in the order of an index",
    "select_longer_sessions": "asked once at each start",
    "update_longer_sessions": "only where a limit was made shorter",
    "select_conversation_faults": "the check recounts everything",
    "select_mailbox_faults": "the check recounts everything",
}


def run(connection: Connection, command: Command, given: dict[str, object], before: bytes = b"") -> Cursor:
    cursor = psycopg.RawCursor(connection)
    return cursor.execute(before + command.text, [given[name] for name in command.parameters])


def plan(connection: Connection, name: str) -> str:
    lines = run(connection, POSTGRESQL[name].command, AnyParameters(name), b"EXPLAIN ")
    return "\n".join(line for (line,) in lines)


@pytest.mark.parametrize("name", [name for name in POSTGRESQL if name not in WHERE_READING_ALL_IS_RIGHT])
def test_every_statement_uses_an_index(filled: Connection, name: str) -> None:
    lines = plan(filled, name)
    assert "Seq Scan" not in lines, lines
    assert "Index" in lines or "Insert on" in lines, lines


@pytest.mark.parametrize("name", WHERE_READING_ALL_IS_RIGHT)
def test_the_exceptions_are_needed(filled: Connection, name: str) -> None:
    assert re.search(r"Seq Scan|Index Only Scan|Index Scan", plan(filled, name))


@pytest.mark.parametrize("name", ["select_messages_up_to", "select_messages_after"])
def test_a_page_of_a_long_conversation_reads_no_more_than_the_page(filled: Connection, name: str) -> None:
    given = {"caller": "u2", "partner": "u1", "up_to": 10**9, "after": 0, "limit": 20}
    lines = "\n".join(line for (line,) in run(filled, POSTGRESQL[name].command, given, b"EXPLAIN ANALYZE "))
    rows_read = [float(rows) for rows in re.findall(r"actual time=\S+ rows=([0-9.]+)", lines)]
    assert 20 <= max(rows_read) <= 2 * 20, lines


def result_columns(connection: Connection, name: str) -> int | None:
    """How many columns the statement gives; None where it gives no rows."""
    with connection.transaction(force_rollback=True):
        for lock in POSTGRESQL[name].locks:
            run(connection, lock, AnyParameters(name))
        description = run(connection, POSTGRESQL[name].command, AnyParameters(name)).description
    return None if description is None else len(description)


# SQLite tells the id of a new message beside the statement; see Transaction.insert().
@pytest.mark.parametrize("name", sorted(SQLITE.keys() - {"insert_message"}))
def test_statements_give_the_same_columns(filled: Connection, name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "messages.db")
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        given = {parameter: number for number, parameter in enumerate(sorted(parameters(SQLITE[name])))}
        description = connection.execute(SQLITE[name], given).description
    try:
        columns = result_columns(filled, name)
    except psycopg.errors.UniqueViolation:
        return
    assert columns == (len(description) if description else None)
