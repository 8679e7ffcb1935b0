"""Clients that send bytes as they are, many at once, to one server with a short deadline."""

import json
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from served import Service

DEADLINE = 2.0
"""What the process under test takes for msgsvc.server.REQUEST_SECONDS."""

ADDRESS = "127.0.0.1"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Served(NamedTuple):
    service: Service
    tokens: dict[str, str]


def answers(raw: bytes) -> list[tuple[int, dict[str, str], Any]]:
    """Status, headers and JSON of every final answer in what was received."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split()[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        raw = rest[length:]
        if status >= 200:
            found.append((status, headers, json.loads(rest[:length])))
    return found


def resources(service: Service) -> tuple[int, int]:
    """Open descriptors, and resident memory in MiB."""
    process = Path(f"/proc/{service.process.pid}")
    memory = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    assert memory
    return sum(1 for _ in (process / "fd").iterdir()), int(memory[1]) // 1024


def until(condition: Any, seconds: float = 20) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def connected(stack: ExitStack, service: Service, count: int, sent: bytes) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection((ADDRESS, service.port), timeout=20))
        client.sendall(sent)
        clients.append(client)
    return clients
