"""Fixtures of the serving tests."""

from collections.abc import Iterator

import pytest
from raw_clients import DEADLINE, Served
from served import Service, serving, sign_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for all tests that leave it as they found it, with a short deadline."""
    database = str(tmp_path_factory.mktemp("server") / "messages.db")
    tokens = sign_in(database, thea="therapist", uma="user")
    with serving(database, prepare=f"msgsvc.server.REQUEST_SECONDS = {DEADLINE}") as service:
        yield Served(service, tokens)
        assert service.stop() == 0
        assert all(line["message"] for line in service.log_lines())


@pytest.fixture
def service(served: Served) -> Service:
    return served.service
