"""What stands around every handler: request id and JSON errors; then the session token and the role."""

import logging
import re
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from random import getrandbits
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgsvc import cors, fields
from msgsvc.accounts import actor, audit_denial
from msgsvc.database import StorageError
from msgsvc.json_http import ApiError, Caller, Request, Response, Services, bearer_token
from msgsvc.logs import RequestLine, log_request
from msgsvc.routes import Lane, Route, Who
from msgsvc.tokens import session_limits, token_hash

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Authenticate = Callable[["WSGIEnvironment"], str | None]
Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body."""

Match = Callable[[Request], tuple[Route, Mapping[str, Any]] | Response]
Outcome = TypeVar("Outcome")

log = logging.getLogger("msgsvc")

LATER = "msgsvc.later"
"""Where the environ of a server that has a thread for it holds a function to do what an answer need not wait for."""

LOG = "msgsvc.log"
"""Where the environ of a server that keeps the logs itself holds a function to log a request."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", flags=re.ASCII)
_LOGGED_METHOD = 32
"""Characters of a method that are logged: other servers may let longer ones pass than msgsvc serve does."""

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

STORAGE_SENTENCES = {
    "storage_full": "The disk is full; nothing was stored",
    "storage_busy": "The database is busy; nothing was stored, try again",
    "storage_unavailable": "The database is unavailable; nothing was stored",
}


class Call:
    """A request in three steps, each of which a server may take for many calls in a row: parse, handle, respond.

    Whatever the outcome, the response is JSON with a request id.
    """

    def __init__(
        self, environ: "WSGIEnvironment", services: Services, match: Match, authenticate: Authenticate | None
    ) -> None:
        self._started = time.perf_counter()
        self._request = Request(environ, services, _request_id(environ))
        self._match = match
        self._authenticate = authenticate
        self._matched: tuple[Route, Mapping[str, Any]] | Response
        self._response: Response

    def parse(self) -> Lane:
        """Find the route, without the database; the lane that the call is to be answered on."""
        matched = self._matched = _outcome(self._match, self._request)
        if isinstance(matched, Response):
            return Lane.WORKER
        route, _ = matched
        self._request.route = route.path
        return route.lane

    def handle(self) -> None:
        """Authorize the caller and run the handler."""
        matched = self._matched
        self._response = matched if isinstance(matched, Response) else _outcome(self._run_handler, self._request)

    def _run_handler(self, request: Request) -> Response:
        route, arguments = cast("tuple[Route, Mapping[str, Any]]", self._matched)
        authorize(request, route, self._authenticate)
        return route.handler(request, **arguments)

    def respond(self) -> Answer:
        """Wait until the work of the handler is stored, and write the response."""
        request = self._request
        response = _outcome(self._await_commits, request) if request.commits else self._response
        payload = b"" if response.value is None else response.payload()
        headers = [
            *standard_headers(request.id),
            *cors.response_headers(request.environ, request.services.settings.cors_origins),
            *response.headers.items(),
        ]
        if response.value is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))]
        method = request.environ["REQUEST_METHOD"]
        milliseconds = round((time.perf_counter() - self._started) * 1000, 3)
        caller = getattr(request, "caller", None)
        username = caller.username if caller else None
        write_line = request.environ.get(LOG, log_request)
        write_line(
            RequestLine(request.id, method[:_LOGGED_METHOD], request.route, response.status, milliseconds, username)
        )
        return _STATUS_LINES[response.status], headers, payload if method != "HEAD" else b""

    def _await_commits(self, request: Request) -> Response:
        for commit in request.commits:
            commit.wait()
        return self._response


def new_request_id() -> str:
    """128 random bits."""
    return f"{getrandbits(128):032x}"


def standard_headers(request_id: str) -> list[tuple[str, str]]:
    """The headers of every response."""
    return [
        ("X-Request-ID", request_id),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]


def _request_id(environ: "WSGIEnvironment") -> str:
    given: str = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else new_request_id()


def _outcome(work: Callable[[Request], Outcome], request: Request) -> Outcome | Response:
    try:
        return work(request)
    except ApiError as error:
        if error.status == 401:
            error.headers["WWW-Authenticate"] = "Bearer"
        return error.response()
    except StorageError as error:
        log.error("%s: %s", error.code, error, extra={"fields": {"request_id": request.id}})
        return ApiError(503, error.code, STORAGE_SENTENCES[error.code], Retry_After="1").response()
    except Exception as error:
        log.error("internal error: %s", _where(error), extra={"fields": {"request_id": request.id}})
        return ApiError(500, "internal_error", "Something went wrong on our side").response()


def _where(error: Exception) -> str:
    """Type and place only: the text of an exception may quote a message."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join([type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))])


def authorize(request: Request, route: Route, authenticate: Authenticate | None) -> None:
    """Sets the caller of a request, read afresh from the database.

    Raises ApiError 401 without a live session or an account, 403 for a suspended one and for an endpoint that is
    closed to its role.
    """
    if route.who is Who.ANYONE:
        return
    caller = _session_caller(request) if authenticate is None else _host_caller(request, authenticate)
    if caller is None:
        raise ApiError(401, "unauthorized", "A valid session is required")
    request.caller = caller
    if caller.suspended:
        raise ApiError(403, "account_suspended", "This account is suspended")
    if route.who is Who.ADMIN and caller.role != "admin":
        with request.transaction() as transaction:
            audit_denial(transaction, actor(request), route.path)
        raise ApiError(403, "admin_only", "Only admins may do this")


def _session_caller(request: Request) -> Caller | None:
    token = bearer_token(request.environ)
    if token is None:
        return None
    settings = request.services.settings
    now = request.now()
    row = request.database.first("select_session", token_hash=token_hash(token), **session_limits(settings, now))
    if row is None:
        return None
    username, role, suspended, session_id, created_at, last_used_at = row
    if now - last_used_at >= settings.session_idle_seconds / 30:
        later = request.environ.get(LATER, _at_once)
        later(partial(_touch_session, request, session_id, int(now)))
    return Caller(username, role, suspended, session_id, created_at + settings.session_max_seconds)


def _at_once(work: Callable[[], None]) -> None:
    work()


def _touch_session(request: Request, session_id: int, now: int) -> None:
    """Moves the idle limit, at most once in a thirtieth of it so that reading stays reading; never fails a request."""
    try:
        with request.database.transaction() as transaction:
            transaction.run("update_session_used", id=session_id, now=now)
    except StorageError as error:
        log.warning("a session was not prolonged: %s", error, extra={"fields": {"request_id": request.id}})


def _host_caller(request: Request, authenticate: Authenticate) -> Caller | None:
    try:
        username = authenticate(request.environ)
        if username is None:
            return None
        fields.username("username", username)
    except Exception as error:
        log.error("authenticate failed: %s", _where(error), extra={"fields": {"request_id": request.id}})
        return None
    row = request.database.first("select_account", username=username)
    if row is None:
        log.warning("authenticate named nobody in users", extra={"fields": {"request_id": request.id}})
        return None
    return Caller(*row)
