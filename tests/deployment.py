"""A Railway deployment: railway.json's start command, with a directory in place of the volume."""

import json
import os
import random
import socket
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import CHECKOUT, environment
from served import Service, running

CONFIG = json.loads((CHECKOUT / "railway.json").read_text())
DEPLOY = CONFIG["deploy"]
ADMIN = {"username": "ada", "password": "correct horse battery"}


def free_port() -> int:
    """A port that nobody uses, below those that the system gives to clients (ip(7)), so that it stays free."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))) as probe:
            return probe.getsockname()[1]


@contextmanager
def deployed(volume: Path, command: str = DEPLOY["startCommand"], **variables: str) -> Iterator[Service]:
    """Runs the command in a shell, in a directory that must stay empty: a deployment keeps only its volume."""
    railway = {
        "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
        "PORT": str(free_port()),
        "RAILWAY_VOLUME_MOUNT_PATH": str(volume),
        "RAILWAY_ENVIRONMENT_NAME": "production",
        "MSGSVC_ADMIN_USERNAME": ADMIN["username"],
        "MSGSVC_ADMIN_PASSWORD": ADMIN["password"],
    }
    container = volume.parent / "container"
    container.mkdir(exist_ok=True)
    log = volume.parent / "deployment.log"
    with running(
        ["/bin/sh", "-c", command], log, cwd=container, env=environment(**{**railway, **variables})
    ) as service:
        assert service.port == int(railway["PORT"])
        yield service
    assert list(container.iterdir()) == []
