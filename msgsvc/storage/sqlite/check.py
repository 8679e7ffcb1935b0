"""Verifies a database: integrity, foreign keys, schema, and the summaries against a full recount."""

from collections.abc import Iterator
from contextlib import closing

from msgsvc.storage.base import Progress
from msgsvc.storage.sql_files import load_statements
from msgsvc.storage.sqlite import schema
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection, inspection_mode
from msgsvc.storage.sqlite.location import real_path
from msgsvc.storage.sqlite.migrations import pending


def check(path: str, progress: Progress) -> Iterator[str]:
    """A line for each fault: integrity, foreign keys, schema, and the summaries against a full recount.

    Raises StorageError where the file cannot be opened as a database.
    """
    statements = load_statements("sqlite")
    path = real_path(path)
    mode = inspection_mode(path)
    with closing(Connection(path, statements, mode=mode, busy_seconds=BUSY_SECONDS)) as connection:
        connection.execute("BEGIN")
        connection.on_progress(lambda: progress("checking the integrity"))
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"integrity: {line}"
        for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"foreign key: row {rowid} of {table} names no row of {parent}"
        if pending(connection):
            yield "schema: not the present one; run msgsvc migrate"
            return
        for name in schema.faults(connection):
            yield f"schema: {name} is missing or changed"
        connection.on_progress(lambda: progress("recounting the summaries"))
        for fault, owner, partner in connection.all("select_conversation_faults"):
            yield f"summary: {fault}: owner {owner}, partner {partner}"
        for (owner,) in connection.all("select_mailbox_faults"):
            yield f"totals: owner {owner}"
