"""The configurations on the operating page are used as they stand there; only addresses and certificates differ."""

import configparser
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import hosts
import pytest
from deployment import free_port
from pages import block_of
from processes import CHECKOUT, environment
from raw_clients import ADDRESS, until
from requirements import needs
from served import ANSWER_SECONDS, START_SECONDS, Answer, call, serving, sign_in
from support import API

from msgsvc.cli.parser import build_parser

OPERATING = CHECKOUT / "docs" / "operating.md"
MEGABYTE = 1024 * 1024


@contextmanager
def program(
    command: list[str], port: int, directory: Path, stop: int = signal.SIGTERM, **variables: str
) -> Iterator[None]:
    """Runs a server until the end of the block; its output goes to a file in the directory."""
    log = directory / "program.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=directory,
            env=environment(**variables),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):
        try:
            assert until(lambda: listens(port) or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield
            process.send_signal(stop)
            assert process.wait(START_SECONDS) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((ADDRESS, port)) == 0


def once(port: int, method: str, path: str, body: object = None, **headers: str) -> Answer:
    with closing(HTTPConnection(ADDRESS, port, timeout=ANSWER_SECONDS)) as connection:
        return call(connection, method, path, body, **headers)


def nginx(directory: Path, port: int, upstream: int) -> list[str]:
    """nginx as root of its own files in the directory, without TLS."""
    site = block_of(OPERATING, "nginx").replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = re.sub(r"ssl_certificate.*\n", "\n", site).replace("listen 443 ssl", f"listen {ADDRESS}:{port}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {directory / kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"daemon off; {user} pid {directory}/nginx.pid; error_log stderr warn; events {{}}\n"
        f"http {{ access_log off; {paths}\n{site} }}\n"
    )
    return [needs("nginx", "apt-get install nginx-light"), "-c", str(directory / "nginx.conf"), "-e", "stderr"]


def caddy(directory: Path, port: int, upstream: int) -> list[str]:
    site = block_of(OPERATING, "caddy").replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("messages.example.org", f"http://{ADDRESS}:{port}")
    (directory / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    return [needs("caddy", "apt-get install caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
def test_the_proxy_of_the_page_serves_and_tells_the_address(
    tmp_path: Path, proxy: Callable[[Path, int, int], list[str]]
) -> None:
    database = str(tmp_path / "messages.db")
    tokens = sign_in(database, thea="therapist", uma="user")
    message = {"recipient": "uma", "content": "Hello"}
    caller = {"Authorization": tokens["thea"]}
    with serving(database, trusted_proxy=ADDRESS) as service:
        port = free_port()
        with program(
            proxy(tmp_path, port, service.port), port, tmp_path, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path)
        ):
            for size in (70_000, MEGABYTE - 1, 5 * MEGABYTE, 15 * MEGABYTE):
                refused = once(port, "POST", f"{API}/send", b" " * size, **caller)
                assert (refused.status, refused.json["code"]) == (413, "body_too_large"), size
                for _ in range(3):
                    assert once(port, "POST", f"{API}/send", message, **caller).status == 201
            answer = once(port, "GET", f"{API}/inbox", **caller)
            tag = answer.headers["ETag"]
            assert once(port, "GET", f"{API}/inbox", If_None_Match=tag, **caller).status == 304
            wrong = {"username": "uma", "password": "wrong password"}
            assert once(port, "POST", "/api/auth/login", wrong, X_Forwarded_For="203.0.113.7").status == 401
    (subject,) = hosts.rows(database, "SELECT subject FROM msgsvc_login_attempts WHERE subject LIKE 'address:%'")
    assert subject == (f"address:{ADDRESS}",)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gunicorn", "uwsgi"])
def test_the_wsgi_server_of_the_page_answers_after_what_it_refuses(tmp_path: Path, name: str) -> None:
    """Calls follow each other on one connection, as a proxy sends those of different people."""
    path = needs(name, f"pip install {name}")
    command = shlex.split(block_of(OPERATING, "sh", f"{name} --").replace("\\\n", " "))
    port = free_port()
    command = [path, *(word.replace(":8000", f":{port}") for word in command[1:])]
    database = str(tmp_path / "messages.db")
    tokens = sign_in(database, thea="therapist", uma="user")
    caller = {"Authorization": tokens["thea"]}
    message = {"recipient": "uma", "content": "Hello"}
    variables = {"UWSGI_VIRTUALENV": sysconfig.get_path("data"), "MSGSVC_DATABASE": database, "MSGSVC_SEND_RATE": "0"}
    with (
        program(command, port, tmp_path, **variables),
        closing(HTTPConnection(ADDRESS, port, timeout=ANSWER_SECONDS)) as connection,
    ):
        for method, target, size, status in (
            ("POST", f"{API}/send", 70_000, 413),
            ("POST", f"{API}/send", MEGABYTE, 413),
            ("POST", "/nowhere", 70_000, 404),
            ("GET", f"{API}/inbox", 70_000, 200),
            ("POST", "/healthz", 70_000, 405),
        ):
            assert call(connection, method, target, b" " * size, **caller).status == status, target
            if name == "uwsgi":  # It keeps no connection.
                connection.close()
            assert call(connection, "POST", f"{API}/send", message, **caller).status == 201
            if name == "uwsgi":
                connection.close()


def arguments_of(line: str) -> list[str]:
    return shlex.split(line)[1:]


def test_the_systemd_unit_of_the_page_starts_the_service_and_waits_for_its_stop() -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(block_of(OPERATING, "ini"))
    service = unit["Service"]
    assert build_parser().parse_args(arguments_of(service["ExecStart"])).run.__name__ == "serve"
    assert int(service["TimeoutStopSec"]) >= 30
    assert service["Environment"].startswith(f"MSGSVC_DATABASE=/var/lib/{service['StateDirectory']}/")


def healthy(arguments: list[str]) -> bool:
    ran = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, timeout=ANSWER_SECONDS)
    return ran.returncode == 0


def test_the_container_of_the_page_starts_and_its_health_check_works(tmp_path: Path) -> None:
    lines = block_of(OPERATING, "dockerfile").replace("\\\n", " ").splitlines()
    words = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    settings = dict(word.split("=") for word in words["ENV"].split())
    program_, *arguments = json.loads(words["CMD"])
    assert (program_, build_parser().parse_args(arguments).run.__name__) == ("msgsvc", "serve")
    assert set(settings) == {"MSGSVC_DATABASE", "MSGSVC_HOST"}
    _, *check = json.loads(words["HEALTHCHECK"].split("CMD ")[1])
    with serving(str(tmp_path / "messages.db"), host=settings["MSGSVC_HOST"]) as service:
        checked = [word.replace(":8000/", f":{service.port}/") for word in check]
        assert healthy(checked)
        assert service.stop() == 0
        assert not healthy(checked)
