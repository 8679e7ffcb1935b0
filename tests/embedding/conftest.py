"""Hosts, and applications embedded in them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hosts
import pytest
from hosts import Site

import msgsvc
from msgsvc import Settings, create_app, remote_user


@pytest.fixture(scope="session")
def django_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("django") / "site.db"
    hosts.configure_django()
    hosts.create_django_database(str(path))
    return path.read_bytes()


@pytest.fixture
def host_path(tmp_path: Path) -> str:
    """A host's database that msgsvc has not seen yet."""
    path = str(tmp_path / "site.db")
    hosts.create_host_database(path)
    return path


SITES = {
    "flask": hosts.flask_site,
    "flask dispatcher": partial(hosts.flask_site, dispatched=True),
    "django": hosts.django_site,
    "django dispatcher": partial(hosts.django_site, dispatched=True),
    "plain": hosts.plain_site,
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "site.db"
    if request.param.startswith("django"):
        path.write_bytes(request.getfixturevalue("django_database"))
    else:
        hosts.create_host_database(str(path))
    site = SITES[request.param](str(path))
    yield site
    site.messages.close()


@pytest.fixture
def embed(host_path: str) -> Iterator[Callable[..., msgsvc.app.App]]:
    """Makes applications on the host's database; by default REMOTE_USER names the caller."""
    apps = []

    def make(authenticate: Callable[[Any], Any] = remote_user, **settings: Any) -> msgsvc.app.App:
        apps.append(create_app(Settings(**{"database": host_path, **settings}), authenticate=authenticate))
        return apps[-1]

    yield make
    for app in apps:
        app.close()
