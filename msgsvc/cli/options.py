"""What a command takes from its options: the settings, the application, the database file."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgsvc.app import App, build_app
from msgsvc.settings import Settings
from msgsvc.storage.engines import is_uri

SERVE_OPTIONS = ("host", "port", "threads", "log_format")
"""The settings that `serve` takes as options too."""


class UsageError(Exception):
    """The command line is wrong."""


def say(*fields: object) -> None:
    """Prints a line of fields, separated by tabs, to standard output. Raises OSError if it cannot be written."""
    with _standard_output_in_errors():
        print(*fields, sep="\t", flush=True)


def flush_output() -> None:
    """Writes what argparse has printed. Raises OSError."""
    with _standard_output_in_errors():
        sys.stdout.flush()


@contextmanager
def _standard_output_in_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def settings(options: argparse.Namespace) -> Settings:
    """The settings of the environment, overridden by the options."""
    given = {name: getattr(options, name, None) for name in ("database", *SERVE_OPTIONS)}
    return Settings.from_environ(os.environ, **given)


@contextmanager
def opened(options: argparse.Namespace, build: Callable[[Settings], App] = build_app) -> Iterator[App]:
    """The application, closed at the end of the block."""
    app = build(settings(options))
    try:
        yield app
    finally:
        app.close()


def existing_database(options: argparse.Namespace) -> str:
    """The database of the settings. Raises FileNotFoundError where there is no file."""
    return existing(settings(options).database)


def existing(database: str) -> str:
    """The database. Raises FileNotFoundError where it is a file that is not there."""
    if not is_uri(database) and not Path(database).is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such database", database)
    return database
