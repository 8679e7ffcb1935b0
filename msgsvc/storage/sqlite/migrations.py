"""Brings a database of any age to the present schema: all pending files of ``sql/migrations`` in one transaction.

A table that a host already has is taken as found; an older ``messages`` table gets the columns it lacks. Nothing is
ever dropped, and a file that has been applied must never change: its digest is recorded and compared at every start.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgsvc.storage.base import MigrationError, StorageError
from msgsvc.storage.sql_files import load_migrations
from msgsvc.storage.sqlite.connection import Connection, inspection_mode, split_script
from msgsvc.storage.sqlite.location import real_path, require_suitable

logger = logging.getLogger("msgsvc")

WAIT_SECONDS = 600.0
"""How long a migration waits for another process, which may be migrating the same file."""

PAUSE_SECONDS = 0.05
"""Between two attempts: SQLite gives up at once where waiting would be a deadlock."""

SILENT_SECONDS = 0.5
"""How long it waits without saying so."""

LOCK_SECONDS = 0.25
"""How long SQLite waits at a time. No signal is heeded meanwhile."""

CHECKED_BYTES = 64 * 1024 * 1024
"""A file up to this size is checked for damage at every start, which takes a fraction of a second."""

PAGE_BYTES = 2048
"""The page size of a new file; an existing file keeps its own.

