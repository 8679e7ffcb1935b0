"""The tables, indexes, triggers and views of the service: which of them a database lacks, and how they are restored.

A host that rebuilds its table users or messages drops the triggers, indexes and views on it, or leaves them on the
table that it renamed.
"""

import re
from functools import cache
from typing import NamedTuple

from msgsvc.storage.base import MigrationError
from msgsvc.storage.postgresql.connection import Connection, rows
from msgsvc.storage.sql_files import load_migrations

_CREATE = re.compile(
    r"^CREATE (TABLE|VIEW|INDEX|TRIGGER) (?:IF NOT EXISTS )?((?:msgsvc|idx_messages)_\w+)\b.*?;$",
    flags=re.MULTILINE | re.DOTALL,
)
_BASIS = {"VIEW": r"\bFROM (\w+)", "INDEX": r"\bON (\w+)", "TRIGGER": r"\bON (\w+)"}

_NUMBERED = ("messages", "msgsvc_sessions", "msgsvc_audit")
"""The tables whose ids are drawn from a sequence."""

_PRESENT = """
SELECT relname::text, '' FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)
UNION
SELECT i.relname::text, t.relname::text
FROM pg_index AS x
INNER JOIN pg_class AS i ON i.oid = x.indexrelid
INNER JOIN pg_class AS t ON t.oid = x.indrelid
WHERE pg_table_is_visible(t.oid) AND x.indisvalid
UNION
SELECT g.tgname::text, t.relname::text
FROM pg_trigger AS g
INNER JOIN pg_class AS t ON t.oid = g.tgrelid
WHERE pg_table_is_visible(t.oid) AND g.tgenabled <> 'D'
UNION
SELECT v.relname::text, t.relname::text
FROM pg_rewrite AS r
INNER JOIN pg_class AS v ON v.oid = r.ev_class
INNER JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
INNER JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
WHERE pg_table_is_visible(v.oid) AND pg_table_is_visible(t.oid)
"""
"""The name of each object and of the table that it is on; of a view, of each table that it reads."""


_NOT_GRANTED = """
SELECT relname::text
FROM pg_class
WHERE relkind IN ('r', 'v')
    AND pg_table_is_visible(oid)
    AND (relname IN ('users', 'messages') OR starts_with(relname, 'msgsvc_'))
    AND NOT (
        has_table_privilege(oid, 'SELECT')
        AND (
            relname = 'users'
            OR relkind = 'v'
            OR (
                has_table_privilege(oid, 'INSERT')
                AND has_table_privilege(oid, 'UPDATE')
                AND has_table_privilege(oid, 'DELETE')
            )
        )
    )
ORDER BY relname
"""
"""The tables and views that the role may not use; of a host's users it must read only."""


class _Object(NamedTuple):
    kind: str
    basis: str
    sql: str


def missing_objects(connection: Connection) -> list[str]:
    """The names of the objects that the database lacks, or has disabled or on another table."""
    present = set(connection.execute(_PRESENT.encode()).fetchall())
    return [name for name, wanted in _specified().items() if (name, wanted.basis) not in present]


def refuse_missing_grants(connection: Connection) -> None:
    """Raises MigrationError naming the tables that the role may not use: each call would fail."""
    names = [name for (name,) in rows(connection, _NOT_GRANTED)]
    if names:
        raise MigrationError(
            f"the role {connection.info.user} needs SELECT, INSERT, UPDATE and DELETE on {', '.join(names)}"
        )


def restore(connection: Connection) -> None:
    """Creates what is missing, in the caller's transaction, and counts anew what is derived.

    The ids of rows that were copied into a table have not been drawn from its sequence.
    """
    while missing := missing_objects(connection):
        # A view takes those that read it along when it is dropped, so they are missing only then.
        for name in missing:
            kind, basis, sql = _specified()[name]
            on_table = f" ON {basis}" if kind == "TRIGGER" else " CASCADE"
            connection.execute(f"DROP {kind} IF EXISTS {name}{on_table}".encode())
            connection.execute(sql.encode())
    for table in _NUMBERED:
        sequence = f"pg_get_serial_sequence('{table}', 'id')::regclass"
        statement = f"SELECT setval({sequence}, greatest(max(id), pg_sequence_last_value({sequence}))) FROM {table}"
        connection.execute(statement.encode())
    connection.execute("SELECT msgsvc_recount()")


def triggers_of(table: str) -> list[str]:
    """The names of our triggers on a table."""
    return [name for name, (kind, basis, _) in _specified().items() if kind == "TRIGGER" and basis == table]


@cache
def _specified() -> dict[str, _Object]:
    """What the migrations make, in the order in which it can be made."""
    objects = {}
    for script in load_migrations("postgresql").values():
        for match in _CREATE.finditer(script):
            kind, name = match.groups()
            basis = re.search(_BASIS[kind], match[0]) if kind in _BASIS else None
            objects[name] = _Object(kind, basis[1] if basis else "", match[0])
    return objects
