"""A seeded database: users and messages as a host would bring them, from which msgsvc fills its summaries, in a file
like those that it makes itself.
"""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from msgsvc.migrations import PAGE_BYTES, migrate
from msgsvc.queries import sql_directory

from msgsvc import Settings, create_app
from msgsvc.handlers.sessions import open_session

HUB = "thea"
"""A therapist who talks with very many people, and at great length with the first of them."""

PARTNERS = 2_000
ACTIVE = 200
"""So many people write half of what does not concern the hub. They and the hub have sessions."""

IDS_WANTED = 200_000
"""People read and delete what is recent: the newest messages, so many at most."""

FIRST_SENT_AT = 1_700_000_000

INSERT_USER = "INSERT INTO users (username, role) VALUES (?, ?)"
INSERT_MESSAGE = """
    INSERT INTO messages (
        sender_username, recipient_username, content, is_read, is_deleted_by_sender, sent_at, created_at, read_at
    )
    SELECT ?1, ?2, ?3, ?4, ?5, at, at, iif(?4, at, NULL) FROM (SELECT datetime(?6, 'unixepoch') AS at)
"""


@dataclass
class Seed:
    """A database that is ready to be served."""

    path: Path
    messages: int
    partners: list[str]
    active: list[str]
    migration_seconds: float
    unread: list[tuple[int, str]]
    """Ids of recent messages in random order, each with the recipient, who has a session and still sees it."""
    read: list[tuple[int, str]]


def build(path: Path, messages: int) -> Seed:
    """Writes the host's tables, then lets msgsvc's migrations do their work and takes the time they need."""
    chance = random.Random(messages)
    partners = [f"partner{number:05}" for number in range(min(PARTNERS, messages // 5))]
    people = [f"person{number:05}" for number in range(ACTIVE + messages // 200)]
    with closing(sqlite3.connect(path)) as connection:
        _insert(connection, chance, messages, partners, people)
    started = time.perf_counter()
    migrate(str(path))
    migration_seconds = time.perf_counter() - started
    active = people[:ACTIVE]
    ids = _ids_by_read(path, messages, {HUB, *active}, chance)
    return Seed(path, messages, partners, active, migration_seconds, unread=ids[0], read=ids[1])


def _insert(
    connection: sqlite3.Connection, chance: random.Random, messages: int, partners: list[str], people: list[str]
) -> None:
    # The host's tables are those that the first migration would make, so the schema is taken from there.
    schema = (sql_directory() / "migrations" / "0001_messages.sql").read_text(encoding="utf-8").split(";\n")
    tables = [
        statement for statement in schema if "NOT EXISTS users" in statement or "NOT EXISTS messages" in statement
    ]
    indexes = [statement for statement in schema if "NOT EXISTS idx_" in statement]
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in tables:
        connection.execute(statement)
    connection.executemany(INSERT_USER, [(HUB, "therapist"), *((name, "user") for name in partners + people)])
    connection.executemany(INSERT_MESSAGE, _messages(chance, messages, partners, people))
    for statement in indexes:
        connection.execute(statement)
    connection.commit()


def _messages(
    chance: random.Random, messages: int, partners: list[str], people: list[str]
) -> Iterator[tuple[str, str, str, bool, bool, int]]:
    words = ["better", "today", "sleep", "we", "talk", "appointment", "thank", "you", "mood", "café", "tomorrow", "ok"]
    contents = [" ".join(chance.choices(words, k=chance.randint(3, 40))) for _ in range(1000)]
    for number in range(messages):
        a, b = (HUB, partners[number]) if number < len(partners) else _pair(chance, partners, people)
        sender, recipient = (a, b) if chance.random() < 0.5 else (b, a)
        is_read, is_hidden = chance.random() < 0.5, chance.random() < 0.05
        yield sender, recipient, chance.choice(contents), is_read, is_hidden, FIRST_SENT_AT + number


def _pair(chance: random.Random, partners: list[str], people: list[str]) -> tuple[str, str]:
    """Two who talk: a fifth of all is one long conversation, a fifth the hub with anyone, the rest among the people."""
    kind = chance.random()
    if kind < 0.2:
        return HUB, partners[0]
    if kind < 0.4:
        return HUB, chance.choice(partners)
    circle = ACTIVE if kind < 0.7 else len(people)
    first = chance.randrange(circle)
    return people[first], people[(first + chance.randint(1, 10)) % circle]


def _ids_by_read(
    path: Path, messages: int, recipients: set[str], chance: random.Random
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    sql = "SELECT id, recipient_username, is_read FROM messages WHERE id > ?"
    ids: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
    with closing(sqlite3.connect(path)) as connection:
        for message_id, recipient, is_read in connection.execute(sql, (messages - IDS_WANTED,)):
            if recipient in recipients:
                ids[is_read].append((message_id, recipient))
    for part in ids:
        chance.shuffle(part)
    return ids


def open_sessions(seed: Seed) -> dict[str, str]:
    """A session token for the hub and for each of the active people."""
    app = create_app(Settings(database=str(seed.path)))
    with app.services.database.transaction() as transaction:
        tokens = {
            name: open_session(transaction, app.services.settings, name, time.time())[0] for name in [HUB, *seed.active]
        }
    app.close()
    return tokens
