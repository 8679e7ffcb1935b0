"""Brings a database of any age to the present schema: all pending files of ``sql/migrations`` in one transaction.

A table that a host already has is taken as found; an older ``messages`` table gets the columns it lacks. Nothing of a
host's is ever dropped, and a file that has been applied must never change: its digest is recorded and compared at every
start.
"""

import logging
import re
import time
from contextlib import closing
from pathlib import Path

from msgsvc.storage.base import MigrationError, StorageError
from msgsvc.storage.sql_files import digest, load_migrations, not_applied
from msgsvc.storage.sqlite import host_tables, schema
from msgsvc.storage.sqlite.connection import Connection, inspection_mode, split_script
from msgsvc.storage.sqlite.location import real_path, require_suitable

logger = logging.getLogger("msgsvc")

WAIT_SECONDS = 600.0
"""How long a migration waits for another process, which may be migrating the same file."""

PAUSE_SECONDS = 0.05
"""Pause between two attempts: SQLite fails at once where waiting would be a deadlock."""

SILENT_SECONDS = 0.5
"""How long a migration waits before it logs that it does."""

LOCK_SECONDS = 0.25
"""Lock timeout of one attempt. Python handles no signal before SQLite returns."""

CHECKED_BYTES = 64 * 1024 * 1024
"""A file up to this size is checked for damage at every start, which takes a fraction of a second."""

PAGE_BYTES = 2048
"""The page size of a new file; an existing file keeps its own.

SQLite keeps up to 64 KiB of pages in memory to undo a savepoint, and writes a temporary file beyond. A send changes
more than 15 pages, which fit with 2 KiB and not with 4 KiB. With 1 KiB the inbox is slower (measured).
"""

_SUPERSEDED_FILL = re.compile(r"^INSERT INTO msgsvc_conversations\b", flags=re.MULTILINE)
"""Migration 0002 fills the summaries and fails on rows without a name; sql/sqlite/recount.sql fills them now."""


def migrate(path: str, display_name_column: str = "") -> list[str]:
    """Applies what is pending and restores what a host's DDL dropped; a line for each, none if there was nothing to do.

    ``display_name_column`` is the setting; where it is empty, the column named last stays.
    Raises MigrationError having changed nothing, OSError where a missing file cannot be created.
    A new file is for its owner alone to read.
    """
    files = load_migrations("sqlite")
    file = real_path(path)
    try:
        require_suitable(file)
        if not Path(file).exists():
            Path(file).touch(mode=0o600)
        return _migrate_patiently(file, files, display_name_column)
    except (MigrationError, StorageError) as error:
        raise MigrationError(f"{path}: {error}") from error


def _migrate_patiently(path: str, files: dict[str, str], display_name_column: str) -> list[str]:
    """Repeats the attempt while another process holds a lock: each changes everything or nothing."""
    began = time.monotonic()
    has_warned = False
    while True:
        try:
            return _migrate(path, files, display_name_column)
        except StorageError as error:
            waited = time.monotonic() - began
            if error.code != "storage_busy" or waited > WAIT_SECONDS:
                raise
        if waited > SILENT_SECONDS and not has_warned:
            logger.warning("the migration of %s waits for the lock of another process", path)
            has_warned = True
        time.sleep(PAUSE_SECONDS)


def _migrate(path: str, files: dict[str, str], display_name_column: str) -> list[str]:
    _refuse_damaged(path)
    with closing(Connection(path, {}, mode="rw", busy_seconds=LOCK_SECONDS)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        host_tables.refuse_columns_not_filled(connection)
        done: list[str] = []
        if pending(connection, files) or schema.is_incomplete(connection, display_name_column):
            done = _bring_up(connection, files, display_name_column)
        _make_ready(connection)
    return done


def _bring_up(connection: Connection, files: dict[str, str], display_name_column: str) -> list[str]:
    """In one transaction: the pending migrations, what a host's DDL dropped, and the recount of what is derived."""
    connection.execute("BEGIN EXCLUSIVE")
    names = pending(connection, files)
    is_new = "0001_messages" in names
    if is_new:
        host_tables.check_users(connection)
    added = host_tables.complete_messages(connection, files["0001_messages"])
    restored = [] if is_new else [f"column {name}" for name in added]
    _apply(connection, names, files)
    if not names:
        restored += schema.missing_objects(connection)
    schema.name_display_column(connection, display_name_column)
    schema.restore(connection)
    connection.execute("COMMIT")
    if restored:
        logger.warning("restored what a host's DDL had dropped, and recounted the summaries: %s", ", ".join(restored))
    return names + [f"restored {name}" for name in restored]


def require_ready(path: str) -> None:
    """Prepares a file that has replaced an open database, without applying a migration.

    Raises MigrationError or StorageError where it is not usable.
    """
    _refuse_damaged(path)
    with closing(Connection(path, {}, mode="rw", busy_seconds=0)) as connection:
        if pending(connection):
            raise MigrationError(f"{path} has an older schema; run msgsvc migrate")
        _make_ready(connection)


def _make_ready(connection: Connection) -> None:
    _refuse_read_only(connection)
    if connection.execute("PRAGMA journal_mode") != [("wal",)]:
        connection.execute("PRAGMA journal_mode = WAL")


def _refuse_damaged(path: str) -> None:
    with closing(Connection(path, {}, mode=inspection_mode(path), busy_seconds=LOCK_SECONDS)) as connection:
        ((pages,),) = connection.execute("PRAGMA page_count")
        ((page_size,),) = connection.execute("PRAGMA page_size")
        if pages * page_size <= CHECKED_BYTES:
            ((finding,),) = connection.execute("PRAGMA quick_check(1)")
            if finding != "ok":
                raise MigrationError(f"the database is damaged: {finding}; restore a backup")


def _refuse_read_only(connection: Connection) -> None:
    """Writes without changing a row, so that the start fails and not the first send. Waits for nobody's lock."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("UPDATE msgsvc_migrations SET name = name WHERE FALSE")
    except StorageError as error:
        if error.code != "storage_busy":
            raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000:.0f}")


def _apply(connection: Connection, names: list[str], files: dict[str, str]) -> None:
    for name in names:
        for statement in split_script(files[name]):
            if not _SUPERSEDED_FILL.search(statement):
                connection.execute(statement)
        connection.execute(
            "INSERT INTO msgsvc_migrations (name, digest) VALUES (:name, :digest)",
            {"name": name, "digest": digest(files[name])},
        )


def pending(connection: Connection, files: dict[str, str] | None = None) -> list[str]:
    """The names of the migrations that the database lacks. Raises MigrationError where it has others."""
    files = files or load_migrations("sqlite")
    recorded = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'msgsvc_migrations'")
    applied: dict[str, str] = dict(connection.execute("SELECT name, digest FROM msgsvc_migrations") if recorded else ())
    return not_applied(applied, files)
