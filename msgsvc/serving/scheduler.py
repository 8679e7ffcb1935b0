"""Decides which thread answers a request: by the lane of its route, and by what the engine supports."""

from typing import TYPE_CHECKING

from msgsvc.routes import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgsvc.serving.inline_reads import InlineReads
    from msgsvc.serving.waitress_adapter.connection import Connection
    from msgsvc.serving.waitress_adapter.listener import Listener
    from msgsvc.serving.waitress_adapter.task import Task
    from msgsvc.serving.write_batcher import WriteBatcher
    from msgsvc.storage.base import Storage

UNSENT_BYTES = 64 * 1024
"""The next request of a connection waits while more than this much of its responses is unsent."""


class Scheduler:
    """Schedules the next request of a connection.

    Passing a call to another thread, with both threads competing for the interpreter lock, costs more than reading a
    page from a local database or storing a message. So the event loop answers such reads itself, and one thread
    runs many writes in a row.
    """

    def __init__(self, database: "Storage", listener: "Listener", reads: "InlineReads", writes: "WriteBatcher") -> None:
        self._listener = listener
        self._lanes: dict[Lane, Callable[[Task], None]] = {
            Lane.INLINE_READ: reads.add if database.serves_inline_reads else self._add_to_workers,
            Lane.BATCHED_WRITE: writes.add if database.batches_writes else self._add_to_workers,
            Lane.WORKER: self._add_to_workers,
        }

    def schedule(self, connection: "Connection") -> None:
        """Schedule the next request of the connection.

        It may follow another request that a worker has just answered; then a worker answers this one as well.
        """
        connection.find_caller()
        if connection.unsent_bytes() >= UNSENT_BYTES:
            connection.is_parked = True
        elif connection.is_refused() or not self._listener.is_event_loop():
            self._listener.run_on_worker(connection)
        else:
            task = connection.begin_task()
            self._lanes[task.lane](task)

    def _add_to_workers(self, task: "Task") -> None:
        self._listener.run_on_worker(task.connection)
