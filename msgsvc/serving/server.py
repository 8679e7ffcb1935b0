"""msgsvc serve: binds the address, runs the event loop until a signal, and finishes the requests that have begun."""

import errno
import logging
import signal
import time
from types import FrameType

from msgsvc.app import App
from msgsvc.serving.connection_limits import ConnectionLimits
from msgsvc.serving.housekeeping import Housekeeping
from msgsvc.serving.inline_reads import InlineReads
from msgsvc.serving.scheduler import Scheduler
from msgsvc.serving.waitress_adapter.listener import Listener
from msgsvc.serving.write_batcher import WriteBatcher
from msgsvc.storage.engines import engine_for

logger = logging.getLogger("msgsvc")

DRAIN_SECONDS = 8.0
"""How long the requests that have begun may take after SIGTERM."""


class Server:
    """A server bound to the address of the settings."""

    def __init__(self, app: App, limits: ConnectionLimits) -> None:
        """Raises OSError naming the address if it cannot be bound, RuntimeError if a thread cannot be started."""
        settings = app.services.settings
        database = app.services.database
        address = f"{settings.host}:{settings.port}"
        try:
            self._listener = Listener(app, limits)
        except ValueError:
            raise OSError(errno.EADDRNOTAVAIL, "no such address", address) from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, address) from error
        self.url = self._listener.url()
        self._database = database
        self._reads = InlineReads(database)
        self._writes = WriteBatcher(database, self._listener.pull_trigger)
        scheduler = Scheduler(database, self._listener, self._reads, self._writes)
        self._listener.schedule = scheduler.schedule
        self._housekeeping = Housekeeping(app.services)
        self._writes.start()
        self._housekeeping.start()
        self._log_storage_version = engine_for(settings.database).log_version

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then finish the requests that have begun, and refuse the rest."""
        listener = self._listener
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        logger.info("listening on %s", self.url)
        self._log_storage_version()
        while not listener.is_stopping:
            self._run_iteration()
        self._housekeeping.stop()
        listener.stop_accepting()
        deadline = time.monotonic() + DRAIN_SECONDS
        while listener.is_busy() and time.monotonic() < deadline:
            self._run_iteration()
        listener.close_all()
        logger.info("stopped")

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._listener.stop()

    def _run_iteration(self) -> None:
        """One iteration of the event loop.

        Polling accepts connections, reads from them, parses requests and schedules each by the lane of its route.
        """
        is_collecting = self._writes.begin_iteration()
        self._listener.poll(timeout=0 if is_collecting or self._reads else 1)
        self._database.watch()
        self._answer()
        self._writes.end_iteration()

    def _answer(self) -> None:
        """Handle the next pending reads, and respond to them and to the writes that have been committed.

        Each step is taken for all tasks before the next step, which makes the inbox half as fast again: the processor
        keeps the code and data of a step in its cache, and sending a single response may have to wake a client.
        """
        tasks = [*self._writes.take_committed(), *self._reads.handle()]
        for task in tasks:
            task.respond()
        for task in tasks:
            task.connection.send_response()
