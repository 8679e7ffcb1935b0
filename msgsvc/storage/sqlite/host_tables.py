"""The tables users and messages where a host already has them: what they must offer, and the columns they lack."""

from contextlib import closing
from typing import NamedTuple

from msgsvc.storage import host_columns
from msgsvc.storage.base import MigrationError
from msgsvc.storage.sqlite.connection import Connection, split_script


class Column(NamedTuple):
    """A column of a table; its place in the primary key, or 0."""

    kind: str
    default: str | None
    is_required: int
    key: int


def columns(connection: Connection, table: str) -> dict[str, Column]:
    """The columns by lower-case name; empty where there is no such table."""
    rows = connection.execute(
        'SELECT name, type, dflt_value, "notnull", pk FROM pragma_table_info(:table)', {"table": table}
    )
    return {name.lower(): Column(*rest) for name, *rest in rows}


def check_users(connection: Connection) -> None:
    """Raises MigrationError where a host's table cannot be used as it is."""
    present = columns(connection, "users")
    if not present:
        return
    host_columns.require("users", host_columns.ACCOUNT_COLUMNS, present)
    unique_indexes = connection.execute(
        "SELECT group_concat(lower(column.name)) FROM pragma_index_list('users') AS list, "
        'pragma_index_info(list.name) AS column WHERE list."unique" AND NOT list.partial GROUP BY list.name'
    )
    if ("username",) not in unique_indexes:
        raise MigrationError(host_columns.NAMES_MAY_REPEAT)


def complete_messages(connection: Connection, first_migration: str) -> list[str]:
    """Adds the columns that the table of a host lacks, and returns their names.

    Raises MigrationError where one is missing that cannot be added.
    """
    present = columns(connection, "messages")
    if not present:
        return []
    host_columns.require("messages", host_columns.IDENTITY_COLUMNS, present)
    keys = [(name, column.kind.upper()) for name, column in present.items() if column.key]
    if keys != [("id", "INTEGER")]:
        raise MigrationError("the table messages must have id as its INTEGER PRIMARY KEY")
    lacking = {name: column for name, column in _specified_columns(first_migration).items() if name not in present}
    for name, column in lacking.items():
        constant = f"DEFAULT {column.default}" if column.default and column.default != "CURRENT_TIMESTAMP" else ""
        connection.execute(f"ALTER TABLE messages ADD COLUMN {name} {column.kind} {constant}")
        source = host_columns.FILLED_FROM.get(name)
        if source in present:
            value = f"{source} IS NOT NULL" if name == "is_read" else source
            connection.execute(f"UPDATE messages SET {name} = {value}")
    return list(lacking)


def _specified_columns(first_migration: str) -> dict[str, Column]:
    with closing(Connection(":memory:", {}, mode="memory", busy_seconds=0)) as scratch:
        for statement in split_script(first_migration):
            scratch.execute(statement)
        return columns(scratch, "messages")


def refuse_columns_not_filled(connection: Connection) -> None:
    """Raises MigrationError naming a column that makes every send fail."""
    present = columns(connection, "messages").items()
    host_columns.require_filled(
        name for name, column in present if column.is_required and column.default is None and not column.key
    )
