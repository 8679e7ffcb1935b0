"""Where a database file is: its real path, and whether SQLite can work there."""

import mmap
import os
import tempfile
from pathlib import Path

from msgsvc.storage.base import MigrationError

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
"""The field of a line of mountinfo, counted from 0 (proc_pid_mountinfo(5))."""


def real_path(path: str) -> str:
    """The absolute path with every link resolved, as SQLite resolves it: the WAL is beside the file itself."""
    return os.path.realpath(path)


def require_suitable(path: str) -> None:
    """Raises MigrationError where SQLite's write-ahead log cannot work. Changes nothing."""
    if os.fsencode(path) in _mount_points():
        raise MigrationError("only the file is mounted, so its write-ahead log would be lost; mount its directory")
    _require_shared_memory(Path(path).parent)


def _mount_points() -> set[bytes]:
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return set()
    return {_unescape(line.split()[_MOUNT_POINT]) for line in lines}


def _unescape(field: bytes) -> bytes:
    """mountinfo writes blanks and backslashes as octal numbers."""
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        field = field.replace(code, bytes([int(code[1:], 8)]))
    return field


def _require_shared_memory(directory: Path) -> None:
    """A directory in which no file can be created passes here; opening the database fails then."""
    try:
        with tempfile.TemporaryFile(dir=directory) as scratch:
            scratch.truncate(mmap.PAGESIZE)
            can_share = _can_share(scratch.fileno())
    except OSError:
        return
    if not can_share:
        raise MigrationError(
            "the file system cannot share memory between processes, which SQLite's write-ahead log needs"
        )


def _can_share(descriptor: int) -> bool:
    try:
        mmap.mmap(descriptor, mmap.PAGESIZE, flags=mmap.MAP_SHARED).close()
    except OSError:
        return False
    return True
