"""The pytest fixture ``msgsvc_client``, available wherever msgsvc and pytest are installed."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgsvc.testing import Client


@pytest.fixture
def msgsvc_client() -> "Iterator[Client]":
    """A msgsvc.testing.Client on an application and a database of its own, which the end of the test removes."""
    from msgsvc.testing import Client  # noqa: PLC0415

    client = Client()
    yield client
    client.close()
