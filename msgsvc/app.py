"""create_app: builds the parts and joins them."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import MethodNotAllowed, NotFound

from msgsvc import cors
from msgsvc.accounts import create_first_admin
from msgsvc.database import Database
from msgsvc.json_http import ApiError, Request, Response, Services
from msgsvc.middleware import Authenticate, Call
from msgsvc.migrations import migrate
from msgsvc.openapi import document
from msgsvc.queries import load, sql_directory
from msgsvc.routes import Route, routes, url_map
from msgsvc.settings import Settings
from msgsvc.tokens import PasswordHasher

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class App:
    """The service as a WSGI application."""

    def __init__(self, services: Services, table: list[Route], authenticate: Authenticate | None) -> None:
        self.services = services
        self._authenticate = authenticate
        self._urls = url_map(table).bind("msgsvc.invalid")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        call = self.call(environ)
        call.parse()
        call.handle()
        status, headers, body = call.respond()
        start_response(status, headers)
        return [body] if body else []

    def call(self, environ: "WSGIEnvironment") -> Call:
        """The request as steps, for a server that schedules them itself."""
        return Call(environ, self.services, self._match, self._authenticate)

    def _match(self, request: Request) -> tuple[Route, Mapping[str, Any]] | Response:
        try:
            match: tuple[Route, Mapping[str, Any]] = self._urls.match(request.path(), request.environ["REQUEST_METHOD"])
        except (NotFound, UnicodeDecodeError):
            raise ApiError(404, "not_found", "No such path") from None
        except MethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            if cors.is_preflight(request.environ, self.services.settings.cors_origins):
                return cors.preflight(allowed)
            raise ApiError(405, "method_not_allowed", f"This path knows only {allowed}", Allow=allowed) from None
        return match

    def close(self) -> None:
        """Releases everything. Closing twice is harmless."""
        self.services.database.close()


def create_app(
    settings: Settings | None = None,
    *,
    authenticate: Authenticate | None = None,
    clock: Callable[[], float] = time.time,
) -> App:
    """A WSGI application on the database of the settings, which is brought to the present schema first.

    Without settings they come from the environment. With ``authenticate``, a function from the WSGI environ to a
    username or None, the accounts are the host's, and login and account paths stay the host's too. ``clock`` gives
    seconds since the epoch.
    Raises SettingsError, MigrationError or OSError.
    """
    settings = settings or Settings.from_environ(os.environ)
    standalone = authenticate is None
    database = Database(settings.database, load(sql_directory() / "queries"), shared=not standalone)
    migrate(database.path)
    table = routes(settings.prefix, standalone=standalone)
    openapi = document(table, standalone=standalone)
    services = Services(settings, database, clock, PasswordHasher(settings.threads), openapi)
    app = App(services, table, authenticate)
    if standalone:
        try:
            create_first_admin(services)
        except Exception:
            app.close()
            raise
    return app


def remote_user(environ: "WSGIEnvironment") -> str | None:
    """The ``authenticate`` for stacks that set REMOTE_USER."""
    return environ.get("REMOTE_USER") or None
