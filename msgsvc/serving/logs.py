"""The log of msgsvc serve: one JSON object a line on standard error."""

import atexit
import json
import logging
import sys
import threading
import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as string

from msgsvc.authorization import place_of
from msgsvc.logs import RequestLine, logger
from msgsvc.serving.log_writer import LogWriter

_encode = json.JSONEncoder(check_circular=False).encode


@lru_cache(maxsize=1)
def _time(epoch_second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_second))


_REQUEST = ", ".join(f'"{name}": %s' for name in RequestLine._fields[:6])


def write_request(line: RequestLine) -> None:
    """Write what log_request() would write as JSON to standard error, without the cost of logging: 10 % of a read."""
    request_id, method, route, status, milliseconds, username, code, address = line
    fields = _REQUEST % (
        string(request_id),
        string(method),
        string(route),
        status,
        milliseconds,
        "null" if username is None else string(username),
    )
    if code is not None:
        fields += f', "code": {string(code)}'
    if address is not None:
        fields += f', "address": {string(address)}'
    sys.stderr.write(f'{{"time": "{_time(int(time.time()))}", "level": "info", "message": "request", {fields}}}\n')


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without the exception, whose text may quote a message."""
        line = {
            "time": _time(int(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return _encode(line)


class TextFormatter(logging.Formatter):
    """The same, for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The time, level and message, then the fields as name=value."""
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        return f"{time.strftime('%H:%M:%S')} {record.levelname.lower()}: {record.getMessage()}{fields}"


def line_of(level: int, message: str, formatter: logging.Formatter) -> str:
    """A log line that does not come from a logger."""
    record = logging.makeLogRecord({"levelname": logging.getLevelName(level), "msg": message})
    return f"{formatter.format(record)}\n"


def configure(log_format: str) -> None:
    """Send the logs of msgsvc and of waitress, and all else that is written to ``sys.stderr``, to a LogWriter."""
    formatter = TextFormatter() if log_format == "text" else JsonFormatter()
    writer = LogWriter(
        sys.stderr.fileno(), lambda lost: line_of(logging.WARNING, f"{lost} log lines were lost", formatter)
    )
    atexit.register(writer.drain)
    sys.stderr = writer
    # Python would print a traceback, whose text may quote a message.
    threading.excepthook = _log_uncaught
    sys.unraisablehook = _log_uncaught
    handler = logging.StreamHandler(writer)
    handler.setFormatter(formatter)
    logging.captureWarnings(True)
    # The logging HOWTO names these under Optimization: they cost time on each line, and no formatter here uses them.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # waitress logs "Client disconnected" with the whole path, so a client could flood the log with long lines.
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _log_uncaught(uncaught: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
    if isinstance(uncaught.exc_value, Exception):
        logger.error("internal error: %s", place_of(uncaught.exc_value))
