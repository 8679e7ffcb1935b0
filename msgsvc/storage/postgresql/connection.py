"""One connection, whose every wait has a deadline."""

import re
import time

import psycopg
from psycopg import sql
from psycopg.abc import RV, PQGen
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import TextLoader

from msgsvc.storage.base import Row
from msgsvc.storage.postgresql.command_runner import Call, CommandRunner
from msgsvc.storage.postgresql.statements import Command

_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)")
"""A setting in the connection's options, as PostgreSQL's command line takes it."""


class _FlagDumper(Dumper):
    """A flag of our tables is a number, as in SQLite."""

    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class Connection(psycopg.Connection[Row]):
    """A connection. Every method raises psycopg.Error when the database fails or the deadline passes."""

    is_new = True
    """Whether it has not been used yet."""

    deadline: float | None = None
    """The monotonic time until which the server must have answered: one that is stopped keeps its sockets open."""

    runner: CommandRunner

    _settings: tuple[Command, ...] = ()
    """What each transaction begins with behind a pooler."""

    @classmethod
    def open(cls, conninfo: str, deadline: float | None = None) -> "Connection":
        """A new connection. Raises psycopg.Error."""
        connection = cls.connect(conninfo, autocommit=True)
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_dumper(bool, _FlagDumper)
        # Times stay text in ISO form, whatever a host has stored: Python's have no infinity and no year 10000.
        connection.adapters.register_loader("timestamp", TextLoader)
        connection.adapters.register_loader("timestamptz", TextLoader)
        connection.deadline = deadline
        connection.runner = CommandRunner(connection)
        try:
            connection._adapt_to_pooler(conninfo)
        except BaseException:
            connection.close()
            raise
        return connection

    def _adapt_to_pooler(self, conninfo: str) -> None:
        """A pooler such as PgBouncer may give each transaction another session of the server.

        Then statements prepared before are unknown and the settings of the connection's options are not in force. A
        pooler tells the client another process id than the session has.
        """
        ((session_id,),) = rows(self, "SELECT pg_backend_pid()")
        if session_id == self.info.backend_pid:
            return
        self.prepare_threshold = None
        self.runner.can_prepare = False
        options = _OPTION.findall(str(conninfo_to_dict(conninfo)["options"]))
        settings = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, TRUE)").format(name.replace("-", "_"), re.sub(r"\\(.)", r"\1", value))
            for name, value in options
        )
        self._settings = (Command(sql.SQL("SELECT {}").format(settings).as_bytes(self)),)

    def beginning(self, begin: Command) -> list[Call]:
        """What begins a transaction: the command, and the settings of the connection's options behind a pooler."""
        return [(command, {}) for command in (begin, *self._settings)]

    def begin(self, mode: bytes = b"") -> None:
        """Begins a transaction."""
        self.runner.run(self.beginning(Command(b"BEGIN " + mode)))

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """See psycopg."""
        if self.deadline is not None and timeout is None:
            timeout = max(0.0, self.deadline - time.monotonic())
        return super().wait(gen, interval, timeout=timeout)


def rows(connection: Connection, statement: str, *parameters: object) -> list[Row]:
    """The rows of a statement with the driver's placeholders. Raises psycopg.Error."""
    return connection.execute(statement.encode(), parameters).fetchall()
