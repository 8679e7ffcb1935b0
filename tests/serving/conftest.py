"""Fixtures of the serving tests."""

from collections.abc import Iterator

import pytest
from raw_clients import DEADLINE, Served
from served import Service, serving, sign_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with a short request deadline, shared by the tests of a module."""
    database = str(tmp_path_factory.mktemp("server") / "messages.db")
    tokens = sign_in(database, thea="therapist", uma="user")
    with serving(database, prepare=f"msgsvc.serving.connection_limits.REQUEST_SECONDS = {DEADLINE}") as service:
        yield Served(service, tokens)
        assert service.stop() == 0
        assert all(line["message"] for line in service.log_lines())
        assert max(len(line) for line in service.log.read_text().splitlines()) < 400


@pytest.fixture
def service(served: Served) -> Service:
    return served.service
