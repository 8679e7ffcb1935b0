"""railway.json: the very start command, with the variables that Railway sets, on a directory in place of the volume."""

import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import CHECKOUT, Serving, call, environment

from msgsvc import server

CONFIG = json.loads((CHECKOUT / "railway.json").read_text())
DEPLOY = CONFIG["deploy"]
ADMIN = {"username": "ada", "password": "correct horse battery"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def deployed(volume: Path, command: str = DEPLOY["startCommand"], **variables: str) -> Iterator[Serving]:
    """A deployment: the command in a shell, in a directory that the next deployment will not have."""
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
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=container,
        env=environment(**{**railway, **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            deployment = Serving(process)
            deployment.wait_until_it_listens()
            deployment.url = f"http://127.0.0.1:{railway['PORT']}"
            yield deployment
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert list(container.iterdir()) == []


def login(url: str) -> str:
    status, body = call(f"{url}/api/auth/login", "POST", body=ADMIN)
    assert (status, body["role"]) == (200, "admin")
    return body["token"]


def test_a_redeployment_finds_everything_again(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with deployed(volume) as first:
        assert call(first.url + DEPLOY["healthcheckPath"])[0] == 200
        token = login(first.url)
        thea = {"username": "thea", "role": "therapist", "password": "a long pass phrase"}
        assert call(f"{first.url}/api/users", "POST", token=token, body=thea)[0] == 201
        message = {"recipient": "thea", "content": "Welcome!"}
        key = {"Idempotency-Key": "welcome"}
        sent = call(f"{first.url}/api/messages/send", "POST", token=token, body=message, headers=key)
        assert (sent[0], sent[1]["message_id"]) == (201, 1)
        asked_to_stop = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - asked_to_stop < DEPLOY["drainingSeconds"]
    assert [json.loads(line)["level"] for line in first.lines].count("error") == 0

    with deployed(volume) as second:
        again = call(f"{second.url}/api/messages/send", "POST", token=token, body=message, headers=key)
        assert again == sent
        inbox = call(f"{second.url}/api/messages/inbox", token=login(second.url))[1]
        assert [entry["last_message"] for entry in inbox["conversations"]] == ["Welcome!"]
        assert second.stop() == 0
    assert {entry.name for entry in volume.iterdir()} == {"messages.db"}


def test_a_redeployment_with_another_admin_password_changes_no_account(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with deployed(volume) as first:
        login(first.url)
    with deployed(volume, MSGSVC_ADMIN_PASSWORD="another pass phrase") as second:
        login(second.url)


def test_every_interface_is_listened_on_only_because_the_command_says_so(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()

    def answers_beyond_localhost(deployment: Serving) -> bool:
        port = int(deployment.url.rpartition(":")[2])
        with socket.socket() as outside:
            return outside.connect_ex(("127.0.0.2", port)) == 0

    with deployed(volume) as railway:
        assert answers_beyond_localhost(railway)
    with deployed(volume, "msgsvc serve") as anywhere_else:
        assert call(f"{anywhere_else.url}/healthz")[0] == 200
        assert not answers_beyond_localhost(anywhere_else)


def test_the_configuration_says_what_railway_understands() -> None:
    assert CONFIG["build"] == {"builder": "RAILPACK"}
    assert DEPLOY["restartPolicyType"] == "ON_FAILURE"
    numbers = ["healthcheckTimeout", "restartPolicyMaxRetries", "overlapSeconds", "drainingSeconds"]
    assert {name: type(DEPLOY[name]) for name in numbers} == dict.fromkeys(numbers, int)
    assert DEPLOY["drainingSeconds"] > server.DRAIN_SECONDS + 2


def test_the_builder_finds_this_package_to_install() -> None:
    """Railpack runs ``pip install -r requirements.txt``, with the sources beside it only where it reads file://."""
    text = (CHECKOUT / "requirements.txt").read_text()
    assert re.findall(r"^[^#\n].*", text, flags=re.MULTILINE) == ["."]
    assert "file://" in text
