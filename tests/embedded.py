"""Calls to an application that is embedded in a host, and the processes that such tests start."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from werkzeug.test import Client, TestResponse

SEND = "/api/messages/send"


def as_remote_user(wsgi: Any, username: str) -> Callable[..., TestResponse]:
    """A caller for whom the stack has set REMOTE_USER."""

    def call(path: str, method: str = "GET", **more: Any) -> TestResponse:
        environ = {"REMOTE_USER": username}
        return Client(wsgi).open(path, method=method, environ_base=environ, buffered=True, **more)

    return call


def post(browser: Client, recipient: str, content: str = "Hello") -> TestResponse:
    return browser.post(SEND, json={"recipient": recipient, "content": content}, buffered=True)


def read(browser: Client, path: str) -> Any:
    answer = browser.get(f"/api/messages/{path}", buffered=True)
    assert answer.status_code == 200, answer.text
    return answer.json


def run_python(script: str, *arguments: str) -> str:
    """Runs the script in a new Python process with warnings as errors; returns its output."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
