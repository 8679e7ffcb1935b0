"""The parser of requests: waitress's, with the stricter rules of http_rules."""

import io
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from msgsvc.json_http import BODY_LIMIT
from msgsvc.serving import http_rules

OBJECT_BYTES = 2048
"""Memory of a request beside what was received."""

CHUNKED_PIECE = 512
"""Bytes of a chunked body that are parsed at once: waitress copies the rest of them for each chunk."""


class BodyBuffer:
    """Keeps as much of a body as the application reads, and counts the rest.

    waitress would keep all of it, bodies over 512 KiB in a temporary file.
    """

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._length = 0

    def append(self, data: bytes) -> None:
        """Add what has arrived."""
        self._file.write(data[: max(0, BODY_LIMIT + 1 - self._length)])
        self._length += len(data)

    def __len__(self) -> int:
        return self._length

    def getfile(self) -> io.BytesIO:
        """The body for the application."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Release the memory."""
        self._file.close()


class RequestParser(HTTPRequestParser):
    """waitress's parser, with the stricter rules of http_rules."""

    headers: dict[str, str]
    command: str  # type: ignore[assignment]  # The stubs say bytes.
    body_rcv: Any

    path = ""
    """A default, because waitress also logs the path of a request that was refused before its path was parsed."""

    def held_bytes(self) -> int:
        """About how much memory the request takes."""
        return OBJECT_BYTES + self.header_bytes_received + min(self.body_bytes_received, BODY_LIMIT)

    def received(self, data: bytes) -> int:
        """Parse more of the request. A ValueError of waitress's parser means a bad request."""
        try:
            consumed = super().received(data[:CHUNKED_PIECE] if self.chunked else data)
        except ValueError:
            self.error = BadRequest("")
            self.completed = True
            consumed = len(data)
        if self.headers_finished and self.expect_continue and self.content_length > BODY_LIMIT:
            self.error = RequestEntityTooLarge("")
            self.completed = True
        if self.chunked and http_rules.has_too_much_framing(self.body_bytes_received, len(self.body_rcv)):
            self.error = BadRequest("")
            self.completed = True
        if self.completed:
            self.expect_continue = False
        return len(data) if self.error else consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers. Raises ParsingError."""
        if header_plus.count(b"\n") > http_rules.HEADER_LINES:
            # waitress does the same where they are too long.
            super().parse_header(b"GET / HTTP/1.0\r\n")
            self.error = RequestHeaderFieldsTooLarge("")
            return
        if fault := http_rules.find_framing_fault(header_plus):
            raise ParsingError(fault)
        super().parse_header(header_plus)
        if fault := http_rules.find_head_fault(self.command, self.version, self.headers):
            raise ParsingError(fault)
        if self.body_rcv is not None:
            self.body_rcv.buf = BodyBuffer()
        # waitress compares the whole header with "close" and "keep-alive".
        if "CONNECTION" in self.headers:
            self.headers["CONNECTION"] = http_rules.connection_option(self.headers["CONNECTION"])
