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
    code: str | None = None
    address: str | None = None

    def fields(self) -> dict[str, object]:
        """By name; the code only of a refusal, the address only of a login."""
        return {name: value for name, value in self._asdict().items() if name not in _IF_KNOWN or value is not None}


_IF_KNOWN = ("code", "address")


def log_request(line: RequestLine) -> None:
    """Log through the logging of the process, which belongs to the host."""
    logger.info("request", extra={"fields": line.fields()})
