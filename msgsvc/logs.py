"""Log lines: one JSON object each, on standard error."""

import json
import logging
import sys
import time
from functools import lru_cache

_encode = json.JSONEncoder(check_circular=False).encode


@lru_cache(maxsize=1)
def _time(epoch_second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_second))


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
