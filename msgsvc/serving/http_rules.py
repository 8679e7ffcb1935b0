"""The rules for the head of a request that are stricter than waitress's: where the request ends must be unambiguous."""

import re
from collections.abc import Mapping

from msgsvc.logs import METHOD_LIMIT

HEADER_LIMIT = 16 * 1024
"""Bytes of the request line and the headers."""

HEADER_LINES = 100
"""Lines of the request line and the headers. waitress takes some microseconds for each, on the event loop."""

RECEIVE_LIMIT = 16 * 1024 * 1024
"""Bytes of a body that are received before the answer is 413. Many clients, and Caddy, read no response before they
have sent the whole body. A longer body is refused at once, and the connection closed.
"""

FRAMING_LIMIT = 4096
"""Bytes of a chunked body that are not of the body itself: sizes and extensions of the chunks, line ends, trailers.
waitress would keep an endless line of them in memory, and search all of it for the line end again at each packet.
"""

FRAMING_SHARE = 128
"""One more such byte is allowed for this many bytes of the body."""

_FRAMING_HEADERS = re.compile(
    rb"^(host|content-length|transfer-encoding)[ \t]*:([^\r\n]*)\r?$", flags=re.IGNORECASE | re.MULTILINE
)


def find_framing_fault(head: bytes) -> str | None:
    """Why two servers could disagree about where this request ends or for which host it is, or None."""
    headers = [(name.lower(), value.strip(b" \t").lower()) for name, value in _FRAMING_HEADERS.findall(head)]
    hosts = [name for name, _ in headers].count(b"host")
    if hosts > 1:
        return "more than one Host"
    if len(headers) - hosts > 1:
        return "more than one Content-Length or Transfer-Encoding"
    if dict(headers).get(b"transfer-encoding", b"chunked") != b"chunked":
        return "a Transfer-Encoding other than chunked"
    return None


def has_too_much_framing(received: int, body: int) -> bool:
    """Whether too many of the bytes received of a chunked body are not of the body itself."""
    return received - body > FRAMING_LIMIT + body // FRAMING_SHARE


def connection_option(header: str) -> str:
    """``close``, ``keep-alive`` or nothing: what the list in the Connection headers asks for; close overrides."""
    options = {option.strip(" \t").lower() for option in header.split(",")}
    return "close" if "close" in options else "keep-alive" if "keep-alive" in options else ""


def find_head_fault(method: str, version: str, headers: Mapping[str, str]) -> str | None:
    """Why the method is refused, or the headers, named as in CGI, do not fit this version of HTTP; or None."""
    if len(method) > METHOD_LIMIT:
        return "a method that is too long"
    if version == "1.1" and "HOST" not in headers:
        return "no Host"
    if version != "1.1" and "TRANSFER_ENCODING" in headers:
        return "a Transfer-Encoding before HTTP/1.1"
    return None
