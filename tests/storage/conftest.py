"""Fixtures of the storage tests."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from notes import SCHEMA, STATEMENTS
from old_databases import schema
from requirements import unavailable
from storage_faults import Disk

from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.storage.sqlite.storage import SqliteStorage


@pytest.fixture
def storage(database_path: str) -> Iterator[SqliteStorage]:
    """A table of notes; the foreign key to the author is checked at the commit."""
    migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(SCHEMA)
    database = SqliteStorage(database_path, STATEMENTS)
    yield database
    database.close()


@pytest.fixture(scope="module")
def fresh_schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = str(tmp_path_factory.mktemp("fresh") / "messages.db")
    migrate(path)
    return schema(path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        unavailable("only root may mount a file system")
    disk = Disk(tmp_path / "disk")
    disk.directory.mkdir()
    try:
        disk.mount("size=2m")
    except subprocess.CalledProcessError as error:
        unavailable(f"a file system cannot be mounted here: {error.stderr!r}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.directory)], check=True)
