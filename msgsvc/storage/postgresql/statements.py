"""Named statements as psycopg takes them. A statement may begin with commands that take locks.

Each command has a snapshot of its own, so what follows a lock sees what the lock's last holder has committed.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from msgsvc.storage.sql_files import load_statements

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_COMMENT = re.compile(r"^--.*\n", flags=re.MULTILINE)


class Statement(NamedTuple):
    """The commands that take locks, and the one that does the work."""

    locks: tuple[bytes, ...]
    command: bytes


def load() -> Mapping[str, Statement]:
    """Every statement of the engine, by name."""
    return {name: _translate(text) for name, text in load_statements("postgresql").items()}


def _translate(text: str) -> Statement:
    code = _PARAMETER.sub(r"%(\1)s", _COMMENT.sub("", text).replace("%", "%%"))
    *locks, command = (part.strip().encode() for part in code.split(";") if part.strip())
    return Statement(tuple(locks), command)
