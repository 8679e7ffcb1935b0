"""What surrounds every handler: the request id, JSON errors, authorization, the log line."""

import logging
import re
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from random import getrandbits
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter

from msgsvc import cors
from msgsvc.audit import audit
from msgsvc.authorization import Access, place_of
from msgsvc.errors import ApiError
from msgsvc.json_http import Response, discard_body, error_response
from msgsvc.logs import METHOD_LIMIT, RequestLine, log_request
from msgsvc.request import Request, Services, public_path
from msgsvc.routes import Lane, Route
from msgsvc.sessions import delete_ended_sessions, is_due_to_prolong, prolong_session
from msgsvc.storage.base import Commit, RolledBackError, StorageError, Transaction

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body."""

logger = logging.getLogger("msgsvc")

RUN_LATER = "msgsvc.run_later"
"""environ key of an optional callable that runs a function on a background thread, unless another one with the same
key, its first argument, still waits or runs.
"""

LOG_REQUEST = "msgsvc.log_request"
"""environ key of an optional callable that logs a request, for a server that writes its log lines itself."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", flags=re.ASCII)

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Call:
    """A request on its way to its response: parse(), handle(), respond(), which a server may run on different threads.

    Whatever happens, the response is JSON with a request id.
    """

    def __init__(self, environ: "WSGIEnvironment", services: Services, urls: MapAdapter) -> None:
        self._started = time.monotonic()
        self._environ = environ
        self._services = services
        self._urls = urls
        self._id = _request_id(environ)
        self._path = ""
        self._handler: Callable[[Request], Response] | None = None
        self._request = Request(environ, services, self._id, Access.ANYONE)
        self._response: Response

    def parse(self) -> Lane:
        """Finds the route, without the database; the lane says which thread is to handle the call."""
        try:
            path = public_path(self._environ)
            match: tuple[Route, Any] = self._urls.match(path, self._environ["REQUEST_METHOD"])
        except (NotFound, UnicodeDecodeError):
            self._response = error_response(ApiError("not_found"))
            return Lane.WORKER
        except MethodNotAllowed as error:
            self._response = self._other_method(path, sorted(error.valid_methods or ()))
            return Lane.WORKER
        route, arguments = match
        self._path = route.path
        if not route.is_public and cors.is_cross_site(self._environ, self._services.settings):
            self._response = error_response(ApiError("cross_site"))
            return route.lane
        self._handler = partial(route.handler, **arguments)
        self._request.access = route.access
        return route.lane

    def _other_method(self, path: str, methods: list[str]) -> Response:
        if not any(self._urls.test(path, method) for method in methods):
            # Werkzeug compares the method before it reads an id, which may be beyond the largest.
            return error_response(ApiError("not_found"))
        allowed = ", ".join(methods)
        if cors.is_preflight(self._environ, self._services.settings):
            return cors.preflight(allowed, self._services.settings)
        return error_response(ApiError("method_not_allowed", f"This path knows only {allowed}"), Allow=allowed)

    def handle(self) -> None:
        """Runs the handler, which authorizes the caller inside its snapshot or transaction."""
        if self._handler:
            self._response = self._guarded(self._handle, self._handler)
            self._prolong_session()

    def _handle(self, handler: Callable[[Request], Response]) -> Response:
        """Reports 401 and 403 before any other fault of the request, and audits a denied admin call."""
        request = self._request
        self._services.database.refuse_late(self._started)
        try:
            try:
                return handler(request)
            except ApiError:
                if not request.access_was_checked:
                    request.authorize()
                raise
        except ApiError as error:
            if error.code == "admin_only":
                denied = partial(audit, by=request.actor(), action="admin_denied", subject=self._path)
                self._services.database.write(denied)
            raise

    def _prolong_session(self) -> None:
        """Prolongs the session once the response is known; a failure does not change the response."""
        request, settings = self._request, self._services.settings
        caller = request.known_caller
        if caller is None or caller.session_used_at is None or request.is_background:
            return
        now = request.now()
        if not is_due_to_prolong(settings, caller.session_used_at, now):
            return

        def prolong(transaction: Transaction) -> None:
            prolong_session(transaction, settings, caller.session_id, now)

        def try_to_prolong() -> None:
            try:
                self._services.database.write(prolong)
                delete_ended_sessions(self._services.database, now)
            except StorageError as error:
                logger.warning("a session was not prolonged: %s", error, extra={"fields": {"request_id": self._id}})

        run_later = self._environ.get(RUN_LATER, _run_now)
        run_later(caller.session_id, try_to_prolong)

    def account(self) -> str | None:
        """The account that calls, once the call has been authorized."""
        caller = self._request.known_caller
        return caller.username if caller else None

    def commit(self) -> None:
        """Waits until the writes of the call are stored; runs the handler again where another call undid them.

        Calling it again does nothing.
        """
        commits, self._request.commits = self._request.commits, None
        if commits and self._handler:
            self._response = self._guarded(self._await_commits, self._handler, commits)

    def respond(self) -> Answer:
        """The response, once the writes of the call are committed."""
        request = self._request
        discard_body(self._environ)
        self.commit()
        response = self._response
        payload = response.payload()
        headers = {**standard_headers(self._id), **cors.response_headers(self._environ, self._services.settings)}
        if response.value is not None:
            headers["Content-Type"] = "application/json"
        if response.status not in (204, 304):
            headers["Content-Length"] = str(len(payload))
        headers.update(response.headers)
        method = self._environ["REQUEST_METHOD"]
        milliseconds = round((time.monotonic() - self._started) * 1000, 3)
        write_line = self._environ.get(LOG_REQUEST, log_request)
        write_line(
            RequestLine(
                self._id,
                method[:METHOD_LIMIT],
                self._path,
                response.status,
                milliseconds,
                self.account() or request.login_name,
                response.code,
                request.login_address,
            )
        )
        return _STATUS_LINES[response.status], list(headers.items()), payload if method != "HEAD" else b""

    def _await_commits(self, handler: Callable[[Request], Response], commits: list[Commit]) -> Response:
        try:
            for commit in commits:
                commit.wait()
        except RolledBackError:
            return self._handle(handler)
        return self._response

    def _guarded(self, step: Callable[..., Response], *arguments: object) -> Response:
        try:
            return step(*arguments)
        except ApiError as error:
            return error_response(error)
        except StorageError as error:
            logger.error("%s: %s", error.code, error, extra={"fields": {"request_id": self._id}})
            return error_response(ApiError(error.code))
        except Exception as error:
            logger.error("internal error: %s", place_of(error), extra={"fields": {"request_id": self._id}})
            return error_response(ApiError("internal_error"))


def new_request_id() -> str:
    """128 random bits."""
    return f"{getrandbits(128):032x}"


def standard_headers(request_id: str) -> dict[str, str]:
    """The headers of every response."""
    return {"X-Request-ID": request_id, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _request_id(environ: "WSGIEnvironment") -> str:
    given: str = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else new_request_id()


def _run_now(_key: object, work: Callable[[], None]) -> None:
    work()
