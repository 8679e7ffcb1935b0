"""Verifies a database: schema, and the summaries against a full recount."""

from collections.abc import Iterator
from contextlib import closing

import psycopg

from msgsvc.storage.base import Progress
from msgsvc.storage.postgresql import schema
from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.errors import storage_error
from msgsvc.storage.postgresql.migrations import pending
from msgsvc.storage.postgresql.statements import load
from msgsvc.storage.postgresql.uri import connection_string
from msgsvc.storage.sql_files import load_migrations


def check(uri: str, progress: Progress) -> Iterator[str]:
    """A line for each fault: schema, and the summaries against a full recount. Raises StorageError."""
    try:
        with closing(Connection.open(connection_string(uri))) as connection:
            connection.begin(b"ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute("SET LOCAL statement_timeout = 0")
            yield from _faults(connection, progress)
    except psycopg.Error as error:
        raise storage_error(error) from error


def _faults(connection: Connection, progress: Progress) -> Iterator[str]:
    if pending(connection, load_migrations("postgresql")):
        yield "schema: not the present one; run msgsvc migrate"
        return
    for name in schema.missing_objects(connection):
        yield f"schema: {name} is missing or disabled"
    statements = load()
    progress("recounting the summaries")
    for fault, owner, partner in connection.execute(statements["select_conversation_faults"].command.text):
        yield f"summary: {fault}: owner {owner}, partner {partner}"
    progress("recounting the totals")
    for (owner,) in connection.execute(statements["select_mailbox_faults"].command.text):
        yield f"totals: owner {owner}"
