"""Strict JSON in, JSON out: bodies, responses, entity tags and the Authorization header."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, NoReturn

from werkzeug.http import generate_etag, parse_etags, parse_options_header
from werkzeug.wsgi import get_content_length, get_input_stream

from msgsvc.errors import ApiError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_LIMIT = 64 * 1024
"""Bytes of a request body. 5,000 characters written as surrogate escapes take 60,000 of them."""

DISCARD_LIMIT = 1024 * 1024
"""Bytes of a refused body that are read. nginx, by default, passes on bodies up to this length."""

_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def encode_json(value: object) -> bytes:
    """JSON in UTF-8, and a newline, so that a terminal's prompt does not follow on the same line."""
    return f"{_encode_json(value)}\n".encode()


def encode_list(name: str, items: Iterable[bytes], others: Mapping[str, object]) -> bytes:
    """The same for an object of a list, whose items are JSON already, and of other members."""
    return b'{"%b":[%b],%b' % (name.encode(), b",".join(items), encode_json(others)[1:])


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers, and a value to send as JSON; bytes are sent as they are, and None sends no body."""

    value: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    """The code of an error, for the log line."""

    def payload(self) -> bytes:
        """The body."""
        if self.value is None:
            return b""
        return self.value if isinstance(self.value, bytes) else encode_json(self.value)


NO_CONTENT = Response(status=204)


def error_response(error: ApiError, **headers: str) -> Response:
    """The response for an error, with the headers that its status requires and those given."""
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return Response({"error": error.sentence, "code": error.code}, error.status, headers, error.code)


def read_json(environ: "WSGIEnvironment", names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the JSON object in the body; empty where there is no body.

    Raises ApiError 400 for anything but an object with the named fields, 411, 413 and 415.
    """
    raw = _read_body(environ)
    if not raw:
        return {}
    try:
        value = _decode_json(raw.decode())
    except (ValueError, RecursionError):
        sentence = "The body is not valid JSON in UTF-8, or gives a field twice"
        raise ApiError("invalid_json", sentence) from None
    if not isinstance(value, dict):
        raise ApiError("invalid_json", "The body must be a JSON object")
    for name in value:
        if name not in names:
            known = f"known are {', '.join(names)}" if names else "none are known here"
            raise ApiError("unknown_field", f"Unknown field {name[:50]!a}: {known}")
    return value


def _read_body(environ: "WSGIEnvironment") -> bytes:
    """The body. It stays readable in the environ, for a host's ``authenticate`` that reads it too."""
    announced = get_content_length(environ) or 0
    body = b""
    stream = _body_stream(environ)
    try:
        while max(announced, len(body)) <= BODY_LIMIT and (part := stream.read(BODY_LIMIT + 1 - len(body))):
            body += part
        is_whole = len(body) >= announced
    except Exception:
        # Each server raises an exception of its own for a client that left or broke the framing.
        is_whole = False
    if max(announced, len(body)) > BODY_LIMIT:
        raise ApiError("body_too_large", f"The body is longer than {BODY_LIMIT} bytes")
    environ["wsgi.input"] = BytesIO(body)
    media_type, _ = parse_options_header(environ.get("CONTENT_TYPE"))
    if (announced or body) and media_type.lower() != "application/json":
        raise ApiError("unsupported_media_type")
    if not is_whole:
        raise ApiError("invalid_body")
    return body


def _body_stream(environ: "WSGIEnvironment") -> IO[bytes]:
    """The body as it arrives, or as werkzeug's request cached it when a host read it. Raises ApiError 411."""
    kept_by_werkzeug: bytes | None = getattr(environ.get("werkzeug.request"), "_cached_data", None)
    if kept_by_werkzeug is not None:
        return BytesIO(kept_by_werkzeug)
    if "HTTP_TRANSFER_ENCODING" in environ and "wsgi.input_terminated" not in environ:
        raise ApiError("length_required")
    return get_input_stream(environ)


def discard_body(environ: "WSGIEnvironment") -> None:
    """Reads the rest of the body, up to DISCARD_LIMIT.

    Else a server such as gunicorn with threads closes the connection, and a proxy that has already sent the next
    request on it, perhaps another client's, answers that one with 502.
    """
    if isinstance(environ.get("wsgi.input"), BytesIO):
        return
    with suppress(Exception):
        # A host's own request knows how much of the body it has read.
        host_request = environ.get("werkzeug.request")
        stream = host_request.stream if host_request else _body_stream(environ)
        left = DISCARD_LIMIT
        while left > 0 and (part := stream.read(min(left, BODY_LIMIT))):
            left -= len(part)


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decode_json = json.JSONDecoder(object_pairs_hook=_unique_fields, parse_constant=_refuse_constant).decode


def entity_tag(*parts: object) -> str:
    """A quoted ETag made of parts such as the view, its owner and its version."""
    return f'"{generate_etag(repr(parts).encode())}"'


def matches(environ: "WSGIEnvironment", tag: str) -> bool:
    """Whether If-None-Match names the tag, so that the response is 304.

    Most clients send the tag as they got it, and comparing costs less than parsing a list of tags.
    """
    header = environ.get("HTTP_IF_NONE_MATCH")
    return header == tag or (bool(header) and parse_etags(header).contains_weak(tag.strip('"')))


_TOKEN_HEADER = re.compile(r"(?:bearer +)?([A-Za-z0-9_-]{1,200})", flags=re.IGNORECASE | re.ASCII)


def bearer_token(environ: "WSGIEnvironment") -> str | None:
    """The session token of ``Authorization: Bearer TOKEN`` or ``Authorization: TOKEN``."""
    match = _TOKEN_HEADER.fullmatch(environ.get("HTTP_AUTHORIZATION", "").strip())
    return match[1] if match else None
