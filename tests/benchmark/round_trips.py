"""Counts round trips to a PostgreSQL server: a proxy on a Unix socket, which only passes on what it gets."""

import selectors
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
"""The name that libpq looks for in the directory that a URI names as its host."""


class RoundTrips(socketserver.ThreadingUnixStreamServer):
    """A round trip begins when the client sends something after the server has answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, directory: Path, target: Path) -> None:
        self.counted = 0
        self.directory = directory
        self.target = target
        super().__init__(str(directory / SOCKET), _Connection)


class _Connection(socketserver.BaseRequestHandler):
    server: RoundTrips

    def handle(self) -> None:
        with (
            suppress(ConnectionError),
            socket.socket(socket.AF_UNIX) as target,
            selectors.DefaultSelector() as selector,
        ):
            target.connect(str(self.server.target / SOCKET))
            selector.register(self.request, selectors.EVENT_READ, target)
            selector.register(target, selectors.EVENT_READ, self.request)
            sender: object = target
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.request and sender is target:
                        self.server.counted += 1
                    sender = key.fileobj
                    data = key.fileobj.recv(262_144)
                    if not data:
                        return
                    key.data.sendall(data)


@contextmanager
def counting(target: Path) -> Iterator[RoundTrips]:
    """A proxy for the server whose socket is in the target. Its own needs a short path."""
    with tempfile.TemporaryDirectory(prefix="msgsvc-") as directory, RoundTrips(Path(directory), target) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
