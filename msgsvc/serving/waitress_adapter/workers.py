"""The worker threads: waitress's, with a fair queue."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, cast

from waitress.task import ThreadedTaskDispatcher

from msgsvc.serving.callers import Caller
from msgsvc.serving.fair_queue import SharedQueue


class Work(NamedTuple):
    """Work for a worker, with the methods that waitress calls."""

    caller: Caller
    service: Callable[[], None]
    cancel: Callable[[], None]


class Workers(ThreadedTaskDispatcher):
    """The workers. One caller keeps at most a quarter of them busy."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._queue: SharedQueue[Work] = SharedQueue(attrgetter("caller"), max(1, threads // 4))
        self.queue = cast("Any", self._queue)
        self.set_thread_count(threads)

    def run(self, caller: Caller, work: Callable[[], None], cancel: Callable[[], None] = lambda: None) -> None:
        """Let a worker do the work in the caller's turn; cancel is called instead if the server stops first."""

        def service() -> None:
            try:
                work()
            finally:
                with self.lock:
                    self._queue.end(caller)

        self.add_task(cast("Any", Work(caller, service, cancel)))
