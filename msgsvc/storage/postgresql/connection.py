"""One connection whose every wait has a deadline, and the running of named statements on it."""

import re
import time
from collections.abc import Generator, Mapping

import psycopg
from psycopg import generators, sql
from psycopg.abc import RV, PQGen
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import TextLoader

from msgsvc.storage.base import Row, StorageError
from msgsvc.storage.postgresql.errors import storage_error
from msgsvc.storage.postgresql.statements import Statement

_IN_RECOVERY = "0A000"
"""SQLSTATE of a writing transaction that would begin on a standby: feature not supported."""

_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)")
"""A setting in the connection's options, as PostgreSQL's command line takes it."""


class StaleConnectionError(StorageError):
    """A connection that has served before cannot begin a writing transaction. Nothing was written."""


class _FlagDumper(Dumper):
    """A flag of our tables is a number, as in SQLite."""

    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class Connection(psycopg.Connection[Row]):
    """A connection. Every method raises psycopg.Error when the database fails or the deadline passes."""

    is_new = True
    """Whether it has not been used yet."""

    is_ending = False
    """Whether the end of a transaction has been sent whose answer nobody has taken."""

    deadline: float | None = None
    """The monotonic time until which the server must have answered: one that is stopped keeps its sockets open."""

    _settings: tuple[bytes, ...] = ()
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
        options = _OPTION.findall(str(conninfo_to_dict(conninfo)["options"]))
        settings = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, TRUE)").format(name.replace("-", "_"), re.sub(r"\\(.)", r"\1", value))
            for name, value in options
        )
        self._settings = (sql.SQL("SELECT {}").format(settings).as_bytes(self),)

    def beginning(self, mode: bytes) -> tuple[bytes, ...]:
        """The commands that begin a transaction, with the settings of the connection's options."""
        return (b"BEGIN " + mode, *self._settings)

    def begin(self, mode: bytes = b"") -> None:
        """Begins a transaction."""
        self.command(b"; ".join(self.beginning(mode)))

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """See psycopg."""
        if self.deadline is not None and timeout is None:
            timeout = max(0.0, self.deadline - time.monotonic())
        return super().wait(gen, interval, timeout=timeout)

    def settle(self) -> None:
        """Takes the answer to send_rollback()."""
        if self.is_ending:
            self.is_ending = False
            self.wait(generators.fetch_many(self.pgconn))

    def command(self, text: bytes) -> None:
        """Runs a command without parameters and rows. The deadline counts; execute() would take twice the CPU time."""
        self.settle()
        self.pgconn.send_query(text)
        for result in self.wait(generators.execute(self.pgconn)):
            if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)

    def send_rollback(self) -> None:
        """Ends a transaction that has written nothing. The next command takes the answer, so nobody waits for it."""
        self.pgconn.send_query(b"ROLLBACK")
        self.is_ending = True


def rows(connection: Connection, statement: str, *parameters: object) -> list[Row]:
    """The rows of a statement with the driver's placeholders. Raises psycopg.Error."""
    return connection.execute(statement.encode(), parameters).fetchall()


class Snapshot:
    """Runs named statements in a reading transaction. They take no locks; see base.Snapshot."""

    def __init__(self, connection: Connection, statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def _execute(self, name: str, parameters: dict[str, object]) -> psycopg.Cursor[Row]:
        try:
            return self._send(self._statements[name], parameters)
        except psycopg.Error as error:
            raise storage_error(error) from error

    def _send(self, statement: Statement, parameters: dict[str, object]) -> psycopg.Cursor[Row]:
        return self._connection.execute(statement.command, parameters)

    def all(self, name: str, **parameters: object) -> list[Row]:
        """All rows of the statement."""
        return self._execute(name, parameters).fetchall()

    def first(self, name: str, **parameters: object) -> Row | None:
        """The first row of the statement, or None."""
        return self._execute(name, parameters).fetchone()

    def one(self, name: str, **parameters: object) -> Row:
        """The only row of a statement that always gives one."""
        (row,) = self.all(name, **parameters)
        return row

    def each(self, name: str, **parameters: object) -> Generator[Row, None, None]:
        """The rows of the statement."""
        yield from self.all(name, **parameters)


class Transaction(Snapshot):
    """Runs named statements in a writing transaction, with the locks that they begin with.

    It begins with the first statement. What comes before a statement travels with it, in one round trip.
    """

    def __init__(self, connection: Connection, statements: Mapping[str, Statement], mode: bytes) -> None:
        super().__init__(connection, statements)
        self._begin = connection.beginning(mode)

    def _send(self, statement: Statement, parameters: dict[str, object]) -> psycopg.Cursor[Row]:
        begin, self._begin = self._begin, ()
        if not begin and not statement.locks:
            return self._connection.execute(statement.command, parameters)
        try:
            self._connection.settle()
            with self._connection.pipeline():
                for earlier in begin + statement.locks:
                    self._connection.execute(earlier, parameters)
                return self._connection.execute(statement.command, parameters)
        except psycopg.Error as error:
            if begin and (self._connection.closed or error.sqlstate == _IN_RECOVERY):
                self._connection.close()
                if not self._connection.is_new:
                    raise StaleConnectionError("storage_unavailable", "the connection was cut while idle") from error
            raise

    def run(self, name: str, **parameters: object) -> int:
        """Runs the statement; the number of rows it changed."""
        return self._execute(name, parameters).rowcount
