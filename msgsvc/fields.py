"""One input value each: the value, or ApiError 400 with a sentence that names the field and its limit."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NoReturn

from msgsvc.errors import ApiError
from msgsvc.visible_text import is_blank, is_readable

NAME_LIMIT = 255
NEW_NAME_LIMIT = 64
SUBJECT_LIMIT = 100
CONTENT_LIMIT = 5000
REASON_LIMIT = 200
PASSWORD_MINIMUM = 8
PASSWORD_LIMIT = 256
HIGHEST_ID = 2**63 - 1
"""SQLite's largest integer."""

HIGHEST_PAGE = 10**9

_DIGITS = re.compile(r"0|[1-9][0-9]{0,18}", flags=re.ASCII)


def _invalid(sentence: str, code: str = "invalid_field") -> NoReturn:
    raise ApiError(code, sentence)


def text(name: str, value: object, *, limit: int, minimum: int = 1, code: str = "invalid_field") -> str:
    """A string of minimum to limit characters (Unicode code points), without NUL or lone surrogates.

    An empty field of a body counts as missing, an empty query parameter as too short.
    """
    if value is None or (minimum and value == "" and code == "invalid_field"):
        _invalid(f"{name} is required: {minimum} to {limit} characters", "missing_field")
    if not isinstance(value, str):
        _invalid(f"{name} must be a string of {minimum} to {limit} characters", code)
    if not minimum <= len(value) <= limit:
        _invalid(f"{name} must have {minimum} to {limit} characters, not {len(value)}", code)
    if "\0" in value or not _encodable(value):
        _invalid(f"{name} must not contain NUL characters or lone surrogates", code)
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_blank(name: str, value: object, *, limit: int, code: str = "invalid_field") -> str:
    given = text(name, value, limit=limit, code=code)
    if is_blank(given):
        _invalid(f"{name} is required: 1 to {limit} characters, not only blanks", "missing_field")
    return given


def content(body: Mapping[str, Any]) -> str:
    """The content of a message; blank counts as missing."""
    return _not_blank("content", body.get("content"), limit=CONTENT_LIMIT)


def subject(body: Mapping[str, Any]) -> str | None:
    """The subject of a message; null and empty are none."""
    value = body.get("subject")
    if value is None:
        return None
    return text("subject", value, limit=SUBJECT_LIMIT, minimum=0) or None


def reason(value: object) -> str:
    """Why an admin looks at a conversation; blank counts as missing."""
    return _not_blank("reason", value, limit=REASON_LIMIT, code="invalid_parameter")


def username(name: str, value: object, code: str = "invalid_field") -> str:
    """The name of an account, compared exactly."""
    return text(name, value, limit=NAME_LIMIT, code=code)


def is_addressable(username: str) -> bool:
    """Whether a path can carry the name, so that calls can name the account."""
    return "/" not in username and username not in (".", "..")


def addressable_username(name: str, value: object) -> str:
    """The name of an account that a path can carry."""
    given = username(name, value)
    if not is_addressable(given):
        _invalid(f"{name} must be a name without '/', and neither '.' nor '..'")
    return given


def new_username(name: str, value: object) -> str:
    """The name of a new account: a URL can carry it, and every character of it is visible."""
    chosen = text(name, value, limit=NEW_NAME_LIMIT)
    if not is_addressable(chosen) or not is_readable(chosen):
        _invalid(
            f"{name} must be visible characters without '/' and without a blank at either end, and neither '.' nor '..'"
        )
    if not unicodedata.is_normalized("NFC", chosen):
        _invalid(f"{name} must be in Unicode's composed form (NFC)")
    return chosen


def integer(query: Mapping[str, str], name: str, *, lowest: int, highest: int, default: int) -> int:
    """A query parameter in plain decimal digits."""
    raw = query.get(name)
    if raw is None:
        return default
    if not _DIGITS.fullmatch(raw) or not lowest <= int(raw) <= highest:
        _invalid(f"{name} must be a whole number from {lowest} to {highest}", "invalid_parameter")
    return int(raw)


def before(query: Mapping[str, str]) -> int:
    """The query parameter ``before`` as an inclusive upper bound: ``before`` - 1."""
    return integer(query, "before", lowest=0, highest=HIGHEST_ID, default=HIGHEST_ID + 1) - 1


def limit(query: Mapping[str, str], *, lowest: int = 1, highest: int, default: int) -> int:
    """How many rows to answer with."""
    return integer(query, "limit", lowest=lowest, highest=highest, default=default)


def page(query: Mapping[str, str]) -> int:
    """The number of a page, from 1."""
    return integer(query, "page", lowest=1, highest=HIGHEST_PAGE, default=1)


def boolean(query: Mapping[str, str], name: str) -> bool:
    """A query parameter that is true or false; false where it was not given."""
    return choice(name, query.get(name, "false"), ("true", "false"), "invalid_parameter") == "true"


def choice(name: str, value: object, choices: tuple[str, ...], code: str = "invalid_field") -> str:
    """One of the choices, exactly."""
    if value not in choices:
        _invalid(f"{name} must be one of: {', '.join(choices)}", code)
    return str(value)


def message_id(name: str, value: object) -> int:
    """The id of a message, given as a JSON number."""
    if type(value) is not int or not 1 <= value <= HIGHEST_ID:
        _invalid(f"{name} must be a whole number from 1 to {HIGHEST_ID}")
    return value


def flag(name: str, value: object) -> bool:
    """A JSON true or false."""
    if not isinstance(value, bool):
        _invalid(f"{name} must be true or false")
    return value


_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(header: str | None) -> str | None:
    """The Idempotency-Key header, where it was sent."""
    if header is not None and not _IDEMPOTENCY_KEY.fullmatch(header):
        _invalid("Idempotency-Key must have 1 to 255 visible ASCII characters", "invalid_header")
    return header
