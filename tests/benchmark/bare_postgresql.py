"""The measure on PostgreSQL: the bare application, with one statement on the database for each request.

``python -m tests.benchmark.bare_postgresql THREADS URI``. A GET selects a message by its id, any other method inserts a
row. Each is a transaction of its own in one round trip, over the connections and the pool of msgsvc.
"""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgsvc.storage.postgresql.connection import Connection
from msgsvc.storage.postgresql.pool import Pool
from msgsvc.storage.postgresql.uri import connection_string

from . import bare

CONNECTIONS = 16
CONTENT = "x" * 60


def application_on(uri: str) -> Callable[..., Iterable[bytes]]:
    """The bare application on the database."""
    conninfo = connection_string(uri)
    pool = Pool(CONNECTIONS, lambda deadline: Connection.open(conninfo, deadline))

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        connection = pool.take(time.monotonic() + 4)
        if environ["REQUEST_METHOD"] == "GET":
            connection.execute("SELECT content FROM messages WHERE id = %(id)s", {"id": 1}).fetchone()
        else:
            connection.execute("INSERT INTO bare (content) VALUES (%(content)s)", {"content": CONTENT})
        pool.give_back(connection)
        return bare.application(environ, start_response)

    return application


if __name__ == "__main__":
    bare.serve(application_on(sys.argv[2]), int(sys.argv[1]))
