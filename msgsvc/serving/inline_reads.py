"""Reads that the event loop handles itself, within a time budget per iteration."""

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgsvc.serving.waitress_adapter.listener import Listener
    from msgsvc.serving.waitress_adapter.task import Task

BUDGET_SECONDS = 0.02
"""Time per iteration for handling reads on the event loop. The workers get the rest."""

BATCH_LIMIT = 64
"""At most this many reads are handled before their responses are sent, so that none waits long for the others."""


class InlineReads:
    """The pending reads."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._pending: deque[Task] = deque()

    def add(self, task: "Task") -> None:
        """Handle the task in this iteration, if there is time, or on a worker."""
        self._pending.append(task)

    def handle(self, deadline: float) -> list["Task"]:
        """Handle the next pending reads; after the deadline, leave those that remain to the workers."""
        handled: list[Task] = []
        while self._pending and len(handled) < BATCH_LIMIT and time.monotonic() < deadline:
            task = self._pending.popleft()
            if task.connection.connected:
                task.handle()
                handled.append(task)
        if self._pending and time.monotonic() >= deadline:
            for task in self._pending:
                self._listener.run_on_worker(task.connection)
            self._pending.clear()
        return handled
