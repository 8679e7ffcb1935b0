"""The load: keep-alive connections, each of which sends its next request as soon as its answer is complete."""

import gc
import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Address = tuple[str, int]

CONNECTIONS = 16
PATIENCE_SECONDS = 10.0
"""An answer that takes longer counts as an error."""


@dataclass
class Measurement:
    """What one round of load saw. Latencies are seconds, of the answers that were as expected."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    cpu_seconds: float = 0.0
    database_cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def cpu_microseconds(self) -> float:
        """Processor time of the server for one request."""
        return 1e6 * self.cpu_seconds / len(self.latencies) if self.latencies else float("nan")

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the requests did not exceed."""
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))] if ranked else float("nan")


class Connection:
    """One keep-alive connection, and the answer that is arriving on it."""

    def __init__(self, address: Address, source: Address | None = None) -> None:
        """From the source address, where one is given."""
        self._address = address
        self._source = source
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(self._address, PATIENCE_SECONDS, self._source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        self._head = b""
        self._missing = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Reads what has arrived; whether the answer is complete. Raises OSError where the connection ended."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self._missing:
            self._missing -= len(data)
            return self._missing <= 0
        self._head += data
        head_bytes = self._head.find(b"\r\n\r\n") + 4
        if head_bytes < 4:
            return False
        self.status = self._head[9:12]
        self._missing = head_bytes + _content_length(self._head, head_bytes) - len(self._head)
        return self._missing <= 0

    @property
    def ends(self) -> bool:
        """Whether the server will close the connection after this answer."""
        return b"connection: close" in self._head.lower()


def _content_length(head: bytes, head_bytes: int) -> int:
    name = b"\r\nContent-Length: "
    start = head.find(name, 0, head_bytes)
    return int(head[start + len(name) : head.find(b"\r", start + len(name))]) if start >= 0 else 0


def ask(address: Address, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to a single request."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b"".join(iter(lambda: connection.recv(262_144), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def measure(address: Address, requests: Iterable[bytes], status: int, seconds: float) -> Measurement:
    """Sends the requests, in their order, until they or the seconds are over, and awaits every answer."""
    with _collector_off(), selectors.DefaultSelector() as selector:
        load = Load(selector, iter(requests), status)
        started = time.perf_counter()
        for _ in range(CONNECTIONS):
            load.begin(address)
        while load.busy and time.perf_counter() < started + seconds:
            load.step()
        load.drain(PATIENCE_SECONDS)
        load.measured.seconds = load.answered_at - started
        load.close()
    return load.measured


class Load:
    """The connections of one measurement. Each that is busy waits for an answer."""

    def __init__(self, selector: selectors.BaseSelector, requests: Iterator[bytes], status: int) -> None:
        self.measured = Measurement()
        self.busy = 0
        self.answered_at = time.perf_counter()
        self._selector = selector
        self._requests = requests
        self._status = b"%d" % status

    def begin(self, address: Address, source: Address | None = None) -> None:
        connection = Connection(address, source)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._send_next(connection)

    def _send_next(self, connection: Connection) -> None:
        request = next(self._requests, None)
        if request is not None:
            connection.send(request)
            self.busy += 1

    def step(self) -> None:
        """Takes the answers that have arrived and sends the next request on each of those connections."""
        for key, _ in self._selector.select(1.0):
            connection: Connection = key.data
            try:
                if not connection.receive():
                    continue
            except OSError:
                connection.status = b""
            self.answered_at = time.perf_counter()
            self.busy -= 1
            if connection.status == self._status:
                self.measured.latencies.append(self.answered_at - connection.sent_at)
            else:
                self.measured.errors += 1
            if not connection.status or connection.ends:
                self._reopen(connection)
            self._send_next(connection)

    def _reopen(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        connection.open()
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def drain(self, seconds: float) -> None:
        """Awaits the answers that are outstanding; those that do not come are errors."""
        self._requests = iter(())
        deadline = time.perf_counter() + seconds
        while self.busy and time.perf_counter() < deadline:
            self.step()
        self.measured.errors += self.busy

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()


@contextmanager
def _collector_off() -> Iterator[None]:
    """A pause of the load's own garbage collector would look like one of the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
