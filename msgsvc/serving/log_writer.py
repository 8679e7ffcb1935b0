"""Writes to standard error on a thread of its own, so that a log that is not read blocks no other thread."""

import io
import os
import select
import threading
import time
from collections.abc import Callable

QUEUE_LIMIT = 10_000
"""Lines that wait to be written; further ones are lost. A request line has 300 bytes, so these are about 3 MB."""

COLLECT_SECONDS = 0.02
"""Lines that come within this time are written together, which costs less than one write each."""

DRAIN_SECONDS = 1.0
"""How long the end of the process waits for the last lines."""


class LogWriter(io.TextIOBase):
    """A stream in place of ``sys.stderr``, whose write() takes whole lines, never waits and never fails.

    While the descriptor cannot be written or is not read, lines are lost; ``loss_line`` makes the line that says
    afterwards how many.
    """

    def __init__(self, descriptor: int, loss_line: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._loss_line = loss_line
        self._queue: list[str] = []
        self._lost = 0
        self._is_writing = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._begun_line = b""
        threading.Thread(target=self._run, name="msgsvc-log", daemon=True).start()

    def write(self, text: str) -> int:
        """Queue the text."""
        with self._lock:
            if len(self._queue) >= QUEUE_LIMIT:
                self._lost += 1
            else:
                self._queue.append(text)
                if len(self._queue) == 1:
                    self._changed.notify_all()
        return len(text)

    def drain(self) -> None:
        """Wait for a moment until what is queued has been written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._is_writing, DRAIN_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
            time.sleep(COLLECT_SECONDS)
            with self._changed:
                texts, self._queue = self._queue, []
                lost, self._lost = self._lost, 0
                self._is_writing = True
            if lost:
                texts.append(self._loss_line(lost))
            unwritten = self._write(texts)
            with self._changed:
                if unwritten:
                    # The loss line, last of the texts, is no loss itself, but the number in it is unreported.
                    self._lost += unwritten + (lost - 1 if lost else 0)
                self._is_writing = False
                self._changed.notify_all()

    def _write(self, texts: list[str]) -> int:
        """Returns how many lines were lost. The next call writes the rest of a line that was written in part."""
        data = self._begun_line + "".join(texts).encode("utf-8", "backslashreplace")
        is_begun = bool(self._begun_line)
        self._begun_line = b""
        while data:
            try:
                written = os.write(self._descriptor, data)
            except BlockingIOError:
                _wait_until_writable(self._descriptor)
            except OSError:
                if is_begun:
                    rest, newline, data = data.partition(b"\n")
                    self._begun_line = rest + newline
                return data.count(b"\n")
            else:
                is_begun = data[written - 1] != ord("\n")
                data = data[written:]
        return 0


def _wait_until_writable(descriptor: int) -> None:
    """The descriptor may be non-blocking, because the parent process made it so."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    poller.poll()
