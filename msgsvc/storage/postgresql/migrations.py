"""Brings a database to the present schema, in one transaction and under one lock for all machines."""

import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import closing

import psycopg
from psycopg import sql

from msgsvc.storage.base import MigrationError, Row
from msgsvc.storage.postgresql import schema
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import storage_error
from msgsvc.storage.postgresql.uri import connection_string, shown
from msgsvc.storage.sql_files import load_migrations

OLDEST_VERSION = 14
LOCK_KEY = 7_164_734_291_820_365_118
"""The advisory lock of all who migrate; any number that nobody else uses."""

_IDENTITY_COLUMNS = {"id", "sender_username", "recipient_username", "content"}
_FILLED_FROM = {"sent_at": "created_at", "created_at": "sent_at", "is_read": "read_at"}

logger = logging.getLogger("msgsvc")


def migrate(uri: str, display_name_column: str = "") -> list[str]:
    """Applies what is pending and restores what a host's DDL dropped; a line for each, none where nothing was to do.

    ``display_name_column`` is the setting; where it is empty, the column named last stays.
    Raises MigrationError having changed nothing.
    """
    files = load_migrations("postgresql")
    conninfo = connection_string(uri)
    try:
        with closing(Connection.open(conninfo)) as connection:
            return _migrate(connection, files, display_name_column)
    except psycopg.Error as error:
        raise MigrationError(f"{shown(uri)}: {storage_error(error)}") from error
    except MigrationError as error:
        raise MigrationError(f"{shown(uri)}: {error}") from error


def _migrate(connection: Connection, files: Mapping[str, str], display_name_column: str) -> list[str]:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise MigrationError(f"the server is PostgreSQL {version}; msgsvc needs {OLDEST_VERSION} or newer")
    if not pending(connection, files) and not _is_incomplete(connection, display_name_column):
        return []
    connection.execute("BEGIN")
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SET LOCAL lock_timeout = 0")
    _lock(connection)
    names = pending(connection, files)
    _stay_in_the_search_path(connection)
    if "0001_messages" in names:
        _check_users(connection)
        _complete_messages(connection, files["0001_messages"])
    for name in names:
        connection.execute(files[name].encode())
        connection.execute("INSERT INTO msgsvc_migrations (name, digest) VALUES (%s, %s)", (name, _digest(files[name])))
    restored = schema.missing_objects(connection)
    if restored:
        schema.restore(connection)
    _name_display_column(connection, display_name_column)
    connection.execute("COMMIT")
    if restored:
        logger.warning("restored what somebody's DDL dropped, and counted anew: %s", ", ".join(restored))
    return names + [f"restored {name}" for name in restored]


def _is_incomplete(connection: Connection, display_name_column: str) -> bool:
    if schema.missing_objects(connection):
        return True
    return display_name_column not in ("", *_display_name_column(connection))


def _lock(connection: Connection) -> None:
    (is_locked,) = _rows(connection, "SELECT pg_try_advisory_xact_lock(%s)", LOCK_KEY)[0]
    if not is_locked:
        logger.info("waiting for another process that migrates the database")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))


def _stay_in_the_search_path(connection: Connection) -> None:
    """The functions keep this path, whoever calls them; what we create is in its first schema."""
    (schemas,) = _rows(connection, "SELECT current_schemas(FALSE)")[0]
    if not schemas:
        raise MigrationError("the search path names no schema that exists")
    path = sql.SQL(", ").join(sql.Identifier(schema) for schema in [*schemas, "pg_temp"])
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(path))


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def pending(connection: Connection, files: Mapping[str, str]) -> list[str]:
    """The names of the migrations that the database lacks. Raises MigrationError where it has others."""
    # to_regclass() may remember that there was no table, from before the lock was had.
    is_recorded = _rows(
        connection, "SELECT 1 FROM pg_class WHERE relname = 'msgsvc_migrations' AND pg_table_is_visible(oid)"
    )
    applied: dict[str, str] = dict(
        _rows(connection, "SELECT name, digest FROM msgsvc_migrations") if is_recorded else ()
    )
    for name, digest in applied.items():
        if name not in files:
            raise MigrationError(f"the database has migration {name} of a newer msgsvc; install that version")
        if digest != _digest(files[name]):
            raise MigrationError(f"migration {name} is not the one that was applied to the database")
    return [name for name in files if name not in applied]


def _rows(connection: Connection, statement: str, *parameters: object) -> list[Row]:
    return connection.execute(statement.encode(), parameters).fetchall()


def _display_name_column(connection: Connection) -> list[str]:
    return [name for (name,) in _rows(connection, "SELECT column_name FROM msgsvc_display_name")]


def _name_display_column(connection: Connection, display_name_column: str) -> None:
    """Records the column of users that holds the display name; an empty name changes nothing."""
    if not display_name_column:
        return
    if display_name_column not in columns_of(connection, "users"):
        raise MigrationError(f"the table users has no column {display_name_column} (display_name_column)")
    connection.execute("UPDATE msgsvc_display_name SET column_name = %s", (display_name_column,))
    connection.execute("SELECT msgsvc_recount()")


def columns_of(connection: Connection, table: str) -> dict[str, str]:
    """The type of each column, by name; empty where there is no table."""
    return dict(
        _rows(
            connection,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            table,
        )
    )


def _is_unique(connection: Connection, table: str, column: str) -> bool:
    return bool(
        _rows(
            connection,
            "SELECT 1 FROM pg_index AS i"
            " INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = to_regclass(%s) AND a.attname = %s"
            " AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL",
            table,
            column,
        )
    )


def _check_users(connection: Connection) -> None:
    columns = columns_of(connection, "users")
    if not columns:
        return
    missing = {"username", "role"} - columns.keys()
    if missing:
        raise MigrationError(f"the table users lacks the column {' and '.join(sorted(missing))}")
    if not _is_unique(connection, "users", "username"):
        raise MigrationError("the table users must have username as its PRIMARY KEY or UNIQUE")


def _complete_messages(connection: Connection, first_migration: str) -> None:
    columns = columns_of(connection, "messages")
    if not columns:
        return
    missing = _IDENTITY_COLUMNS - columns.keys()
    if missing:
        raise MigrationError(f"the table messages lacks the column {' and '.join(sorted(missing))}")
    if columns["id"] not in ("integer", "bigint") or not _is_unique(connection, "messages", "id"):
        raise MigrationError("the table messages must have id as its integer or bigint PRIMARY KEY")
    for name, (kind, default) in _specified_columns(first_migration).items():
        if name in columns:
            continue
        connection.execute(f"ALTER TABLE messages ADD COLUMN {name} {kind}".encode())
        source = _FILLED_FROM.get(name)
        if source in columns:
            value = f"({source} IS NOT NULL)::integer" if name == "is_read" else source
            connection.execute(f"UPDATE messages SET {name} = {value}".encode())
        if default:
            connection.execute(f"ALTER TABLE messages ALTER COLUMN {name} SET DEFAULT {default}".encode())


def _specified_columns(first_migration: str) -> dict[str, tuple[str, str]]:
    """Type and default of each column that messages has in a new database and a host's may lack."""
    (table,) = re.findall(r"CREATE TABLE IF NOT EXISTS messages \(\n(.*?)\n\);", first_migration, flags=re.DOTALL)
    columns = re.findall(r"^ +(\w+) (\w+)(?: DEFAULT (\S+?))?,?$", table, flags=re.MULTILINE)
    return {name: (kind, default) for name, kind, default in columns}
