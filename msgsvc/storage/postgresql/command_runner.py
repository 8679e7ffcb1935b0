"""Runs commands on a connection, many in one round trip.

It uses libpq through psycopg.pq: a cursor of psycopg costs three times the processor time of a round trip.
"""

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from msgsvc.storage.base import Row
from msgsvc.storage.postgresql.statements import Command

Call = tuple[Command, Mapping[str, object]]
"""A command, and values among which are those of its parameters."""

_ROLLBACK = Command(b"ROLLBACK")


class CommandRunner:
    """The commands of one connection. Each is prepared when it is first used, for the types of its values."""

    can_prepare = True
    """Whether the next command meets what was prepared; a pooler may give it to another session."""

    is_ending = False
    """Whether a rollback has been sent whose answer nobody has taken."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[tuple[bytes, tuple[int, ...] | None], bytes] = {}
        self._unread = 0
        self._round_trips = 0

    def run(self, calls: Iterable[Call]) -> list[PGresult]:
        """Runs the commands in one round trip; the result of each.

        Raises psycopg.Error for the first that fails; then the connection is closed, because the server has skipped
        the others.
        """
        self.is_ending = False
        try:
            places = self._send(calls)
            results = self._connection.wait(_receive(self._pgconn, self._round_trips))
            self._pgconn.exit_pipeline_mode()
        except BaseException:
            self._connection.close()
            raise
        self._unread = self._round_trips = 0
        return [results[place] for place in places]

    def send_rollback(self) -> None:
        """Ends a transaction that has written nothing. The next run takes the answer, so nobody waits for it."""
        self._send([(_ROLLBACK, {})])
        self._pgconn.flush()
        self.is_ending = True

    def rows(self, result: PGresult) -> list[Row]:
        """The rows of a result."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _send(self, calls: Iterable[Call]) -> list[int]:
        """Sends the commands; the place of each one's result among those that are unread."""
        self._pgconn.enter_pipeline_mode()
        places = []
        for command, values in calls:
            self._send_one(command, [values[name] for name in command.parameters])
            places.append(self._unread - 1)
        self._pgconn.pipeline_sync()
        self._round_trips += 1
        return places

    def _send_one(self, command: Command, values: list[object]) -> None:
        parameters = self._transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, formats = self._transformer.types, self._transformer.formats
        self._unread += 1
        if not self.can_prepare:
            self._pgconn.send_query_params(command.text, parameters, types, formats)
            return
        name = self._names.get((command.text, types))
        if name is None:
            name = self._names[command.text, types] = b"msgsvc_%d" % len(self._names)
            self._pgconn.send_prepare(name, command.text, types)
            self._unread += 1
        self._pgconn.send_query_prepared(name, parameters, formats)


def _receive(pgconn: PGconn, round_trips: int) -> PQGen[list[PGresult]]:
    """The results of what was sent in so many round trips."""
    yield from generators.send(pgconn)
    results = []
    while round_trips:
        for result in (yield from generators.fetch_many(pgconn)):
            if result.status == ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
            if result.status == ExecStatus.PIPELINE_SYNC:
                round_trips -= 1
            else:
                results.append(result)
    return results
