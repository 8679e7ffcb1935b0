"""The database for the victims: a hundred thousand people, very many conversations, and one of the largest messages."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .seed import HOST_TABLES, INSERT_USER, tokens
from .servers import HERE

VICTIM, THERAPIST, ADMIN = "uma", "thea", "ada"
READER, READER_PARTNER = "rob", "tess"
"""The reader's account makes the attacks. The conversation with the partner holds the largest messages."""

LARGEST_MESSAGES = 200
LARGEST_CONTENT = "\U0001f642" * 5_000

PASSWORD = "correct horse 17 battery"

INSERT_MESSAGE = "INSERT INTO messages (sender_username, recipient_username, content) VALUES (?, ?, ?)"


@dataclass(frozen=True)
class Scale:
    """How large the database and the attacks are."""

    people: int = 100_000
    conversations: int = 150_000
    unread_answers: int = 2_000
    unfinished_bodies: int = 300
    logins: int = 15


TINY = Scale(people=200, conversations=300, unread_answers=20, unfinished_bodies=5, logins=2)


@dataclass(frozen=True)
class Crowd:
    """A database that is ready to be attacked."""

    path: Path
    scale: Scale
    tokens: dict[str, str]
    flooder: str
    """Logs in again and again. The flooder and the others have PASSWORD."""
    others: list[str]


def build(path: Path, scale: Scale) -> Crowd:
    """Writes the host's tables, migrates them and makes sessions and the accounts with a password."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(HOST_TABLES)
        connection.executemany(INSERT_USER, _users(scale))
        connection.executemany(INSERT_MESSAGE, _messages(scale))
        connection.commit()
    HERE.run("migrate", "--database", str(path))
    flooder, *others = (f"member{number:02}" for number in range(scale.logins + 1))
    for name in (flooder, *others):
        HERE.run("user", "add", name, "--role", "user", "--password-stdin", "--database", str(path), typed=PASSWORD)
    return Crowd(path, scale, tokens(HERE, path, [VICTIM, READER, ADMIN]), flooder, others)


def _person(number: int) -> str:
    return f"person{number:06}"


def _users(scale: Scale) -> Iterator[tuple[str, str]]:
    yield from [(VICTIM, "user"), (READER, "user"), (ADMIN, "admin"), (THERAPIST, "therapist")]
    yield READER_PARTNER, "therapist"
    yield from ((_person(number), "user") for number in range(scale.people))


def _messages(scale: Scale) -> Iterator[tuple[str, str, str]]:
    """One message for each conversation, then the largest ones, then one to the victim."""
    for number in range(scale.conversations):
        first, distance = number % scale.people, 1 + number // scale.people
        yield _person(first), _person((first + distance) % scale.people), "How are you?"
    for _ in range(LARGEST_MESSAGES):
        yield READER_PARTNER, READER, LARGEST_CONTENT
    yield THERAPIST, VICTIM, "Shall we talk about it tomorrow?"
