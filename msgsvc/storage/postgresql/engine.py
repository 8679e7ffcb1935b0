"""What the engine does with a database besides storing; see storage/engines.py."""

import logging

import psycopg

from msgsvc.storage.base import Storage
from msgsvc.storage.postgresql.check import check
from msgsvc.storage.postgresql.copying import destination, source
from msgsvc.storage.postgresql.migrations import migrate
from msgsvc.storage.postgresql.statements import load
from msgsvc.storage.postgresql.storage import PostgresqlStorage
from msgsvc.storage.postgresql.uri import shown

__all__ = ["check", "destination", "log_version", "migrate", "open_database", "shown", "source"]

logger = logging.getLogger("msgsvc")


def open_database(uri: str, shared: bool, display_name_column: str) -> Storage:  # noqa: ARG001
    """The database, brought to the present schema. Raises MigrationError."""
    migrate(uri, display_name_column)
    return PostgresqlStorage(uri, load())


def log_version() -> None:
    """Logs the versions of the driver and of its client library."""
    logger.info("psycopg %s, libpq %s", psycopg.__version__, psycopg.pq.version_pretty(psycopg.pq.version()))
