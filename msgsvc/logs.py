"""The log line of a request."""

import logging
from typing import NamedTuple

logger = logging.getLogger("msgsvc")

METHOD_LIMIT = 32
"""Characters of a method that msgsvc serve accepts and that are logged; other servers may accept more. The longest
registered one, UPDATEREDIRECTREF, has 17.
"""


class RequestLine(NamedTuple):
    """The values of the log line of a request."""

    request_id: str
    method: str
    route: str
    status: int
    milliseconds: float
    username: str | None
    code: str | None = None
    address: str | None = None

    def fields(self) -> dict[str, object]:
        """The values by name; the code and the address only where there is one (a refusal, a login)."""
        return {name: value for name, value in self._asdict().items() if name not in _IF_KNOWN or value is not None}


_IF_KNOWN = ("code", "address")


def log_request(line: RequestLine) -> None:
    """Log through the logging of the process, which belongs to the host."""
    logger.info("request", extra={"fields": line.fields()})
