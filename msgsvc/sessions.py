"""Sessions of msgsvc's own accounts: opening one, and keeping it alive."""

from msgsvc.settings import Settings
from msgsvc.storage.base import Transaction
from msgsvc.tokens import new_token, session_limits, token_hash

SESSIONS_EACH_USER = 20

TOUCHES_EACH_IDLE_LIMIT = 30
"""The idle limit of a session moves in steps of a thirtieth of it, so that most reading calls write nothing."""


def open_session(transaction: Transaction, settings: Settings, username: str, now: float) -> tuple[str, int]:
    """A new token and the epoch second at which it ends at the latest; the oldest session beyond the cap ends."""
    token = new_token()
    transaction.run("insert_session", token_hash=token_hash(token), username=username, now=int(now))
    transaction.run(
        "delete_surplus_sessions", username=username, cap=SESSIONS_EACH_USER, **session_limits(settings, now)
    )
    return token, int(now) + settings.session_max_seconds


def is_due_to_prolong(settings: Settings, used_at: int, now: float) -> bool:
    """Whether the session was last prolonged so long ago that this call writes its time down."""
    return now - used_at >= settings.session_idle_seconds / TOUCHES_EACH_IDLE_LIMIT
