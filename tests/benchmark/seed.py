"""A seeded database: users and messages as a host would bring them, which the checkout under test then migrates.

Only the command line and SQL on documented tables are used, so any version of msgsvc can be seeded.
"""

import hashlib
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .servers import HERE, Checkout

HUB = "thea"
"""A therapist who talks with very many people, and at great length with the first of them."""

PARTNERS = 2_000
ACTIVE = 200
"""So many people write half of what does not concern the hub. They and the hub have sessions."""

IDS_WANTED = 200_000
"""People read and delete what is recent: the newest messages, so many at most."""

FIRST_SENT_AT = 1_700_000_000

HOST_TABLES = """
    PRAGMA page_size = 2048;  -- the page size of a file that msgsvc makes
    PRAGMA synchronous = OFF;
    CREATE TABLE users (
        username TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sender_username TEXT NOT NULL,
        recipient_username TEXT NOT NULL,
        subject TEXT,
        content TEXT NOT NULL,
        is_read INTEGER DEFAULT 0,
        read_at TIMESTAMP,
        sent_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        deleted_at TIMESTAMP,
        is_deleted_by_sender INTEGER DEFAULT 0,
        is_deleted_by_recipient INTEGER DEFAULT 0,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        FOREIGN KEY (sender_username) REFERENCES users (username),
        FOREIGN KEY (recipient_username) REFERENCES users (username),
        CHECK (sender_username != recipient_username)
    );
"""
"""The tables of the specification. The migration creates their indexes."""

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

    checkout: Checkout
    path: Path
    messages: int
    partners: list[str]
    active: list[str]
    migration_seconds: float
    unread: list[tuple[int, str]]
    """Ids of recent messages in random order, each with the recipient, who has a session and still sees it."""
    read: list[tuple[int, str]]


def build(path: Path, messages: int, checkout: Checkout = HERE) -> Seed:
    """Writes the host's tables, then runs ``msgsvc migrate`` and takes the time it needs."""
    chance = random.Random(messages)
    partners = [f"partner{number:05}" for number in range(min(PARTNERS, messages // 5))]
    people = [f"person{number:05}" for number in range(ACTIVE + messages // 200)]
    with closing(sqlite3.connect(path)) as connection:
        _insert(connection, chance, messages, partners, people)
    started = time.perf_counter()
    checkout.run("migrate", "--database", str(path))
    migration_seconds = time.perf_counter() - started
    active = people[:ACTIVE]
    ids = _ids_by_read(path, messages, {HUB, *active}, chance)
    return Seed(checkout, path, messages, partners, active, migration_seconds, unread=ids[0], read=ids[1])


def _insert(
    connection: sqlite3.Connection, chance: random.Random, messages: int, partners: list[str], people: list[str]
) -> None:
    connection.executescript(HOST_TABLES)
    connection.executemany(INSERT_USER, [(HUB, "therapist"), *((name, "user") for name in partners + people)])
    connection.executemany(INSERT_MESSAGE, _messages(chance, messages, partners, people))
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
    return tokens(seed.checkout, seed.path, [HUB, *seed.active])


def tokens(checkout: Checkout, path: Path, names: list[str]) -> dict[str, str]:
    """A session token for each name: the first by ``msgsvc token``, the others' sessions as copies of that row.

    A process for each of hundreds of names would take a minute.
    """
    first, *others = names
    made = {first: checkout.run("token", first, "--database", str(path))}
    with closing(sqlite3.connect(path)) as connection:
        columns = [column[1] for column in connection.execute("PRAGMA table_info (msgsvc_sessions)")]
        copied = ", ".join(name for name in columns if name not in ("id", "token_hash", "username"))
        sql = f"""
            INSERT INTO msgsvc_sessions (token_hash, username, {copied})
            SELECT ?, ?, {copied} FROM msgsvc_sessions WHERE token_hash = ?
        """
        for name in others:
            made[name] = secrets.token_urlsafe(32)
            connection.execute(sql, (_digest(made[name]), name, _digest(made[first])))
        connection.commit()
    return made


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
