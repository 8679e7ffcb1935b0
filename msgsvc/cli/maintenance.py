"""The commands that maintain the database: migrate, check and backup."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from msgsvc.cli.options import UsageError, existing_database, say, settings
from msgsvc.storage.base import StorageError
from msgsvc.storage.engines import engine_for


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
    path = existing_database(options)
    with _path_in_errors(path):
        faults = list(engine_for(path).check(path, _show_progress))
    _show_progress("")
    for fault in faults or ["ok"]:
        say(fault)
    if faults:
        raise FaultsFoundError(f"{path}: faults found: {len(faults)}")


def backup(options: argparse.Namespace) -> None:
    """Prints the path of the copy once it is complete and verified."""
    path = existing_database(options)
    with _path_in_errors(path):
        engine_for(path).backup(path, options.destination, _show_progress, overwrite=options.overwrite)
    _show_progress("")
    say(options.destination)


def _show_progress(line: str) -> None:
    """Replaces the line on a terminal; prints nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


@contextmanager
def _path_in_errors(path: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise StorageError(error.code, f"{path}: {error}") from error
