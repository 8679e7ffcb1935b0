"""What the tests share: a client on a real database of its own, a clock to turn, and four people."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from conformance import description
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.testing import Client, Clock

PEOPLE = {"thea": "therapist", "clara": "clinician", "uma": "user", "ugo": "user", "adam": "admin"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database_path(tmp_path: Path) -> str:
    return str(tmp_path / "messages.db")


@pytest.fixture
def client(database_path: str, clock: Clock) -> Iterator[Client]:
    client = Client(create_app(Settings(database=database_path, send_rate=0), clock=clock))
    yield client
    client.close()


@pytest.fixture
def people(client: Client) -> dict[str, Client]:
    """A client for each of thea, clara, uma, ugo and adam."""
    return {username: client.as_user(username, role) for username, role in PEOPLE.items()}


@pytest.fixture
def host(client: Client, database_path: str) -> Iterator[sqlite3.Connection]:
    """The same database as a host's own code writes to it by plain SQL."""
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture(scope="session", autouse=True)
def every_response_is_judged() -> Iterator[None]:
    """Whatever a client of the kit receives must be WSGI to the letter, and foreseen by the OpenAPI document."""
    unjudged = Client.open

    def judged(client: Client, *args: Any, **kwargs: Any) -> TestResponse:
        client.application = validator(client.app)
        response = unjudged(client, *args, **{"buffered": True, **kwargs})
        description(client.app.services.openapi).judge(response)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "open", judged)
        yield
