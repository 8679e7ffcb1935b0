"""The SQL of the service: where its files are and how named statements are read from them.

A statement begins with ``-- name: verb_noun`` and ends where the next one begins.
"""

import re
from pathlib import Path

_NAME_LINE = re.compile(r"-- name: ([a-z][a-z_]*)")


class SqlFilesError(Exception):
    """The SQL files are missing or malformed: the installation is broken, not the request."""


def sql_directory() -> Path:
    """The directory with ``migrations/`` and ``queries/``: inside the installed package, else beside the checkout.

    Raises SqlFilesError where it is in neither place.
    """
    package = Path(__file__).parent
    for candidate in (package / "sql", package.parent / "sql"):
        if (candidate / "migrations" / "0001_messages.sql").is_file():
            return candidate
    raise SqlFilesError(f"the SQL files of msgsvc are neither in {package} nor beside it; install it again")


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
