"""Log lines: one JSON object each, on standard error."""

import json
import logging
import sys
import time
from contextlib import suppress
from functools import lru_cache
from json.encoder import encode_basestring_ascii as string
from typing import NamedTuple

log = logging.getLogger("msgsvc")

_encode = json.JSONEncoder(check_circular=False).encode


@lru_cache(maxsize=1)
def _time(epoch_second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_second))


class RequestLine(NamedTuple):
    """What is logged of a request once its answer is known."""

    request_id: str
    method: str
    route: str
    status: int
    milliseconds: float
    username: str | None


def log_request(line: RequestLine) -> None:
    """For processes whose logs are their host's."""
    log.info("request", extra={"fields": line._asdict()})


_REQUEST = ", ".join(f'"{name}": %s' for name in RequestLine._fields)


def write_request(line: RequestLine) -> None:
    """What log_request() comes to where the logs are JSON on standard error: a record on its way through logging costs
    a call a tenth of its time.

    Never fails a call: where nobody takes the log, the line is lost. A line is one write, so lines of several threads
    do not mix.
    """
    request_id, method, route, status, milliseconds, username = line
    fields = _REQUEST % (
        string(request_id),
        string(method),
        string(route),
        status,
        milliseconds,
        "null" if username is None else string(username),
    )
    with suppress(Exception):
        sys.stderr.write(f'{{"time": "{_time(int(time.time()))}", "level": "info", "message": "request", {fields}}}\n')


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Exceptions are left out: their text may quote a message."""
        line = {
            "time": _time(int(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return _encode(line)


class TextFormatter(logging.Formatter):
    """The same for people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, then the fields as name=value."""
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        return f"{time.strftime('%H:%M:%S')} {record.levelname.lower()}: {record.getMessage()}{fields}"


def configure(log_format: str) -> None:
    """Sends the logs of msgsvc and of its server to standard error. For processes that are msgsvc's own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if log_format == "text" else JsonFormatter())
    logging.captureWarnings(True)
    # What the logging HOWTO names under Optimization: nobody reads these, and finding them out costs at each line.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
