"""The tables, indexes, triggers and views of the service: which of them a database lacks, and how they are restored.

A host that rebuilds its table users or messages (SQLite's twelve steps, Alembic's batch mode, a Django migration) drops
the triggers and indexes on it silently.
"""

from contextlib import closing
from functools import cache
from typing import NamedTuple

from msgsvc.storage.base import MigrationError
from msgsvc.storage.sql_files import load_migrations, sql_directory
from msgsvc.storage.sqlite.connection import Connection, split_script
from msgsvc.storage.sqlite.host_tables import columns

NO_DISPLAY_NAME = "username"
_MARK = "username /* display name */"


class _Object(NamedTuple):
    kind: str
    sql: str


_OWN_OBJECTS = (
    "SELECT name, type, sql FROM sqlite_master WHERE name LIKE 'msgsvc~_%' ESCAPE '~' OR name LIKE 'idx~_messages~_%'"
    " ESCAPE '~'"
)


def faults(connection: Connection) -> list[str]:
    """The names of the objects that the database lacks or that differ.

    Indexes without our prefix may differ: a host may have its own under the same name.
    """
    present = _present(connection)
    return [
        name
        for name, wanted in _specified_for(connection).items()
        if name not in present or (present[name] != wanted and name.startswith("msgsvc_"))
    ]


def missing_objects(connection: Connection) -> list[str]:
    """The names of those that restore() can create: not an altered table, whose rows exist nowhere else."""
    present = _present(connection)
    return [name for name in faults(connection) if name not in present or present[name].kind != "table"]


def is_incomplete(connection: Connection, display_name_column: str) -> bool:
    """Whether restore() has something to do; for a database without pending migrations."""
    is_other = display_name_column not in ("", _display_name_column(connection))
    return is_other or bool(missing_objects(connection))


def restore(connection: Connection) -> None:
    """Creates what is missing, in the caller's transaction, and recounts what is derived."""
    specified = _specified_for(connection)
    while missing := missing_objects(connection):
        # Dropping a view drops its triggers, so they are found missing only in the next round.
        for name in missing:
            connection.execute(f"DROP {specified[name].kind} IF EXISTS {name}")
            connection.execute(specified[name].sql)
    column = _display_name_column(connection)
    for statement in split_script((sql_directory("sqlite") / "recount.sql").read_text(encoding="utf-8")):
        connection.execute(_with_display_name(statement, column))


def name_display_column(connection: Connection, display_name_column: str) -> None:
    """Records the column of users that holds the display name; an empty name changes nothing.

    Raises MigrationError where users has no such column.
    """
    if not display_name_column:
        return
    if display_name_column.lower() not in columns(connection, "users"):
        raise MigrationError(f"the table users has no column {display_name_column} (display_name_column)")
    connection.execute("DELETE FROM msgsvc_display_name")
    connection.execute("INSERT INTO msgsvc_display_name (column_name) VALUES (:name)", {"name": display_name_column})


def _display_name_column(connection: Connection) -> str:
    if not columns(connection, "msgsvc_display_name"):
        return NO_DISPLAY_NAME
    rows = connection.execute("SELECT column_name FROM msgsvc_display_name")
    return str(rows[0][0]) if rows else NO_DISPLAY_NAME


def _with_display_name(sql: str, column: str) -> str:
    return sql if column == NO_DISPLAY_NAME else sql.replace(_MARK, f'"{column}"')


def _present(connection: Connection) -> dict[str, _Object]:
    return {name: _Object(kind, sql) for name, kind, sql in connection.execute(_OWN_OBJECTS)}


def _specified_for(connection: Connection) -> dict[str, _Object]:
    column = _display_name_column(connection)
    return {name: _Object(kind, _with_display_name(sql, column)) for name, (kind, sql) in _specified().items()}


@cache
def _specified() -> dict[str, _Object]:
    """What the migrations create in an empty database, in an order in which it can be created."""
    with closing(Connection(":memory:", {}, mode="memory", busy_seconds=0)) as scratch:
        for script in load_migrations("sqlite").values():
            for statement in split_script(script):
                scratch.execute(statement)
        return {name: _Object(kind, sql) for name, kind, sql in scratch.execute(f"{_OWN_OBJECTS} ORDER BY rowid")}
