"""Reads that the event loop handles itself, some in each iteration."""

import time
from operator import attrgetter
from typing import TYPE_CHECKING

from msgsvc.serving.fair_queue import FairQueue

if TYPE_CHECKING:
    from msgsvc.serving.waitress_adapter.task import Task
    from msgsvc.storage.base import Storage

BUDGET_SECONDS = 0.004
"""Time per iteration for handling reads: enough for 16 conversations, because each iteration polls every connection.
The rest waits for the next one, so that new callers get a turn first.
"""

BATCH_LIMIT = 64
"""At most this many reads are handled before their responses are sent, so that none waits long for the others."""


class InlineReads:
    """The pending reads; the callers take turns."""

    def __init__(self, database: "Storage") -> None:
        self._database = database
        self._pending: FairQueue[Task] = FairQueue(attrgetter("connection.caller"))

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, task: "Task") -> None:
        """Handle the task in this iteration or one of the next."""
        self._pending.append(task)

    def handle(self) -> list["Task"]:
        """Handle the next pending reads, one at least. All of them had arrived before their snapshot begins."""
        handled: list[Task] = []
        if not self._pending:
            return handled
        deadline = time.monotonic() + BUDGET_SECONDS
        with self._database.share_snapshot():
            while self._pending and len(handled) < BATCH_LIMIT:
                task = self._pending.popleft()
                if task.connection.connected:
                    task.handle()
                    handled.append(task)
                if time.monotonic() >= deadline:
                    break
        return handled
