"""Shared fixtures: a client on a new database, a clock, five people, and checks of every response and log line."""

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from wsgiref.validate import validator

import postgresql_server
import pytest
from conformance import description
from support import PEOPLE, connected
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app, tokens
from msgsvc.serving.logs import JsonFormatter
from msgsvc.storage.engines import is_uri
from msgsvc.testing import Client, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database_path(tmp_path: Path) -> str:
    return str(tmp_path / "messages.db")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What uses a database runs on both engines; a test that asks for the path of the file is about SQLite."""
    if "engine" in metafunc.fixturenames:
        engines: list[Any] = ["sqlite"]
        if "database_path" not in metafunc.fixturenames and _runs_on_postgresql(metafunc):
            engines.append(pytest.param("postgresql", marks=pytest.mark.postgresql))
        metafunc.parametrize("engine", engines, scope="module")


ALL = "true" in {os.environ.get("CI"), os.environ.get("TEST_ALL")}
"""Whether the longest tests run too, and all that can run on both engines do."""

POSTGRESQL_MODULES = {"test_conversations", "test_inbox", "test_messages", "test_sessions"}
"""The core of the contract. The other modules run on PostgreSQL with TEST_ALL=true or with -m postgresql."""


def _runs_on_postgresql(metafunc: pytest.Metafunc) -> bool:
    everything = ALL or metafunc.config.getoption("markexpr") == "postgresql"
    return everything or metafunc.module.__name__ in POSTGRESQL_MODULES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the longest tests where no file and no marker is named."""
    if ALL or config.getoption("markexpr") or list(config.args) != config.getini("testpaths"):
        return
    longest = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("fault")]
    items[:] = [item for item in items if item not in set(longest)]
    config.hook.pytest_deselected(items=longest)


@contextmanager
def new_database(engine: str, directory: Path, *, empty: bool = False) -> Iterator[str]:
    """What the setting of that name says, for a new database; ``empty`` is one without our schema."""
    if engine == "sqlite":
        yield str(directory / "messages.db")
    else:
        database = postgresql_server.new_database(empty=empty)
        yield database
        postgresql_server.drop_database(database)


@pytest.fixture
def database(engine: str, tmp_path: Path) -> Iterator[str]:
    """A database for each engine."""
    with new_database(engine, tmp_path) as database:
        yield database


@pytest.fixture
def empty_database(engine: str, tmp_path: Path) -> Iterator[str]:
    """A database for each engine, without our schema."""
    with new_database(engine, tmp_path, empty=True) as database:
        yield database


@pytest.fixture(scope="module")
def shared_database(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for each engine and module."""
    with new_database(engine, tmp_path_factory.mktemp("shared")) as database:
        yield database


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, migrated once: migrating takes longer than most tests of the API."""
    path = tmp_path_factory.mktemp("migrated") / "messages.db"
    create_app(Settings(database=str(path))).close()
    return path


@pytest.fixture
def client(migrated_database: Path, database: str, clock: Clock) -> Iterator[Client]:
    if not is_uri(database):
        shutil.copyfile(migrated_database, database)
    client = Client(create_app(Settings(database=database, send_rate=0, page=""), clock=clock))
    yield client
    client.close()


@pytest.fixture
def people(client: Client) -> dict[str, Client]:
    """A client for each of thea, clara, uma, ugo and adam."""
    return {username: client.as_user(username, role) for username, role in PEOPLE.items()}


@pytest.fixture
def host(client: Client, database: str) -> Iterator[Any]:
    """A connection to the client's database, for a host's own SQL."""
    with closing(connected(database)) as connection:
        yield connection


@pytest.fixture(scope="session", autouse=True)
def children_start_with_default_sigint() -> Iterator[None]:
    """A script's background job ignores SIGINT and children inherit that. They do not inherit a handler."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


_FULL_COST = tokens.HASH_METHOD


@pytest.fixture(scope="session", autouse=True)
def passwords_are_hashed_quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "HASH_METHOD", "scrypt:512:8:1")
        yield


@pytest.fixture
def full_hashing_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as the service hashes them, for a test of that cost."""
    monkeypatch.setattr(tokens, "HASH_METHOD", _FULL_COST)


@pytest.fixture(scope="session", autouse=True)
def postgresql_has_time() -> Iterator[dict[str, float]]:
    """A busy machine may take long for what is not to fail. Gives the limits of the service; a test of one sets it."""
    limits = {name: resolve_name(":".join(name.rsplit(".", 1))) for name in postgresql_server.PATIENCE}
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in postgresql_server.PATIENCE.items():
            patch.setattr(name, limit)
        yield {name.rpartition(".")[2]: limit for name, limit in limits.items()}


class _Lines(logging.Handler):
    """Every log line of the suite, as `msgsvc serve` would write it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        # A list, because appending to one string copies it for every line.
        self.written: list[str] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))


@pytest.fixture(scope="session", autouse=True)
def suite_logs_nothing_private() -> Iterator[None]:
    """The log of the suite has no session token, and no text that a test marked "sentinel"."""
    lines, given_tokens = _Lines(), set()
    as_user = Client.as_user

    def remembered(client: Client, *args: Any, **kwargs: Any) -> Client:
        acting = as_user(client, *args, **kwargs)
        given_tokens.add(acting.identity["HTTP_AUTHORIZATION"].removeprefix("Bearer "))
        return acting

    log = logging.getLogger("msgsvc")
    level = log.level
    log.addHandler(lines)
    log.setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "as_user", remembered)
        yield
    log.removeHandler(lines)
    log.setLevel(level)
    text = "\n".join(lines.written)
    assert "sentinel" not in text
    assert not [token for token in given_tokens if token in text]


@pytest.fixture(scope="session", autouse=True)
def every_response_is_checked() -> Iterator[None]:
    """Every response to a test client must conform to WSGI (PEP 3333) and to the OpenAPI document."""
    unjudged = Client.open

    def judged(client: Client, *args: Any, **kwargs: Any) -> TestResponse:
        client.application = validator(client.app)
        response = unjudged(client, *args, **{"buffered": True, **kwargs})
        description(client.app.services.openapi).judge(response)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "open", judged)
        yield
