"""The tables users and messages where a host already has them: what they must offer, and the columns they lack."""

import re
from functools import cache

from msgsvc.storage import host_columns
from msgsvc.storage.base import MigrationError
from msgsvc.storage.postgresql.connection import Connection, rows
from msgsvc.storage.sql_files import load_migrations


def columns_of(connection: Connection, table: str) -> dict[str, str]:
    """The type of each column, by name; empty where there is no table."""
    return dict(
        rows(
            connection,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            table,
        )
    )


def _is_unique(connection: Connection, table: str, column: str) -> bool:
    return bool(
        rows(
            connection,
            "SELECT 1 FROM pg_index AS i"
            " INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = to_regclass(%s) AND a.attname = %s"
            " AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL",
            table,
            column,
        )
    )


def missing_columns(connection: Connection) -> list[str]:
    """The columns that calls need and a host has dropped, such as ``messages.subject``."""
    of_messages = lacking_columns(connection)
    of_users = sorted(host_columns.ACCOUNT_COLUMNS - columns_of(connection, "users").keys())
    return [f"messages.{name}" for name in of_messages] + [f"users.{name}" for name in of_users]


def check_users(connection: Connection) -> None:
    """Raises MigrationError where a host's table cannot be used as it is."""
    columns = columns_of(connection, "users")
    if not columns:
        return
    host_columns.require("users", host_columns.ACCOUNT_COLUMNS, columns)
    if not _is_unique(connection, "users", "username"):
        raise MigrationError(host_columns.NAMES_MAY_REPEAT)


def lacking_columns(connection: Connection) -> dict[str, tuple[str, str]]:
    """Type and default of each column that the table messages of a host lacks; none where there is no such table."""
    present = columns_of(connection, "messages")
    specified = _specified_columns() if present else {}
    return {name: column for name, column in specified.items() if name not in present}


def complete_messages(connection: Connection) -> list[str]:
    """Adds the columns that the table of a host lacks, and returns their names.

    Raises MigrationError where one is missing that cannot be added.
    """
    present = columns_of(connection, "messages")
    if not present:
        return []
    host_columns.require("messages", host_columns.IDENTITY_COLUMNS, present)
    if present["id"] not in ("integer", "bigint") or not _is_unique(connection, "messages", "id"):
        raise MigrationError("the table messages must have id as its integer or bigint PRIMARY KEY")
    lacking = lacking_columns(connection)
    for name, (kind, default) in lacking.items():
        connection.execute(f"ALTER TABLE messages ADD COLUMN {name} {kind}".encode())
        source = host_columns.FILLED_FROM.get(name)
        if source in present:
            value = f"({source} IS NOT NULL)::integer" if name == "is_read" else source
            connection.execute(f"UPDATE messages SET {name} = {value}".encode())
        if default:
            connection.execute(f"ALTER TABLE messages ALTER COLUMN {name} SET DEFAULT {default}".encode())
    return list(lacking)


def refuse_columns_not_filled(connection: Connection) -> None:
    """Raises MigrationError naming a column that makes every send fail."""
    statement = (
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('messages') AND attnum > 0"
        " AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = ''"
    )
    host_columns.require_filled(name for (name,) in rows(connection, statement))


@cache
def _specified_columns() -> dict[str, tuple[str, str]]:
    """Type and default of each column that messages has in a new database and a host's may lack."""
    first_migration = load_migrations("postgresql")["0001_messages"]
    (table,) = re.findall(r"CREATE TABLE IF NOT EXISTS messages \(\n(.*?)\n\);", first_migration, flags=re.DOTALL)
    columns = re.findall(r"^ +(\w+) (\w+)(?: DEFAULT (\S+?))?,?$", table, flags=re.MULTILINE)
    return {name: (kind, default) for name, kind, default in columns}
