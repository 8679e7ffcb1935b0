"""The audit: who looked at or changed what, when and why. A row is written in the transaction of what it tells of."""

from typing import NamedTuple

from msgsvc.storage.base import Transaction
from msgsvc.times import stored


class Actor(NamedTuple):
    """By which way something is done (``api``, ``command line``, ``settings`` or ``login``) and when (epoch seconds);
    by which account, where there is one, and in which request."""

    source: str
    now: float
    name: str | None = None
    request_id: str | None = None


def audit(transaction: Transaction, by: Actor, action: str, subject: str | None, reason: str | None = None) -> None:
    """Adds a row, unless one says the same within the last minute."""
    transaction.run(
        "insert_audit_once_a_minute",
        actor=by.name,
        source=by.source,
        action=action,
        subject=subject,
        reason=reason,
        request_id=by.request_id,
        at=stored(by.now),
        minute_ago=stored(by.now - 60),
    )


class Look(NamedTuple):
    """What an admin looked at: what is about one person, or the conversation of two."""

    action: str
    subject: str | None = None
    participants: tuple[str, str] | None = None
    reason: str | None = None


def audit_look(transaction: Transaction, by: Actor, look: Look) -> None:
    """Adds a row for every look."""
    participant_a, participant_b = look.participants or (None, None)
    transaction.run(
        "insert_audit",
        actor=by.name,
        source=by.source,
        action=look.action,
        subject=look.subject,
        participant_a=participant_a,
        participant_b=participant_b,
        reason=look.reason,
        request_id=by.request_id,
        at=stored(by.now),
    )
