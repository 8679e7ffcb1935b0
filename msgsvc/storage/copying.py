"""Copies everything of ours from one database into another, whatever their engines: all of it or nothing."""

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from msgsvc.storage.base import Progress, Row
from msgsvc.times import rfc3339

TABLES = {
    "users": ("username", "role", "created_at"),
    "messages": (
        "id",
        "sender_username",
        "recipient_username",
        "subject",
        "content",
        "is_read",
        "read_at",
        "sent_at",
        "deleted_at",
        "is_deleted_by_sender",
        "is_deleted_by_recipient",
        "created_at",
    ),
    "msgsvc_reply_rights": ("reader", "writer", "is_open"),
    "msgsvc_credentials": ("username", "password_hash", "must_change", "changes", "changes_since"),
    "msgsvc_sessions": ("id", "token_hash", "username", "created_at", "last_used_at", "ends_at"),
    "msgsvc_login_addresses": ("username", "address", "last_login_at"),
    "msgsvc_login_attempts": ("subject", "attempts", "window_started_at", "is_closed"),
    "msgsvc_idempotency_keys": ("sender", "idempotency_key", "body_digest", "message_id", "sent_at", "created_at"),
    "msgsvc_blocks": ("blocker", "blocked", "blocked_at"),
    "msgsvc_suspensions": ("username", "suspended_at"),
    "msgsvc_send_limits": ("sender", "used_up_to"),
    "msgsvc_audit": (
        "id",
        "actor",
        "source",
        "action",
        "subject",
        "participant_a",
        "participant_b",
        "reason",
        "request_id",
        "at",
    ),
}
"""What is copied, in this order. The rest is derived from it and counted anew."""

_TIMES = {"users": {"created_at"}, "messages": {"read_at", "sent_at", "deleted_at", "created_at"}}
_NO_TIME = "-infinity"
"""Stands for a time that cannot be read: it is not null, so what was deleted stays deleted."""

_ROWS_BETWEEN_LINES = 1000


class CopyRefusedError(Exception):
    """The destination holds something already, or does not hold what was copied; it is left as it was."""


class Tables(Protocol):
    """The tables of a database in one transaction. Every method raises StorageError."""

    def columns(self, table: str) -> Collection[str]:
        """The names of its columns; a host's users may lack one of ours."""
        ...

    def count(self, table: str) -> int:
        """The number of its rows."""
        ...

    def rows(self, table: str, columns: Iterable[str]) -> Iterator[Row]:
        """Its rows as they are fetched."""
        ...


class Destination(Tables, Protocol):
    """Tables that are filled while no trigger of ours runs."""

    def insert(self, table: str, columns: Iterable[str], rows: Iterator[Row]) -> None:
        """Adds the rows."""
        ...

    def complete(self) -> None:
        """Brings the triggers back and counts anew what is derived."""
        ...


def copy(source: Tables, destination: Destination, progress: Progress) -> None:
    """Fills the destination and counts its rows; its transaction must be committed only where this returns.

    Accounts that it has already stay as they are. Raises CopyRefusedError, StorageError.
    """
    for table in TABLES:
        if table != "users" and destination.count(table):
            raise CopyRefusedError(f"the destination is in use: {table} has rows; nothing was copied")
    for table, wanted in TABLES.items():
        columns = [name for name in wanted if name in source.columns(table) and name in destination.columns(table)]
        rows = _readable_times(table, columns, source.rows(table, columns))
        if table == "users":
            taken = {name for (name,) in destination.rows(table, ["username"])}
            rows = _without(taken, rows)
        destination.insert(table, columns, _reported(table, source.count(table), rows, progress))
    progress("counting anew")
    destination.complete()
    for table in TABLES:
        expected, found = source.count(table), destination.count(table)
        if found < expected:
            raise CopyRefusedError(f"{table} has {found} of {expected} rows; nothing was copied")


def _readable_times(table: str, columns: list[str], rows: Iterator[Row]) -> Iterator[Row]:
    """A host may have stored a time in any form; one engine has types for it and the other has not."""
    times = [place for place, name in enumerate(columns) if name in _TIMES.get(table, ())]
    for row in rows:
        values = list(row)
        for place in times:
            if values[place] is not None:
                values[place] = (rfc3339(values[place]) or _NO_TIME).replace("T", " ").removesuffix("Z")
        yield tuple(values)


def _without(names: set[object], rows: Iterator[Row]) -> Iterator[Row]:
    return (row for row in rows if row[0] not in names)


def _reported(table: str, total: int, rows: Iterator[Row], progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number % _ROWS_BETWEEN_LINES == 0:
            progress(f"copying {table}: {number} of {total}")
        yield row
