"""The two forms of a time: as the database keeps it and as the API shows it (both UTC, whole seconds)."""

import re
import time
from datetime import UTC, datetime, timedelta

_STORED = re.compile(
    r"(\d{4}-\d\d-\d\d)[ Tt](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)?", flags=re.ASCII
)


def stored(epoch_seconds: float) -> str:
    """The form that SQLite's CURRENT_TIMESTAMP has, ``2026-02-05 10:30:45``, so that ours and a host's rows compare."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch_seconds))


def rfc3339(value: object) -> str | None:
    """``2026-02-05T10:30:45Z`` for a stored time: ours, or a host's with ``T``, fractions or an offset.

    A number is read as seconds since the epoch; a value that is no time gives None.
    """
    try:
        if isinstance(value, (int, float)):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            match = _STORED.fullmatch(str(value))
            if match is None:
                return None
            day, clock, sign, hours, minutes = match.groups()
            moment = datetime.fromisoformat(f"{day}T{clock}")
            if sign:
                offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
                moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError, OSError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year >= 1000 else None
