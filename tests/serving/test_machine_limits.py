"""What the machine allows: open files, processes, address families.

On SQLite: the server does not know the engine.
"""

import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import msgsvc
from raw_clients import HEALTH, connected
from requirements import needs
from served import ANSWER_SECONDS, call, serving, sign_in
from support import API

from msgsvc.serving.connection_limits import BASE_DESCRIPTORS, DESCRIPTORS_PER_THREAD, MINIMUM_CONNECTIONS


def with_limit(option: str) -> tuple[str, ...]:
    return ("sh", "-c", f'ulimit {option}; exec "$@"', "sh")


@pytest.mark.fault
def test_connections_leave_descriptors_for_the_database(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    message = {"recipient": "uma", "content": "Hello"}
    with serving(database_path, *with_limit("-n 256")) as service, ExitStack() as stack:
        first = service.connection()
        stack.callback(first.close)
        assert call(first, "GET", "/healthz").status == 200
        connected(stack, service, 400, HEALTH)
        for _ in range(20):
            assert call(first, "POST", f"{API}/send", message, Authorization=tokens["thea"]).status == 201
            assert call(first, "GET", f"{API}/blocks", Authorization=tokens["uma"]).status == 200
        stack.close()
        assert service.call("GET", "/healthz").status == 200
        assert service.stop() == 0


def test_a_limit_on_open_files_that_leaves_no_room_stops_the_start(tmp_path: Path) -> None:
    command = (*with_limit("-n 70"), sys.executable, "-m", "msgsvc")
    ran = msgsvc("serve", "--port", "0", "--threads", "8", cwd=tmp_path, command=command)
    assert (ran.status, ran.output) == (1, "")
    (line,) = ran.errors.splitlines()
    needed = BASE_DESCRIPTORS + 8 * DESCRIPTORS_PER_THREAD + MINIMUM_CONNECTIONS
    assert f"at least {needed} are needed" in json.loads(line)["message"]
    assert list(tmp_path.iterdir()) == []


CAPABILITIES = "+dac_override,+dac_read_search"
OTHER_USER = (
    "setpriv",
    "--reuid",
    "54321",
    "--clear-groups",
    "--inh-caps",
    CAPABILITIES,
    "--ambient-caps",
    CAPABILITIES,
)


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_processes_for_the_threads_stop_the_start(tmp_path: Path, count: int) -> None:
    """No limit holds for root, so another user starts the service, with the right to read and write root's files."""
    if os.geteuid() != 0:
        pytest.skip("another program of this user may start or end at any time")
    needs("setpriv", "install util-linux")
    command = (*OTHER_USER, "prlimit", f"--nproc={count}", sys.executable, "-m", "msgsvc")
    ran = msgsvc("serve", "--port", "0", cwd=tmp_path, command=command)
    assert (ran.status, ran.output) == (1, "")
    (line,) = ran.errors.splitlines()
    assert "ulimit -u" in json.loads(line)["message"]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_ipv6_wildcard_listens_on_ipv4_too(database_path: str) -> None:
    with serving(database_path, host="::") as service:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, service.port), timeout=ANSWER_SECONDS) as client:
                client.sendall(HEALTH + b"\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
