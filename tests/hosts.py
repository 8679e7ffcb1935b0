"""Three hosts that embed msgsvc: a Flask site, a Django site and a plain WSGI site, each with its own login.

All three have the same tables: accounts with more columns than msgsvc needs, and tables that msgsvc must not touch.
"""

# ruff: noqa: PLC0415 (most of Django can only be imported once it is configured)

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.cookies import SimpleCookie
from typing import Any
from wsgiref.validate import validator

import django
import flask
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from support import connected
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

import msgsvc
import msgsvc.django
import msgsvc.flask
from msgsvc.storage.engines import is_uri

PASSWORD = "correct horse"
PASSWORD_HASH = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1")
ROLES = {"thea": "therapist", "clara": "clinician", "uma": "user", "zoë": "user", "adam": "admin"}

HOST_TABLES = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    theme TEXT DEFAULT 'dark'
);
CREATE TABLE sessions (cookie TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id));
CREATE TABLE blocks (id INTEGER PRIMARY KEY, colour TEXT);
CREATE TABLE audit (id INTEGER PRIMARY KEY, invoice TEXT);
INSERT INTO blocks (colour) VALUES ('red');
INSERT INTO audit (invoice) VALUES ('paid');
"""

Wsgi = Callable[..., Any]


def create_host_database(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(HOST_TABLES)
        connection.executemany(
            "INSERT INTO users (email, username, password_hash, role) VALUES (?, ?, ?, ?)",
            [(f"{name}@example.org", name, PASSWORD_HASH, role) for name, role in ROLES.items()],
        )
        connection.commit()


def script(database: str, statements: str) -> None:
    """Runs several statements."""
    if is_uri(database):
        rows(database, statements)
    else:
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(statements)


def rows(database: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Runs and commits plain SQL on a separate connection, like a host's own code."""
    with closing(connected(database)) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def mounted(site: Wsgi, messages: Wsgi, at: str = "/api/messages") -> Wsgi:
    """The site with msgsvc mounted; wsgiref's validator checks every call to msgsvc against PEP 3333."""
    return DispatcherMiddleware(site, {at: validator(messages)})


class Site:
    """A host site with msgsvc mounted."""

    def __init__(
        self,
        path: str,
        site: Wsgi,
        authenticate: Callable[[Any], str | None],
        mount: Callable[[Wsgi, msgsvc.app.App], Wsgi] = mounted,
    ) -> None:
        self.path = path
        self.messages = msgsvc.create_app(msgsvc.Settings(database=path), authenticate=authenticate)
        self.wsgi = mount(site, self.messages)

    def browser(self, username: str | None = None) -> Client:
        """A client with cookies, logged in through the host's own page."""
        browser = Client(self.wsgi)
        if username:
            answer = browser.post("/login", data={"username": username, "password": PASSWORD}, buffered=True)
            assert answer.text == "welcome"
        return browser


def flask_site(
    path: str, *, dispatched: bool = False, password_hash_of: Callable[[str], str | None] | None = None
) -> Site:
    """Messages as a blueprint, or beside the site behind a dispatcher."""
    site = flask.Flask(__name__)
    site.secret_key = "not secret here"

    def select_password_hash(username: str) -> str | None:
        found = rows(path, "SELECT password_hash FROM users WHERE username = ?", username)
        return found[0][0] if found else None

    @site.post("/login")
    def login() -> str:
        form = flask.request.form
        password_hash = (password_hash_of or select_password_hash)(form["username"])
        if not password_hash or not check_password_hash(password_hash, form["password"]):
            flask.abort(403)
        flask.session["username"] = form["username"]
        return "welcome"

    @site.post("/logout")
    def logout() -> str:
        flask.session.clear()
        return "goodbye"

    @site.route("/<path:_path>")
    def page(_path: str) -> str:
        return "the host's page"

    def logged_in(environ: Any) -> str | None:
        with site.request_context(environ):
            return flask.session.get("username")

    if dispatched:
        return Site(path, site, logged_in)
    return Site(path, site, lambda _environ: flask.session.get("username"), _register_blueprint)


def _register_blueprint(site: Any, messages: msgsvc.app.App) -> Wsgi:
    site.register_blueprint(msgsvc.flask.blueprint(messages))
    return site


