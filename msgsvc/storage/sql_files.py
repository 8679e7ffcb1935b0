"""The SQL files: where they are, which migrations a database lacks, and how named statements are read.

A statement begins with ``-- name: verb_noun`` and ends where the next one begins.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from msgsvc.storage.base import MigrationError

_NAME_LINE = re.compile(r"-- name: ([a-z][a-z_]*)")


class SqlFilesError(Exception):
    """The SQL files are missing or malformed: the installation is broken, not the request."""


def sql_directory(engine: str) -> Path:
    """An engine's directory with ``migrations/`` and ``queries/``: in the installed package, else beside the checkout.

    Raises SqlFilesError where it is in neither place.
    """
    package = Path(__file__).parent.parent
    for candidate in (package / "sql" / engine, package.parent / "sql" / engine):
        if (candidate / "migrations" / "0001_messages.sql").is_file():
            return candidate
    raise SqlFilesError(f"the SQL files of msgsvc are neither in {package} nor beside it; install it again")


def load_migrations(engine: str) -> dict[str, str]:
    """The text of each migration of an engine, by name, in order.

    Raises SqlFilesError where they are not numbered 0001, 0002, … without a gap.
    """
    paths = sorted((sql_directory(engine) / "migrations").glob("*.sql"))
    if [path.name[:5] for path in paths] != [f"{number:04}_" for number in range(1, len(paths) + 1)]:
        raise SqlFilesError("the migrations are not numbered 0001, 0002, … without a gap")
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def digest(migration: str) -> str:
    """What a database records of a migration's text."""
    return hashlib.sha256(migration.encode()).hexdigest()


def not_applied(applied: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """The names of the migrations that a database lacks, which has recorded the digests of those applied, by name.

    Raises MigrationError where it has others.
    """
    for name, recorded in applied.items():
        if name not in files:
            raise MigrationError(f"the database has migration {name} of a newer msgsvc; install that version")
        if recorded != digest(files[name]):
            raise MigrationError(f"migration {name} is not the one that was applied to the database")
    return [name for name in files if name not in applied]


def load_statements(engine: str) -> dict[str, str]:
    """Every named statement of an engine, by name.

    Raises SqlFilesError; see load().
    """
    return load(sql_directory(engine) / "queries")


def load(directory: Path) -> dict[str, str]:
    """Every named statement of the ``.sql`` files in the directory, by name.

    Raises SqlFilesError for a name given twice, for text that belongs to no statement, and where there is none.
    """
    statements: dict[str, str] = {}
    for path in sorted(directory.glob("*.sql")):
        head, *parts = re.split(r"^(?=-- name:)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if head.strip():
            raise SqlFilesError(f"{path.name}: text before the first '-- name:'")
        for part in parts:
            first_line, _, statement = part.partition("\n")
            match = _NAME_LINE.fullmatch(first_line.strip())
            if match is None or match[1] in statements:
                raise SqlFilesError(f"{path.name}: bad or repeated name in '{first_line.strip()}'")
            statements[match[1]] = statement.strip()
    if not statements:
        raise SqlFilesError(f"no SQL statements in {directory}; install msgsvc again")
    return statements
