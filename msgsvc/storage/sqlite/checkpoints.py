"""When the write-ahead log (WAL) is checkpointed: often enough to bound it, seldom enough to cost writers little."""

import logging
import shutil
import sqlite3
import time
from pathlib import Path

from msgsvc.storage.base import StorageError
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection

logger = logging.getLogger("msgsvc")

WAL_CHECKPOINT_BYTES = 48 * 1024 * 1024
"""SQLite checkpoints the WAL in the commit that makes it this long, and the calls of that commit wait about 25 ms.
Measured with 16 clients that send without a pause: fewer than one call in a hundred waits. With SQLite's own 1,000
pages one in five would wait 5 ms, and pages that change often would be copied more than once.
"""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""Readers can keep the WAL from restarting. Beyond this length a commit waits for them, BUSY_SECONDS at most."""

CHECKPOINT_RETRY_SECONDS = 10.0
"""Time after a commit has waited for readers without success in which no other commit waits for them."""


def checkpoint_late(connection: Connection) -> None:
    """Lets the WAL grow to WAL_CHECKPOINT_BYTES before a commit of this connection checkpoints it."""
    ((page_bytes,),) = connection.execute("PRAGMA page_size")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_BYTES // page_bytes}")


def checkpoint_whole(connection: Connection) -> None:
    """Writes all that the WAL holds into the database and empties it. Raises StorageError."""
    ((is_blocked, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if is_blocked:
        raise StorageError("storage_unavailable", "readers hold the write-ahead log of the file that was replaced")


class WalBound:
    """Empties the WAL where SQLite's own checkpoints cannot, because there is always a reader."""

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._retry_at = float("-inf")

    def enforce(self, raw: sqlite3.Connection) -> None:
        """To be called between two transactions of the writing connection; it never fails.

        A checkpoint may have to lengthen the database by as much as the WAL holds, so the limit is also the free space
        of the disk.
        """
        try:
            wal_bytes = self._wal.stat().st_size
            is_long = wal_bytes > min(WAL_LIMIT_BYTES, shutil.disk_usage(self._wal.parent).free)
            if not is_long or time.monotonic() < self._retry_at:
                return
            raw.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
            ((is_blocked, *_),) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if is_blocked:
                self._retry_at = time.monotonic() + CHECKPOINT_RETRY_SECONDS
                logger.warning("readers hold the write-ahead log, which is %d bytes long", wal_bytes)
        except (OSError, sqlite3.Error) as error:
            logger.warning("the write-ahead log was not checkpointed: %s", error)
