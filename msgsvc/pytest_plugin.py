"""The pytest fixture ``msgsvc_client``: there for everyone who has msgsvc and pytest installed."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgsvc.testing import Client


@pytest.fixture
def msgsvc_client() -> "Iterator[Client]":
    """A msgsvc.testing.Client on an application and a database of its own, which go with the test."""
    from msgsvc.testing import Client  # noqa: PLC0415

    client = Client()
    yield client
    client.close()
