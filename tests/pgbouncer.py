"""PgBouncer in transaction mode, in front of a test server."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from deployment import free_port
from psycopg.conninfo import conninfo_to_dict
from requirements import needs
from served import wait_until

SERVER_SESSIONS = 3
"""Fewer than the clients' connections, so that they take turns."""


@contextmanager
def pgbouncer(uri: str, directory: Path) -> Iterator[str]:
    """The URI by which the same database is reached through PgBouncer."""
    program = needs("pgbouncer", "apt-get install pgbouncer")
    port, server = free_port(), conninfo_to_dict(uri)
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(f"""
        [databases]
        * = host={server["host"]} port={server.get("port", 5432)} user={server["user"]}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = {SERVER_SESSIONS}
        max_client_conn = 200
        server_login_retry = 1
        ignore_startup_parameters = options
    """)
    # It refuses to run as root, and the test server's socket is open to its owner alone.
    owner = Path(server["host"]).owner() if server["host"].startswith("/") else "nobody"
    user = ("--user", owner) if os.geteuid() == 0 else ()
    command = [program, "--quiet", *user, str(configuration)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(port))
            options = f"?options={quote(server['options'])}" if "options" in server else ""
            yield f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}{options}"
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