SQLite keeps up to 64 KiB of pages in memory to undo a savepoint, and writes a temporary file beyond. A send changes
more than 15 pages, which fit with 2 KiB and not with 4 KiB. With 1 KiB the inbox is slower (measured).
"""

_IDENTITY_COLUMNS = {"id", "sender_username", "recipient_username", "content"}
_FILLED_FROM = {"sent_at": "created_at", "created_at": "sent_at", "is_read": "read_at"}


def migrate(path: str) -> list[str]:
    """Applies what is pending; the names of the migrations applied, none where the schema is already present.

    Raises MigrationError having changed nothing, OSError where a missing file cannot be created.
    A new file is for its owner alone to read.
    """
    files = load_migrations("sqlite")
    file = real_path(path)
    try:
        require_suitable(file)
        if not Path(file).exists():
            Path(file).touch(mode=0o600)
        return _migrate_patiently(file, files)
    except (MigrationError, StorageError) as error:
        raise MigrationError(f"{path}: {error}") from error


def _migrate_patiently(path: str, files: dict[str, str]) -> list[str]:
    """Begins again as long as another process holds a lock: each attempt changes everything or nothing."""
    began = time.monotonic()
    has_said_so = False
    while True:
        try:
            return _migrate(path, files)
        except StorageError as error:
            waited = time.monotonic() - began
            if error.code != "storage_busy" or waited > WAIT_SECONDS:
                raise
        if waited > SILENT_SECONDS and not has_said_so:
            logger.warning("%s waits to be migrated until another process gives its lock back", path)
            has_said_so = True
        time.sleep(PAUSE_SECONDS)


def _migrate(path: str, files: dict[str, str]) -> list[str]:
    _refuse_damaged(path)
    with closing(Connection(path, {}, mode="rw", busy_seconds=LOCK_SECONDS)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        applied = _apply(connection, files) if pending(connection, files) else []
        _make_ready(connection)
    return applied


def require_ready(path: str) -> None:
    """Makes a file ready that was put in the place of an open database, and applies no migration.

    Raises MigrationError or StorageError where it is not sound.
    """
    _refuse_damaged(path)
    with closing(Connection(path, {}, mode="rw", busy_seconds=0)) as connection:
        if pending(connection):
            raise MigrationError(f"{path} has not the present schema; run msgsvc migrate")
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


def _apply(connection: Connection, files: dict[str, str]) -> list[str]:
    connection.execute("BEGIN EXCLUSIVE")
    names = pending(connection, files)
    if "0001_messages" in names:
        _check_users(connection)
        _complete_messages(connection, files["0001_messages"])
    for name in names:
        for statement in split_script(files[name]):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO msgsvc_migrations (name, digest) VALUES (:name, :digest)",
            {"name": name, "digest": _digest(files[name])},
        )
    connection.execute("COMMIT")
    return names


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def pending(connection: Connection, files: dict[str, str] | None = None) -> list[str]:
    """The names of the migrations that the database lacks. Raises MigrationError where it has others."""
    files = files or load_migrations("sqlite")
    recorded = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'msgsvc_migrations'")
    applied: dict[str, str] = dict(connection.execute("SELECT name, digest FROM msgsvc_migrations") if recorded else ())
    for name, digest in applied.items():
        if name not in files:
            raise MigrationError(f"the database has migration {name} of a newer msgsvc; install that version")
        if digest != _digest(files[name]):
            raise MigrationError(f"migration {name} is not the one that was applied to the database")
    return [name for name in files if name not in applied]


def _columns(connection: Connection, table: str) -> dict[str, tuple[str, str | None, int]]:
    """Type, default and place in the primary key of each column, by lower-case name; empty where there is no table."""
    rows = connection.execute("SELECT name, type, dflt_value, pk FROM pragma_table_info(:table)", {"table": table})
    return {name.lower(): (kind, default, key) for name, kind, default, key in rows}


def _check_users(connection: Connection) -> None:
    columns = _columns(connection, "users")
    if not columns:
        return
    missing = {"username", "role"} - columns.keys()
    if missing:
        raise MigrationError(f"the table users lacks the column {' and '.join(sorted(missing))}")
    unique_indexes = connection.execute(
        "SELECT group_concat(lower(column.name)) FROM pragma_index_list('users') AS list, "
        'pragma_index_info(list.name) AS column WHERE list."unique" AND NOT list.partial GROUP BY list.name'
    )
    if ("username",) not in unique_indexes:
        raise MigrationError("the table users must have username as its PRIMARY KEY or UNIQUE")


def _complete_messages(connection: Connection, first_migration: str) -> None:
    columns = _columns(connection, "messages")
    if not columns:
        return
    missing = _IDENTITY_COLUMNS - columns.keys()
    if missing:
        raise MigrationError(f"the table messages lacks the column {' and '.join(sorted(missing))}")
    keys = [(name, kind.upper()) for name, (kind, _, key) in columns.items() if key]
    if keys != [("id", "INTEGER")]:
        raise MigrationError("the table messages must have id as its INTEGER PRIMARY KEY")
    for name, (kind, default, _) in _specified_columns(first_migration).items():
        if name in columns:
            continue
        constant = f"DEFAULT {default}" if default and default != "CURRENT_TIMESTAMP" else ""
        connection.execute(f"ALTER TABLE messages ADD COLUMN {name} {kind} {constant}")
        source = _FILLED_FROM.get(name)
        if source in columns:
            value = f"{source} IS NOT NULL" if name == "is_read" else source
            connection.execute(f"UPDATE messages SET {name} = {value}")


def _specified_columns(first_migration: str) -> dict[str, tuple[str, str | None, int]]:
    with _scratch([first_migration]) as scratch:
        return _columns(scratch, "messages")


def missing_objects(connection: Connection) -> list[str]:
    """The tables, indexes, triggers and views of the service that the database lacks or has otherwise."""
    query = "SELECT name, sql FROM sqlite_master WHERE name LIKE 'msgsvc~_%' ESCAPE '~'"
    with _scratch(load_migrations("sqlite").values()) as scratch:
        specified: dict[str, str] = dict(scratch.execute(query))
    present: dict[str, str] = dict(connection.execute(query))
    return [name for name, sql in specified.items() if present.get(name) != sql]


@contextmanager
def _scratch(scripts: Iterable[str]) -> Iterator[Connection]:
    with closing(Connection(":memory:", {}, mode="memory", busy_seconds=0)) as scratch:
        for script in scripts:
            for statement in split_script(script):
                scratch.execute(statement)
        yield scratch
