"""Hosts, and applications embedded in them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hosts
import postgresql_hosts
import postgresql_server
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


@pytest.fixture(scope="session")
def django_database_on_postgresql() -> str:
    hosts.configure_django()
    return postgresql_hosts.create_django_database()


@pytest.fixture
def host_path(tmp_path: Path) -> str:
    """A host's database that msgsvc has not seen yet."""
    path = str(tmp_path / "site.db")
    hosts.create_host_database(path)
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def host_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A host's database on each engine; msgsvc has not seen it yet."""
    if request.param == "sqlite":
        yield request.getfixturevalue("host_path")
    else:
        uri = postgresql_hosts.create_flask_database()
        yield uri
        postgresql_server.drop_database(uri)


SITES = {
    "flask": hosts.flask_site,
    "flask dispatcher": partial(hosts.flask_site, dispatched=True),
    "django": hosts.django_site,
    "django dispatcher": partial(hosts.django_site, dispatched=True),
    "plain": hosts.plain_site,
}


@pytest.fixture(
    params=[*SITES, *(pytest.param(f"{name} postgresql", marks=pytest.mark.postgresql) for name in ("flask", "django"))]
)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param.endswith("postgresql"):
        site = request.getfixturevalue(f"{request.param.split()[0]}_site_on_postgresql")
    else:
        path = tmp_path / "site.db"
        if request.param.startswith("django"):
            path.write_bytes(request.getfixturevalue("django_database"))
        else:
            hosts.create_host_database(str(path))
        site = SITES[request.param](str(path))
    yield site
    site.messages.close()


@pytest.fixture
def flask_site_on_postgresql() -> Iterator[Site]:
    """Its accounts are found by SQLAlchemy."""
    uri = postgresql_hosts.create_flask_database()
    yield postgresql_hosts.flask_site(uri)
    postgresql_server.drop_database(uri)


@pytest.fixture
def django_site_on_postgresql(django_database_on_postgresql: str) -> Iterator[Site]:
    uri = postgresql_server.copy_of(django_database_on_postgresql)
    with hosts.django_database(postgresql_hosts.settings_of_django(uri)):
        yield hosts.django_site(uri)
    postgresql_server.drop_database(uri)


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
