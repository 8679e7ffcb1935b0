"""Strict JSON in, JSON out: the request as handlers see it, the response they give, the error they raise."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl

from werkzeug.http import generate_etag, parse_etags, parse_options_header
from werkzeug.wsgi import get_content_length, get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from msgsvc.database import Commit, Connection, Database
    from msgsvc.settings import Settings
    from msgsvc.tokens import PasswordHasher

BODY_LIMIT = 64 * 1024
"""Bytes of a request body. 5,000 characters written as surrogate escapes take 60,000 of them."""

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Encoded(str):
    """JSON already, to be sent as it is."""

    __slots__ = ()


def encoded_list(name: str, items: Iterable[str], others: Mapping[str, object]) -> Encoded:
    """An object of a list whose items are JSON already, and of others."""
    return Encoded(f'{{"{name}":[{",".join(items)}],{encode_json(others)[1:]}')


class ApiError(Exception):
    """An answer other than success, with the error's status, code and one plain sentence."""

    def __init__(self, status: int, code: str, sentence: str, **headers: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> "Response":
        return Response({"error": self.sentence, "code": self.code}, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers, and a value to send as JSON; the value None sends no body."""

    value: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        return (self.value if isinstance(self.value, Encoded) else encode_json(self.value)).encode()


NO_CONTENT = Response(status=204)


class Caller(NamedTuple):
    """Who calls: the account that the session token, or the host, stands for."""

    username: str
    role: str
    suspended: int
    session_id: int | None = None
    session_expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with; one for each application."""

    settings: "Settings"
    database: "Database"
    clock: Callable[[], float]
    passwords: "PasswordHasher"
    openapi: Mapping[str, Any]


class Request:
    """One request: its environ, read strictly, and the services it may use."""

    __slots__ = ("caller", "commits", "database", "environ", "id", "route", "services")

    caller: Caller

    def __init__(self, environ: "WSGIEnvironment", services: Services, request_id: str) -> None:
        self.environ = environ
        self.services = services
        self.database = services.database
        self.id = request_id
        self.route = ""
        self.commits: list[Commit] = []

    def transaction(self) -> AbstractContextManager["Connection"]:
        """As Database.transaction, but it is the answer that waits until the work is stored, not the block."""
        return self.database.transaction_in(self.commits)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.services.clock()

    def path(self) -> str:
        """The public path, wherever a host has mounted the application. Raises UnicodeDecodeError (a ValueError)."""
        raw: str = self.environ.get("SCRIPT_NAME", "") + self.environ.get("PATH_INFO", "")
        return raw if raw.isascii() else raw.encode("latin-1").decode()

    def query(self, *names: str) -> dict[str, str]:
        """The named query parameters that were given; others are ignored.

        Raises ApiError 400 for one that is malformed, empty or given twice.
        """
        raw: str = self.environ.get("QUERY_STRING", "")
        if not raw:
            return {}
        try:
            pairs = parse_qsl(
                raw.encode("latin-1").decode(), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError:
            raise ApiError(400, "invalid_parameter", "The query string is not valid UTF-8 or too long") from None
        given: dict[str, str] = {}
        for name, value in pairs:
            if name not in names:
                continue
            if name in given or not value:
                problem = "given twice" if name in given else "empty"
                raise ApiError(400, "invalid_parameter", f"The query parameter {name} is {problem}")
            given[name] = value
        return given

    def body(self, *names: str) -> dict[str, Any]:
        """The fields of the JSON object in the body; empty where there is no body.

        Raises ApiError 400 for anything but an object with the named fields, 413 and 415.
        """
        raw = _read_body(self.environ)
        if not raw:
            return {}
        media_type, _ = parse_options_header(self.environ.get("CONTENT_TYPE"))
        if media_type.lower() != "application/json":
            raise ApiError(415, "unsupported_media_type", "The body must be sent as Content-Type: application/json")
        try:
            value = _decode_json(raw.decode())
        except (ValueError, RecursionError):
            sentence = "The body is not valid JSON in UTF-8, or gives a field twice"
            raise ApiError(400, "invalid_json", sentence) from None
        if not isinstance(value, dict):
            raise ApiError(400, "invalid_json", "The body must be a JSON object")
        for name in value:
            if name not in names:
                known = f"known are {', '.join(names)}" if names else "none are known here"
                raise ApiError(400, "unknown_field", f"Unknown field {name[:50]!a}: {known}")
        return value


def _read_body(environ: "WSGIEnvironment") -> bytes:
    announced = get_content_length(environ) or 0
    body = b""
    try:
        stream = get_input_stream(environ)
        while max(announced, len(body)) <= BODY_LIMIT and (part := stream.read(BODY_LIMIT + 1 - len(body))):
            body += part
        is_whole = len(body) >= announced
    except Exception:
        # Each server has its own for a client that left or broke the framing.
        is_whole = False
    if max(announced, len(body)) > BODY_LIMIT:
        raise ApiError(413, "body_too_large", f"The body is longer than {BODY_LIMIT} bytes")
    if not is_whole:
        raise ApiError(400, "invalid_body", "The body did not arrive whole")
    return body


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decode_json = json.JSONDecoder(object_pairs_hook=_unique_fields, parse_constant=_refuse_constant).decode


def entity_tag(*parts: object) -> str:
    """A quoted ETag for what the parts stand for: the owner, the view and its version."""
    return f'"{generate_etag(repr(parts).encode())}"'


def matches(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the tag, so that 304 is the answer."""
    header = request.environ.get("HTTP_IF_NONE_MATCH")
    return bool(header) and parse_etags(header).contains_weak(tag.strip('"'))


_TOKEN_HEADER = re.compile(r"(?:bearer +)?([A-Za-z0-9_-]{1,200})", flags=re.IGNORECASE | re.ASCII)


def bearer_token(environ: "WSGIEnvironment") -> str | None:
    """The session token of ``Authorization: Bearer TOKEN`` or ``Authorization: TOKEN``."""
    match = _TOKEN_HEADER.fullmatch(environ.get("HTTP_AUTHORIZATION", "").strip())
    return match[1] if match else None
