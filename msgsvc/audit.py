"""The audit: who looked at or changed what, when and why. A change and its row are written in one transaction."""

from typing import NamedTuple

from msgsvc.storage.base import Transaction
from msgsvc.times import stored


class Actor(NamedTuple):
    """Who acts: the source (``api``, ``command line``, ``settings`` or ``login``), the time (epoch seconds), and,
    where there are any, the account and the request."""

    source: str
    now: float
    name: str | None = None
    request_id: str | None = None


def audit(transaction: Transaction, by: Actor, action: str, subject: str | None, reason: str | None = None) -> None:
    """Adds a row, unless there is the same one from the last minute."""
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
    """What an admin looked at: a list (with one person as its subject, or none), or the conversation of two people."""

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
