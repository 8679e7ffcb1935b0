"""A server that speaks PostgreSQL's start-up and says that it is an old version; no package of one is to be had."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PROCESS_ID = 7


@contextmanager
def server_of_version(version: str) -> Iterator[str]:
    """The URI of the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, version), daemon=True).start()
        yield f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable&gssencmode=disable"
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, version: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, client.makefile("rb") as received:
                _converse(client, received, version)


def _converse(client: socket.socket, received: "socket.SocketIO", version: str) -> None:
    (length,) = struct.unpack("!I", received.read(4))
    received.read(length - 4)
    parameters = {"server_version": version, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    started = _message(b"R", struct.pack("!I", 0)) + _message(b"K", struct.pack("!II", PROCESS_ID, 0))
    for name, value in parameters.items():
        started += _message(b"S", f"{name}\0{value}\0".encode())
    client.sendall(started + _message(b"Z", b"I"))
    while received.read(1) == b"Q":
        (length,) = struct.unpack("!I", received.read(4))
        answer = "off" if b"transaction_read_only" in received.read(length - 4) else str(PROCESS_ID)
        client.sendall(_row(answer) + _message(b"C", b"SELECT 1\0") + _message(b"Z", b"I"))


def _row(value: str) -> bytes:
    """A result of one column of text."""
    column = struct.pack("!H", 1) + b"column\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
    return _message(b"T", column) + _message(b"D", struct.pack("!HI", 1, len(value)) + value.encode())


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
