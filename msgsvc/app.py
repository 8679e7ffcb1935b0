"""create_app: builds the parts and joins them."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgsvc import fields
from msgsvc.accounts import create_first_admin, forget, put_account, warn_without_accounts
from msgsvc.audit import Actor
from msgsvc.authorization import Authenticate, HostAuthentication, SessionAuthentication
from msgsvc.client_address import ClientAddresses
from msgsvc.errors import ApiError
from msgsvc.json_http import encode_json
from msgsvc.middleware import Answer, Call
from msgsvc.openapi import document
from msgsvc.page import page_routes
from msgsvc.request import Services
from msgsvc.roles import RoleNames
from msgsvc.routes import Route, routes, url_map
from msgsvc.sessions import shorten_sessions
from msgsvc.settings import Settings
from msgsvc.storage.engines import engine_for
from msgsvc.tokens import PasswordHasher

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger("msgsvc")


class App:
    """The service as a WSGI application."""

    def __init__(self, services: Services, table: list[Route]) -> None:
        self.services = services
        self._urls = url_map(table).bind("msgsvc.invalid")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        status, headers, body = self.answer(environ)
        start_response(status, headers)
        return [body] if body else []

    def answer(self, environ: "WSGIEnvironment") -> Answer:
        """Status line, headers and body."""
        call = self.call(environ)
        call.parse()
        call.handle()
        return call.respond()

    def call(self, environ: "WSGIEnvironment") -> Call:
        """The request in steps, for a server that runs them apart."""
        return Call(environ, self.services, self._urls)

    def put_account(self, username: str, role: str) -> None:
        """Copies an account that the host keeps elsewhere into ``users``, or changes its role there.

        A name that no path can carry is left out with a warning, so that one such account stops no start of a host.
        Raises ApiError for a bad role, and for a name that the database holds in another case; StorageError where the
        database fails, or refuses the row because a column of a host's ``users`` is required.
        """
        try:
            name = fields.addressable_username("username", username)
        except ApiError as error:
            logger.warning("put_account left out %.64r: %s", username, error.sentence)
            return
        role = fields.text("role", role, limit=fields.NAME_LIMIT)
        self.services.database.write(lambda transaction: put_account(transaction, self._host(), name, role))

    def forget(self, username: str) -> None:
        """Hides the person's side of every message and removes what belongs to the name, so that its next owner starts
        with an empty inbox. The account itself stays, and so does what others see.

        Raises StorageError where the database fails.
        """
        forget(self.services.database, self._host(), username)

    def _host(self) -> Actor:
        return Actor("api", self.services.clock())

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

    Without ``settings`` they come from the environment. With ``authenticate``, a function from the WSGI environ to a
    username or None, the accounts are the host's, and the login and account paths are not served. ``clock`` gives
    seconds since the epoch.
    Raises SettingsError, MigrationError or OSError.
    """
    app = build_app(settings or Settings.from_environ(os.environ), authenticate, clock)
    try:
        shorten_sessions(app.services.database, app.services.settings)
    except Exception:
        app.close()
        raise
    return app


def build_app(
    settings: Settings, authenticate: Authenticate | None = None, clock: Callable[[], float] = time.time
) -> App:
    """The application for a command that serves no calls, so that its settings shorten no session."""
    standalone = authenticate is None
    table = routes(settings.prefix, standalone=standalone)
    pages = page_routes(settings, table, standalone=standalone)
    roles = RoleNames(settings.roles)
    services = Services(
        settings,
        engine_for(settings.database).open(settings.database, not standalone, settings.display_name_column),
        SessionAuthentication(settings, roles) if authenticate is None else HostAuthentication(authenticate, roles),
        clock,
        PasswordHasher(settings.threads),
        ClientAddresses(settings),
        roles,
        encode_json(document(table, standalone=standalone)),
    )
    app = App(services, table + pages)
    try:
        if standalone:
            create_first_admin(services)
        else:
            warn_without_accounts(services)
    except Exception:
        app.close()
        raise
    return app


def remote_user(environ: "WSGIEnvironment") -> str | None:
    """The ``authenticate`` for stacks that set REMOTE_USER."""
    return environ.get("REMOTE_USER") or None
