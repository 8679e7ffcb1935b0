"""One rule of who sees what: the view states it, and each place that must repeat it is held to the view here.

On SQLite; PostgreSQL writes the rule once, in the function msgsvc_sees.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product

import pytest

from msgsvc.errors import ApiError
from msgsvc.fields import addressable_username
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite.migrations import migrate

SIDES = {
    "sender": "deleted_at IS NULL AND is_deleted_by_sender IS NOT TRUE",
    "recipient": "deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE",
}
PLACES = {
    "msgsvc_visible_messages": ["sender", "recipient"],
    "msgsvc_messages_visible_to_sender": ["sender"],
    "msgsvc_messages_visible_to_recipient": ["recipient"],
    "msgsvc_messages_unread": ["recipient"],
}
"""Where the rule is written: the view itself, and the partial indexes, which cannot refer to a view."""

NAMES = ["uma", "a/b", ".", "..", "...", "", "x" * 255, "x" * 256, "a\0b", " ", "é" * 255, "Zoë/", "/"]


@pytest.fixture
def connection(database_path: str) -> Iterator[sqlite3.Connection]:
    migrate(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        yield connection


def test_the_rule_is_written_in_these_places_and_no_other(connection: sqlite3.Connection) -> None:
    written = {}
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'msgsvc%' AND sql <> ''"):
        flat = " ".join(sql.split())
        sides = [side for side, rule in SIDES.items() for _ in re.findall(re.escape(rule), flat)]
        if sides:
            written[name] = sides
    assert written == PLACES
    for name, sql in load_statements("sqlite").items():
        assert not re.search(r"deleted_at IS NULL|is_deleted_by_\w+ IS NOT TRUE", sql), name


def test_no_trigger_reads_the_flags_but_to_see_whether_they_changed(connection: sqlite3.Connection) -> None:
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"):
        body = sql[re.search(r"\bBEGIN\b", sql).end() :]  # type: ignore[union-attr]
        assert not re.search(r"is_deleted_by|deleted_at", body), name


@pytest.mark.parametrize("deleted_at", [None, "2026-01-01", ""])
def test_the_view_shows_each_side_what_it_has_not_hidden(
    connection: sqlite3.Connection, deleted_at: str | None
) -> None:
    flags = [None, 0, 1, 2, "yes", "1"]
    for by_sender, by_recipient in product(flags, flags):
        connection.execute("DELETE FROM messages")
        connection.execute(
            "INSERT INTO messages (sender_username, recipient_username, content, deleted_at, is_deleted_by_sender,"
            " is_deleted_by_recipient) VALUES ('thea', 'uma', 'x', ?, ?, ?)",
            (deleted_at, by_sender, by_recipient),
        )
        expected = {
            owner
            for owner, flag in (("thea", by_sender), ("uma", by_recipient))
            if deleted_at is None and flag in (None, 0, "yes")
        }
        assert {row[0] for row in connection.execute("SELECT owner FROM msgsvc_visible_messages")} == expected
        assert {row[0] for row in connection.execute("SELECT owner FROM msgsvc_conversations")} == expected


def test_counted_and_listed_are_the_names_that_a_call_takes(connection: sqlite3.Connection) -> None:
    for name in NAMES:
        connection.execute("INSERT INTO users (username, role) VALUES (?, 'user')", (name,))
        connection.execute(
            "INSERT INTO messages (sender_username, recipient_username, content) VALUES (?, 'thea', 'x')", (name,)
        )

    def is_taken(name: str) -> bool:
        try:
            return addressable_username("username", name) == name
        except ApiError:
            return False

    expected = {name for name in NAMES if is_taken(name)}
    assert {
        row[0] for row in connection.execute("SELECT partner FROM msgsvc_conversations WHERE owner = 'thea'")
    } == expected
    assert {row[0] for row in connection.execute("SELECT username FROM msgsvc_people_words")} == expected
