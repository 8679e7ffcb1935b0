"""The audit: who looked at or changed what, when and why. A row is written in the transaction of what it tells of."""

from typing import NamedTuple

from msgsvc.storage.base import Transaction
from msgsvc.times import stored


class Actor(NamedTuple):
    """Who acts, when (epoch seconds), and in which request."""

    name: str
    now: float
    request_id: str | None = None


def audit(transaction: Transaction, by: Actor, action: str, subject: str | None, reason: str | None = None) -> None:
    """Adds a row."""
    transaction.run(
        "insert_audit",
        actor=by.name,
        action=action,
        subject=subject,
        reason=reason,
        request_id=by.request_id,
        at=stored(by.now),
    )


def audit_denial(transaction: Transaction, by: Actor, subject: str) -> None:
    """Records that a call for admins was refused, at most once a minute for the same actor and call."""
    transaction.run(
        "insert_audit_of_denial",
        actor=by.name,
        action="admin_denied",
        subject=subject,
        request_id=by.request_id,
        at=stored(by.now),
        minute_ago=stored(by.now - 60),
    )
