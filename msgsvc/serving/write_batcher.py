"""The thread that runs the collected writes and commits once for all of them."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING

from msgsvc.serving.fair_queue import FairQueue
from msgsvc.serving.waitress_adapter.connection import close_after_error

if TYPE_CHECKING:
    from msgsvc.serving.waitress_adapter.task import Task
    from msgsvc.storage.base import Storage

COLLECT_SECONDS = 0.002
"""How long writes are collected at most; checked once per iteration. An iteration without new writes ends it too."""

BATCH_LIMIT = 64
"""At most this many writes share a commit, so that none waits long for the others."""

YIELD_SECONDS = sys.getswitchinterval()
"""How long an iteration waits at most while a batch runs: as long as the event-loop thread would wait for the
interpreter lock before demanding it.
"""


class WriteBatcher:
    """Collects writes on the event loop, runs them in batches on its own thread, and gives them back to the event loop.

    Both threads at once would wait for the interpreter lock at every statement and every packet. So the event loop
    passes many writes at a time, and waits while they run.
    """

    def __init__(self, database: "Storage", wake_event_loop: Callable[[], None]) -> None:
        self._database = database
        self._wake_event_loop = wake_event_loop
        self._collected: list[Task] = []
        self._collected_before = 0
        self._collect_until = 0.0
        self._queue: FairQueue[Task] = FairQueue(attrgetter("connection.caller"))
        self._has_queued = threading.Condition()
        self._is_idle = threading.Event()
        self._is_idle.set()
        self._committed: deque[Task] = deque()
        self._thread = threading.Thread(target=self._run_batches, name="writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin_iteration(self) -> bool:
        """Wait a moment for the batch that runs. Whether writes are being collected, so polling must not wait."""
        self._is_idle.wait(YIELD_SECONDS)
        self._collected_before = len(self._collected)
        return bool(self._collected)

    def add(self, task: "Task") -> None:
        """Collect a write."""
        if not self._collected:
            self._collect_until = time.monotonic() + COLLECT_SECONDS
        self._collected.append(task)

    def end_iteration(self) -> None:
        """Pass the collected writes to the thread, if this iteration brought no new ones or time is up."""
        if not self._collected:
            return
        if len(self._collected) == self._collected_before or time.monotonic() > self._collect_until:
            self._is_idle.clear()
            with self._has_queued:
                for task in self._collected:
                    self._queue.append(task)
                self._has_queued.notify()
            self._collected.clear()

    def take_committed(self) -> list["Task"]:
        """The tasks whose commit has ended since the last call."""
        return [self._committed.popleft() for _ in range(len(self._committed))]

    def _run_batches(self) -> None:
        while True:
            with self._has_queued:
                while not self._queue:
                    self._has_queued.wait()
                tasks: list[Task] = []
                while self._queue and len(tasks) < BATCH_LIMIT:
                    tasks.append(self._queue.popleft())
            try:
                self._committed.extend(self._run_batch(tasks))
            except Exception as error:
                close_after_error([task.connection for task in tasks], error)
                self._is_idle.set()
            self._wake_event_loop()

    def _run_batch(self, tasks: list["Task"]) -> list["Task"]:
        """Authorize, handle, commit. The event loop need not wait any longer while the commit reaches the disk."""
        tasks = [task for task in tasks if task.connection.connected]
        with self._database.batch():
            for task in tasks:
                task.handle()
            self._is_idle.set()
        for task in tasks:
            task.commit()
        return tasks
