"""Clients on plain sockets, which send any bytes, and the server under test with its short deadline."""

import json
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from served import Service

DEADLINE = 4.0
"""The value of msgsvc.serving.connection_limits.REQUEST_SECONDS in the server under test."""

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


def until(condition: Any, seconds: float = 60) -> bool:
    """Waits until the condition holds; False after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def all_received(service: Service) -> bool:
    """Whether the server has read every byte that its clients sent (proc(5), /proc/net/tcp: rx_queue)."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return all(
        queues.endswith(":00000000") for _, local, _, _, queues, *_ in sockets if local.endswith(f":{service.port:04X}")
    )


def connected(stack: ExitStack, service: Service, count: int, sent: bytes) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection((ADDRESS, service.port), timeout=60))
        client.sendall(sent)
        clients.append(client)
    return clients
