"""The command line as other users of the machine see it (`ps`): a password in an option is wiped out of it."""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path

_PASSWORD = re.compile(rb"(?<=://)([^:@/\0]*:)([^@/\0]+)(?=@)|(?<=password=)[^&\s\0]+")


def wipe_passwords(arguments: Sequence[str]) -> None:
    """Overwrites the passwords of URIs among the arguments of this process. On Linux only."""
    if not any("://" in argument for argument in arguments):
        return
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
    except (OSError, IndexError, ValueError):
        return
    if 0 < start < end:
        wiped = _PASSWORD.sub(_crossed_out, ctypes.string_at(start, end - start))
        ctypes.memmove(start, wiped, len(wiped))


def _crossed_out(match: re.Match[bytes]) -> bytes:
    kept = match[1] or b""
    return kept + b"x" * (len(match[0]) - len(kept))
