"""Which passwords may be set: none that an attacker tries first."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgsvc import fields
from msgsvc.errors import ApiError
from msgsvc.visible_text import is_blank


class StoredPassword(NamedTuple):
    """What is stored of a password: its hash, and whether the account must change it before any other call."""

    hash: str
    must_change: bool = False


def new_password(name: str, value: object, username: str) -> str:
    """A password that is to be set for the account. Raises ApiError 400 naming the rule that it breaks."""
    password = fields.text(name, value, limit=fields.PASSWORD_LIMIT, minimum=fields.PASSWORD_MINIMUM)
    folded = password.casefold()
    rules = {
        "must not be only blanks": is_blank(password),
        "must not be one character repeated": len(set(folded)) == 1,
        "must not be a plain sequence of characters": _is_sequence(folded),
        "must not be the name of the account": folded == username.casefold(),
        "must not be one of the most common passwords": folded in _common_passwords(),
    }
    for rule, is_broken in rules.items():
        if is_broken:
            raise ApiError("invalid_field", f"{name} {rule}")
    return password


def _is_sequence(text: str) -> bool:
    """``12345678`` or ``hgfedcba``."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps in ({1}, {-1})


@cache
def _common_passwords() -> frozenset[str]:
    """The 3,000 most common ones that have the length asked for, from the list of zxcvbn (MIT licence)."""
    text = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.casefold().split())
