"""Named statements with numbered parameters. A statement may begin with commands that take locks.

Each command has a snapshot of its own, so what follows a lock sees what the lock's last holder has committed.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from msgsvc.storage.sql_files import load_statements

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_COMMENT = re.compile(r"^--.*\n", flags=re.MULTILINE)


class Command(NamedTuple):
    """The text of a command, and the names of its parameters $1, $2 and so on."""

    text: bytes
    parameters: tuple[str, ...] = ()


class Statement(NamedTuple):
    """The commands that take locks, and the one that does the work."""

    locks: tuple[Command, ...]
    command: Command


def load() -> Mapping[str, Statement]:
    """Every statement of the engine, by name."""
    return {name: _translate(text) for name, text in load_statements("postgresql").items()}


def _translate(text: str) -> Statement:
    *locks, command = (_number(part.strip()) for part in _COMMENT.sub("", text).split(";") if part.strip())
    return Statement(tuple(locks), command)


def _number(text: str) -> Command:
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    return Command(_PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text).encode(), tuple(names))
