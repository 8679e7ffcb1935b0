"""Which engine serves a database, and what it can do besides storing: migrate, check, back up, copy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from msgsvc.storage.base import MigrationError, Progress, Storage
from msgsvc.storage.copying import Destination, Tables, copy
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite.backup import backup, new_file
from msgsvc.storage.sqlite.check import check
from msgsvc.storage.sqlite.copying import destination, seal, source
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


def is_uri(database: str) -> bool:
    """Whether the database is on a server; else it is a file."""
    return "://" in database


def engine_for(database: str) -> Engine:
    """The engine of a database. Raises MigrationError where no engine serves it."""
    if "dbname=" in database and not is_uri(database):
        raise MigrationError("a PostgreSQL database is given as a URI: postgresql://…")
    if not is_uri(database):
        return SQLITE
    scheme = database.partition("://")[0]
    if scheme not in ("postgresql", "postgres"):
        raise MigrationError(f"the database is a {scheme} URI; msgsvc serves SQLite files and postgresql:// URIs")
    return _postgresql()


def _backup_into_file(uri: str, target: str, progress: Progress, /, *, overwrite: bool) -> None:
    """A SQLite file of everything of ours. See Backup."""
    with new_file(Path(target), overwrite=overwrite) as partial:
        with engine_for(uri).source(uri) as tables, destination(partial) as copied:
            copy(tables, copied, progress)
        seal(partial)


def _postgresql() -> Engine:
    """Loaded where it is needed, because its driver is an extra."""
    try:
        from msgsvc.storage.postgresql import engine  # noqa: PLC0415
    except ImportError:
        raise MigrationError("PostgreSQL needs the extra postgresql: pip install 'msgsvc[postgresql]'") from None
    return Engine(
        engine.open_database,
        engine.migrate,
        engine.check,
        _backup_into_file,
        engine.log_version,
        engine.shown,
        engine.source,
        engine.destination,
    )
