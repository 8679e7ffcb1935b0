"""The URI of a database: what we add to it, and how it is named where everybody may read it."""

import os
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from msgsvc.storage.base import MigrationError

CONNECT_SECONDS = 2
"""How long each host of the URI may take to accept a connection."""

LOCK_MILLISECONDS = 2000
STATEMENT_MILLISECONDS = 3000
IDLE_TRANSACTION_MILLISECONDS = 10_000
"""A process that is stopped in the middle of a transaction loses its locks after this time."""

_EXAMPLE = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_DEFAULTS = {
    "application_name": "msgsvc",
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    "client_encoding": "UTF8",
}


def connection_string(uri: str) -> str:
    """The URI with our time limits, which it or PGOPTIONS may override. Raises MigrationError for a malformed one.

    The error repeats nothing of the URI: a password with a character that must be escaped turns up anywhere in it.
    """
    given = _parsed(uri)
    options = (
        f"-c lock_timeout={LOCK_MILLISECONDS} -c statement_timeout={STATEMENT_MILLISECONDS}"
        f" -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MILLISECONDS} -c TimeZone=UTC -c DateStyle=ISO"
        " -c plan_cache_mode=force_generic_plan"
        f" {given.pop('options', os.environ.get('PGOPTIONS', ''))}"
    )
    return make_conninfo("", **{"connect_timeout": CONNECT_SECONDS, **_DEFAULTS, **given, "options": options.strip()})


def shown(uri: str) -> str:
    """The URI without its password, its user and its options."""
    given = _parsed(uri)
    return f"postgresql://{given.get('host', '')}/{given.get('dbname', '')}"


def password(uri: str) -> str | None:
    """The password in the URI."""
    found = _parsed(uri).get("password")
    return None if found is None else str(found)


def _parsed(uri: str) -> dict[str, Any]:
    malformed = MigrationError(f"the database is not a PostgreSQL URI such as {_EXAMPLE} (escape special characters)")
    try:
        given = conninfo_to_dict(uri)
    except psycopg.Error:
        raise malformed from None
    numbers = [*str(given.get("port", "")).split(","), str(given.get("connect_timeout", ""))]
    if (
        any(number and not number.isdecimal() for number in numbers)
        or "@" in f"{given.get('host')}{given.get('dbname')}"
    ):
        raise malformed
    return given
