"""The commands that maintain the database: migrate, check, backup and copy."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgsvc.cli.options import UsageError, existing, existing_database, say, settings
from msgsvc.storage.base import StorageError
from msgsvc.storage.copying import copy as copy_tables
from msgsvc.storage.engines import Engine, engine_for, is_uri


class FaultsFoundError(Exception):
    """The database has faults."""


def migrate(options: argparse.Namespace) -> None:
    """Prints the name of each migration that it applies, and of each object that it restores."""
    path = settings(options).database
    if path == ":memory:":
        raise UsageError("--database: a :memory: database is always new, so there is nothing to migrate")
    for name in engine_for(path).migrate(path, settings(options).display_name_column) or ["nothing to do"]:
        say(name)


def check(options: argparse.Namespace) -> None:
    """Prints a line for each fault, or ok. Raises FaultsFoundError."""
    database = existing_database(options)
    engine = engine_for(database)
    _require_sound(engine, database)
    say("ok")


def backup(options: argparse.Namespace) -> None:
    """Prints the path of the copy once it is complete and verified."""
    if is_uri(options.destination):
        raise UsageError("the destination of a backup is a file; msgsvc copy fills another database")
    database = existing_database(options)
    engine = engine_for(database)
    with _named_in_errors(engine.shown(database)):
        engine.backup(database, options.destination, _show_progress, overwrite=options.overwrite)
    _show_progress("")
    say(options.destination)


def copy(options: argparse.Namespace) -> None:
    """Prints how the destination is named once it holds everything and is verified. Raises FaultsFoundError."""
    if ":memory:" in (options.source, options.destination):
        raise UsageError("a :memory: database is always new and ends with its process; it cannot be copied")
    source, destination = existing(options.source), options.destination
    if source == destination or (not is_uri(destination) and Path(source).resolve() == Path(destination).resolve()):
        raise UsageError("source and destination are the same database")
    from_engine, to_engine = engine_for(source), engine_for(destination)
    names = f"{from_engine.shown(source)} to {to_engine.shown(destination)}"
    with _named_in_errors(names), from_engine.source(source) as tables, to_engine.destination(destination) as copied:
        copy_tables(tables, copied, _show_progress)
    _require_sound(to_engine, destination, "everything was copied; ")
    say(to_engine.shown(destination))


def _require_sound(engine: Engine, database: str, done: str = "") -> None:
    """Prints a line for each fault. Raises FaultsFoundError, which says what has been done already."""
    name = engine.shown(database)
    with _named_in_errors(name):
        faults = list(engine.check(database, _show_progress))
    _show_progress("")
    for fault in faults:
        say(fault)
    if faults:
        raise FaultsFoundError(f"{name}: {done}faults found: {len(faults)}")


def _show_progress(line: str) -> None:
    """Replaces the line on a terminal; prints nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


@contextmanager
def _named_in_errors(name: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise StorageError(error.code, f"{name}: {error}") from error
