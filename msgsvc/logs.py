"""The log line of a request."""

import logging
from typing import NamedTuple

logger = logging.getLogger("msgsvc")


class RequestLine(NamedTuple):
    """What is logged of a request once its response is known."""

    request_id: str
    method: str
    route: str
    status: int
    milliseconds: float
    username: str | None


def log_request(line: RequestLine) -> None:
    """Log through the logging of the process, which belongs to the host."""
    logger.info("request", extra={"fields": line._asdict()})
