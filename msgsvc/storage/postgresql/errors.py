"""Tells PostgreSQL's errors apart by SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html)."""

import psycopg

from msgsvc.storage.base import StorageError

CONFLICTS = {"40001", "40P01"}
"""Serialization failure and deadlock: the transaction was rolled back and may be run again."""

_IN_RECOVERY = "0A000"
"""Feature not supported: a writing transaction would begin on a standby."""

_CODES = {
    "53100": "storage_full",
    "53200": "storage_busy",
    "53300": "storage_busy",
    "55P03": "storage_busy",
    "57014": "storage_busy",
    **dict.fromkeys(CONFLICTS, "storage_busy"),
}


def storage_error(error: psycopg.Error) -> StorageError:
    """The error as the storage interface knows it. Raises a misuse of psycopg, such as a forgotten parameter.

    Only the primary message is kept: a detail may hold the row, and with it the text of a message.
    """
    if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError):
        raise error
    state = error.sqlstate or ""
    text = error.diag.message_primary or " ".join(str(error).split()) or "the server does not answer"
    if _is_refusal(state):
        # The text of a host's trigger may quote a message, and details are logged.
        failure = StorageError("refused_by_host", f"{type(error).__name__} ({state})")
    else:
        detail = f"{text} ({state})" if state else text
        failure = StorageError(_CODES.get(state, "storage_unavailable"), detail)
    failure.__cause__ = error
    return failure


def _is_refusal(state: str) -> bool:
    """Whether a constraint, a column or a trigger of a host refused the values: it may raise a state of its own."""
    if state[:2] in ("22", "23", "P0"):
        return True
    try:
        psycopg.errors.lookup(state)
    except KeyError:
        return state != ""
    return False


def is_conflict(error: StorageError) -> bool:
    """Whether the transaction lost against another and may be run again."""
    return isinstance(error.__cause__, psycopg.Error) and error.__cause__.sqlstate in CONFLICTS


def is_cut(error: psycopg.Error) -> bool:
    """Whether the server has ended the session or does not answer, or has become a standby."""
    state = error.sqlstate
    return state is None or state == _IN_RECOVERY or state.startswith(("08", "57P"))
