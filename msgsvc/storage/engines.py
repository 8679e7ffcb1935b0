"""Which engine serves a database, and what it can do besides storing: migrate, check, back up, copy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from msgsvc.storage.base import MigrationError, Progress, Storage
from msgsvc.storage.copying import Destination, Tables
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite.backup import backup
from msgsvc.storage.sqlite.check import check
from msgsvc.storage.sqlite.copying import destination, source
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.storage.sqlite.storage import SqliteStorage, log_version


class Backup(Protocol):
    """Copies the database. Raises BackupRefusedError, StorageError or OSError; nothing is left behind then."""

    def __call__(self, database: str, destination: str, progress: Progress, /, *, overwrite: bool) -> None: ...


class Engine(NamedTuple):
    """The functions of one engine; the database and the display name column are the settings of that name."""

    open: Callable[[str, bool, str], Storage]
    migrate: Callable[[str, str], list[str]]
    check: Callable[[str, Progress], Iterator[str]]
    backup: Backup
    log_version: Callable[[], None]
    shown: Callable[[str], str]
    """How the database is named where everybody may read it."""

    source: Callable[[str], AbstractContextManager[Tables]]
    destination: Callable[[str], AbstractContextManager[Destination]]
    """The ends of a copy. The destination gets the present schema, and is committed at the end of the block."""


def _open_sqlite(database: str, shared: bool, display_name_column: str) -> Storage:
    storage = SqliteStorage(database, load_statements("sqlite"), shared=shared)
    migrate(storage.path, display_name_column)
    return storage


SQLITE = Engine(_open_sqlite, migrate, check, backup, log_version, str, source, destination)


def engine_for(database: str) -> Engine:
    """The engine of a database. Raises MigrationError for a URI, which no engine of this version serves."""
    scheme, separator, _ = database.partition("://")
    if separator:
        raise MigrationError(f"the database is a {scheme} URI; this version of msgsvc serves SQLite files")
    if "dbname=" in database:
        raise MigrationError(
            "the database is a PostgreSQL connection string; this version of msgsvc serves SQLite files"
        )
    return SQLITE
