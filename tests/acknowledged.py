"""Writers that send without a pause, and the count of what was acknowledged to them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
from served import START_SECONDS, Service, call
from support import API

WRITERS = 4


class Load:
    """What the writers have been told; the same key is sent again until its answer is 201."""

    def __init__(self, service: Service, token: str, each: int) -> None:
        self._service = service
        self._token = token
        self._each = each
        self._changed = threading.Condition()
        self.acknowledged: dict[int, str] = {}
        """The content of each message, by id."""
        self.refusals = 0

    def write(self, number: int) -> None:
        """One writer."""
        with closing(self._service.connection()) as connection:
            for message in range(self._each):
                self._send(lambda *request, **headers: call(connection, *request, **headers), f"{number}-{message}")

    def _send(self, ask: Callable[..., object], content: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        body = {"recipient": "uma", "content": content}
        while True:
            answer = ask("POST", f"{API}/send", body, Authorization=self._token, Idempotency_Key=content)
            if answer.status == 201:
                break
            assert answer.status == 503, answer
            assert answer.headers["Retry-After"]
            assert time.monotonic() < deadline, answer
            self.refusals += 1
            time.sleep(0.02)
        with self._changed:
            self.acknowledged[answer.json["message_id"]] = content
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Returns once so many messages have been acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= count, START_SECONDS)

    @property
    def total(self) -> int:
        """How many messages the writers send."""
        return WRITERS * self._each


@contextmanager
def under_load(service: Service, token: str, each: int) -> Iterator[Load]:
    """Writers send meanwhile; the block is left once all they sent has been acknowledged."""
    load = Load(service, token, each)
    with ThreadPoolExecutor(WRITERS) as pool:
        written = [pool.submit(load.write, number) for number in range(WRITERS)]
        yield load
        for writer in written:
            writer.result()


def assert_stored_once(uri: str, load: Load) -> None:
    """Every message that was acknowledged is stored under its id, and nothing else is."""
    assert len(load.acknowledged) == load.total
    with psycopg.connect(uri) as connection:
        assert dict(connection.execute("SELECT id, content FROM messages").fetchall()) == load.acknowledged
