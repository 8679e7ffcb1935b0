"""Clients generated from the OpenAPI document are well typed and hold a conversation with the real service."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import unmeasured
from requirements import needs, unavailable
from served import Service, serving

from msgsvc import Settings, create_app
from msgsvc.testing import Client

CLIENTS = Path(__file__).parent / "clients"
PASSWORD = "correct horse battery"
CLIENT_SECONDS = 120

pytestmark = pytest.mark.slow


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A running service where thea and uma can log in. Beside its database lie openapi.json and the clients' files."""
    database = str(tmp_path / "messages.db")
    with closing(Client(create_app(Settings(database=database)))) as client:
        adam = client.as_user("adam", "admin")
        for username, role in (("thea", "therapist"), ("uma", "user")):
            account = {"username": username, "role": role, "password": PASSWORD}
            assert adam.post("/api/users", json=account).status_code == 201
    with serving(database) as service:
        document = service.call("GET", "/api/openapi.json").json
        (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
        shutil.copytree(CLIENTS, tmp_path, dirs_exist_ok=True)
        yield service


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=unmeasured(PYTHONPATH=""),
        capture_output=True,
        text=True,
        check=False,
        timeout=CLIENT_SECONDS,
    )


def succeed(*command: str, cwd: Path) -> None:
    ran = run(*command, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_python_client_is_strictly_typed_and_holds_a_conversation(service: Service, tmp_path: Path) -> None:
    generator, mypy = (needs(name, "pip install -e '.[test]'") for name in ("openapi-python-client", "mypy"))
    (tmp_path / "config.json").write_text('{"post_hooks": []}', encoding="utf-8")
    options = ("--config", "config.json", "--meta", "none", "--output-path", "msgsvc_client", "--fail-on-warning")
    succeed(generator, "generate", "--path", "openapi.json", *options, cwd=tmp_path)
    succeed(mypy, "--strict", "msgsvc_client", "conversation.py", cwd=tmp_path)
    succeed(sys.executable, "conversation.py", service.url, PASSWORD, cwd=tmp_path)


def test_a_typescript_client_is_strictly_typed_and_holds_a_conversation(service: Service, tmp_path: Path) -> None:
    npm, node = (needs(name, "install Node.js 18 or newer") for name in ("npm", "node"))
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    if run(npm, "install", *options, cwd=tmp_path).returncode != 0:
        unavailable("npm cannot install openapi-typescript and openapi-fetch: give it access to its registry")
    programs = tmp_path / "node_modules" / ".bin"
    succeed(str(programs / "openapi-typescript"), "openapi.json", "--output", "schema.d.ts", cwd=tmp_path)
    succeed(str(programs / "tsc"), cwd=tmp_path)
    succeed(node, "conversation.js", service.url, PASSWORD, cwd=tmp_path)
