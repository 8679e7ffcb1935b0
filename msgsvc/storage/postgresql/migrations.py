"""Brings a database to the present schema, in one transaction and under one lock for all machines."""

import logging
from collections.abc import Mapping
from contextlib import closing

import psycopg
from psycopg import sql

from msgsvc.storage.base import MigrationError
from msgsvc.storage.postgresql import host_tables, schema
from msgsvc.storage.postgresql.connection import Connection, rows
from msgsvc.storage.postgresql.errors import storage_error
from msgsvc.storage.postgresql.uri import connection_string, shown
from msgsvc.storage.sql_files import digest, load_migrations, not_applied

OLDEST_VERSION = 14
LOCK_KEY = 7_164_734_291_820_365_118
"""The advisory lock of all who migrate; any number that nobody else uses."""

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
    connection.begin()
    ((encoding,),) = rows(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        raise MigrationError(f"the database has the encoding {encoding}; msgsvc needs UTF8")
    host_tables.check_users(connection)
    host_tables.refuse_columns_not_filled(connection)
    if not pending(connection, files) and not _is_incomplete(connection, display_name_column):
        schema.refuse_missing_grants(connection)
        return []
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SET LOCAL lock_timeout = 0")
    _lock(connection)
    names = pending(connection, files)
    _stay_in_the_search_path(connection)
    added = host_tables.complete_messages(connection)
    for name in names:
        connection.execute(files[name].encode())
        connection.execute("INSERT INTO msgsvc_migrations (name, digest) VALUES (%s, %s)", (name, digest(files[name])))
    restored = [] if "0001_messages" in names else [f"column {name}" for name in added]
    restored += schema.missing_objects(connection)
    if restored:
        schema.restore(connection)
    _name_display_column(connection, display_name_column)
    connection.execute("COMMIT")
    if restored:
        logger.warning("restored what somebody's DDL dropped, and counted anew: %s", ", ".join(restored))
    return names + [f"restored {name}" for name in restored]


def _is_incomplete(connection: Connection, display_name_column: str) -> bool:
    if schema.missing_objects(connection) or host_tables.lacking_columns(connection):
        return True
    return display_name_column not in ("", *_display_name_column(connection))


def _lock(connection: Connection) -> None:
    (is_locked,) = rows(connection, "SELECT pg_try_advisory_xact_lock(%s)", LOCK_KEY)[0]
    if not is_locked:
        logger.info("waiting for another process that migrates the database")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))


def _stay_in_the_search_path(connection: Connection) -> None:
    """The functions keep this path, whoever calls them; what we create is in its first schema."""
    (schemas,) = rows(connection, "SELECT current_schemas(FALSE)")[0]
    if not schemas:
        raise MigrationError("the search path names no schema that exists")
    path = sql.SQL(", ").join(sql.Identifier(schema) for schema in [*schemas, "pg_temp"])
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(path))


def pending(connection: Connection, files: Mapping[str, str]) -> list[str]:
    """The names of the migrations that the database lacks. Raises MigrationError where it has others."""
    # to_regclass() may remember that there was no table, from before the lock was had.
    is_recorded = rows(
        connection, "SELECT 1 FROM pg_class WHERE relname = 'msgsvc_migrations' AND pg_table_is_visible(oid)"
    )
    applied: dict[str, str] = dict(
        rows(connection, "SELECT name, digest FROM msgsvc_migrations") if is_recorded else ()
    )
    return not_applied(applied, files)


def _display_name_column(connection: Connection) -> list[str]:
    return [name for (name,) in rows(connection, "SELECT column_name FROM msgsvc_display_name")]


def _name_display_column(connection: Connection, display_name_column: str) -> None:
    """Records the column of users that holds the display name; an empty name changes nothing."""
    if not display_name_column:
        return
    if display_name_column not in host_tables.columns_of(connection, "users"):
        raise MigrationError(f"the table users has no column {display_name_column} (display_name_column)")
    connection.execute("UPDATE msgsvc_display_name SET column_name = %s", (display_name_column,))
    connection.execute("SELECT msgsvc_recount()")