def plain_site(path: str) -> Site:
    """A site without a framework; its sessions are rows of the table ``sessions``."""

    @Request.application
    def site(request: Request) -> Response:
        if request.path == "/login":
            username, password = request.form["username"], request.form["password"]
            ((user_id, password_hash),) = rows(path, "SELECT id, password_hash FROM users WHERE username = ?", username)
            assert check_password_hash(password_hash, password)
            rows(path, "INSERT OR IGNORE INTO sessions (cookie, user_id) VALUES (?, ?)", f"cookie-{user_id}", user_id)
            response = Response("welcome")
            response.set_cookie("sid", f"cookie-{user_id}")
            return response
        if request.path == "/logout":
            rows(path, "DELETE FROM sessions WHERE cookie = ?", request.cookies["sid"])
            return Response("goodbye")
        return Response("the host's page")

    def logged_in(environ: Any) -> str | None:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("sid")
        found = cookie and rows(
            path,
            "SELECT username FROM sessions JOIN users ON users.id = user_id WHERE cookie = ?",
            cookie.value,
        )
        return found[0][0] if found else None

    return Site(path, site, logged_in)


DJANGO_ACCOUNTS = """
CREATE TRIGGER host_users_insert AFTER INSERT ON auth_user
BEGIN
    INSERT INTO users (email, username, password_hash, role)
    VALUES (new.email, new.username, '', CASE WHEN new.is_superuser THEN 'admin' ELSE new.first_name END);
END;
"""


def _django_login(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import authenticate, login

    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    assert user
    login(request, user)
    return HttpResponse("welcome")


def _django_logout(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import logout

    logout(request)
    return HttpResponse("goodbye")


def _django_page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("the host's page")


urlpatterns = [re_path("^login$", _django_login), re_path("^logout$", _django_logout), re_path("", _django_page)]


def configure_django() -> None:
    if not django_settings.configured:
        django_settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
            ],
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            ROOT_URLCONF=__name__,
            SECRET_KEY="not secret here",
            ALLOWED_HOSTS=["*"],
            LOGGING_CONFIG=None,
            USE_TZ=True,
        )
        django.setup()


@contextmanager
def django_database(settings: dict[str, object]) -> Iterator[None]:
    """Gives Django this database for the length of the block."""
    from django.db import connections

    before = connections.settings["default"]
    connections["default"].close()
    connections.settings["default"] = connections.configure_settings({"default": settings})["default"]
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = before
        del connections["default"]


def create_django_database(path: str) -> None:
    """Django's own tables and accounts; a trigger copies each account into the host's ``users``."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = path
    fill_django_database(lambda: script(path, HOST_TABLES + DJANGO_ACCOUNTS))


def fill_django_database(create_host_tables: Callable[[], None]) -> None:
    """Creates Django's tables, the host's, and the accounts."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    create_host_tables()
    for name, role in ROLES.items():
        User.objects.create_user(name, f"{name}@example.org", PASSWORD, first_name=role, is_superuser=role == "admin")
    connection.close()


def django_site(path: str, *, dispatched: bool = False) -> Site:
    """Messages among the URL patterns, or beside the site behind a dispatcher."""
    from django.contrib.auth import get_user
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.db import close_old_connections, connection

    if not is_uri(path):
        connection.close()
        connection.settings_dict["NAME"] = path

    def logged_in(environ: Any) -> str | None:
        request = WSGIRequest(dict(environ))
        request.session = SessionStore(request.COOKIES.get(django_settings.SESSION_COOKIE_NAME))
        try:
            return get_user(request).get_username() or None
        finally:
            close_old_connections()

    django_settings.ROOT_URLCONF = __name__
    if dispatched:
        return Site(path, WSGIHandler(), logged_in)
    return Site(path, WSGIHandler(), django_user, _include_urls)


def django_user(environ: Any) -> str | None:
    return environ["django.request"].user.get_username() or None


def _include_urls(site: Wsgi, messages: msgsvc.app.App) -> Wsgi:
    django_settings.ROOT_URLCONF = (path("api/messages/", include(msgsvc.django.urls(messages))), *urlpatterns)
    return site
