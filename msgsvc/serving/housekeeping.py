"""The thread that deletes ended sessions, also when no requests come."""

import logging
import threading

from msgsvc.request import Services
from msgsvc.sessions import delete_ended_sessions
from msgsvc.storage.base import StorageError

INTERVAL_SECONDS = 10.0

logger = logging.getLogger("msgsvc")


class Housekeeping:
    """Runs at the start and then at intervals, until it is stopped."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end after the current run."""
        self._stopping.set()

    def _run(self) -> None:
        while True:
            try:
                delete_ended_sessions(self._services.database, self._services.clock())
            except StorageError as error:
                logger.warning("ended sessions were not deleted: %s", error)
            if self._stopping.wait(INTERVAL_SECONDS):
                return
