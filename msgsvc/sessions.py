"""Sessions of msgsvc's own accounts: opening one, keeping it alive, ending it."""

from msgsvc.settings import Settings
from msgsvc.storage.base import Storage, Transaction
from msgsvc.tokens import token_hash

SESSIONS_EACH_USER = 20

TOUCHES_EACH_IDLE_LIMIT = 30
"""The idle limit of a session moves in steps of a thirtieth of it, so that most reading calls write nothing."""

CLOCK_TOLERANCE_SECONDS = 60
"""A time that is further in the future was written by a wrong clock and is not believed."""


def open_session(transaction: Transaction, settings: Settings, username: str, token: str, now: float) -> int:
    """The epoch second at which the new session ends at the latest; the oldest session beyond the cap ends."""
    transaction.run(
        "insert_session", token_hash=token_hash(token), username=username, now=int(now), **_limits(settings)
    )
    transaction.run("delete_surplus_sessions", username=username, cap=SESSIONS_EACH_USER)
    return int(now) + settings.session_max_seconds


def live_session(settings: Settings, now: float) -> dict[str, int]:
    """The parameters of select_session: the bounds (epoch seconds) within which a live session began and was used."""
    return {
        "now": int(now),
        "idle_since": int(now) - settings.session_idle_seconds,
        "started_since": int(now) - settings.session_max_seconds,
        "believed_until": int(now) + CLOCK_TOLERANCE_SECONDS,
    }


def is_due_to_prolong(settings: Settings, used_at: int, now: float) -> bool:
    """Whether a thirtieth of the idle limit has passed since the session was prolonged."""
    return now - used_at >= settings.session_idle_seconds / TOUCHES_EACH_IDLE_LIMIT


def prolong_session(transaction: Transaction, settings: Settings, session_id: int | None, now: float) -> None:
    """Moves the idle limit of a session that is still alive."""
    transaction.run("update_session_used", id=session_id, now=int(now), **_limits(settings))


def shorten_sessions(database: Storage, settings: Settings) -> None:
    """Shortens existing sessions to what the settings allow; a later start with longer limits lengthens none."""
    with database.read() as snapshot:
        is_due = snapshot.first("select_longer_sessions", **_limits(settings))
    if is_due:
        database.write(lambda transaction: transaction.run("update_longer_sessions", **_limits(settings)))


def delete_ended_sessions(database: Storage, now: float) -> None:
    """Deletes the ended sessions, so that none becomes valid again. Writes only where there is one."""
    times = {"now": int(now), "believed_until": int(now) + CLOCK_TOLERANCE_SECONDS}
    with database.read() as snapshot:
        is_due = snapshot.first("select_ended_sessions", **times)
    if is_due:
        database.write(lambda transaction: transaction.run("delete_ended_sessions", **times))


def _limits(settings: Settings) -> dict[str, int]:
    return {"idle_seconds": settings.session_idle_seconds, "max_seconds": settings.session_max_seconds}
