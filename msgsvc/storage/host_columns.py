"""What the tables users and messages must offer where a host already has them, whatever the engine."""

from collections.abc import Iterable

from msgsvc.storage.base import MigrationError

ACCOUNT_COLUMNS = {"username", "role"}
IDENTITY_COLUMNS = {"id", "sender_username", "recipient_username", "content"}
"""The columns of messages that cannot be added to rows that are there."""

FILLED_FROM = {"sent_at": "created_at", "created_at": "sent_at", "is_read": "read_at"}
"""From which column one that is added takes its values."""

FILLED_BY_A_SEND = {
    "sender_username",
    "recipient_username",
    "content",
    "sent_at",
    "created_at",
    "is_read",
    "is_deleted_by_sender",
    "is_deleted_by_recipient",
}

NAMES_MAY_REPEAT = "the table users must have username as its PRIMARY KEY or UNIQUE"


def require(table: str, needed: set[str], present: Iterable[str]) -> None:
    """Raises MigrationError naming the columns that the table lacks."""
    missing = sorted(needed.difference(present))
    if missing:
        raise MigrationError(f"the table {table} lacks the column {' and '.join(missing)}")


def require_filled(required: Iterable[str]) -> None:
    """Raises MigrationError naming the first of the columns without a default that a send does not fill."""
    for name in required:
        if name not in FILLED_BY_A_SEND:
            raise MigrationError(
                f"the column {name} of the table messages is NOT NULL without a default, and a send cannot fill it; "
                "give it a default"
            )
