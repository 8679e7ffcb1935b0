"""Several processes on one database: gunicorn with two workers."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import hosts
import pytest
from processes import environment
from support import faults

SITE = """
import os
import msgsvc
from werkzeug.test import Client

app = msgsvc.create_app(
    msgsvc.Settings(database=os.environ["SITE_DATABASE"], send_rate=0),
    authenticate=lambda environ: environ.get("HTTP_X_USER"),
)
body = {"recipient": "clara", "content": "before any worker"}
assert Client(app).post("/api/messages/send", json=body, headers={"X-User": "thea"}).status_code == 201

def site(environ, start_response):
    def start(status, headers):
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))])
    return app(environ, start)
"""


@contextmanager
def gunicorn(directory: Path, database: str, *options: str) -> Iterator[tuple[int, str]]:
    """Process id and address of a gunicorn with two workers; SIGTERM must end it with status 0."""
    (directory / "site_of_gunicorn.py").write_text(SITE)
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:0", "--no-control-socket"]
    with subprocess.Popen(
        [*command, *options, "site_of_gunicorn:site"],
        cwd=directory,
        env=environment(SITE_DATABASE=database),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            log = ""
            while log.count("Booting worker") < 2 or "Listening at" not in log:
                line = process.stderr.readline()
                assert line, log
                log += line
            yield process.pid, re.search(r"http://127\.0\.0\.1:\d+", log)[0]
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
            assert process.returncode == 0, log
        finally:
            process.kill()


def send(url: str, content: str) -> str:
    """Sends on a new connection; returns the worker that answered."""
    request = urllib.request.Request(
        f"{url}/api/messages/send",
        data=b'{"recipient": "uma", "content": "%s"}' % content.encode(),
        headers={"Content-Type": "application/json", "X-User": "thea"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 201
        return response.headers["X-Worker"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--preload",), ("--threads", "4"), ("--preload", "--threads", "4")])
def test_two_workers_share_one_database(host_database: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    sent = 0
    workers: Counter[str] = Counter()
    with gunicorn(tmp_path, host_database, *options) as (master, url), ThreadPoolExecutor(8) as pool:
        while len(workers) < 2 or min(workers.values()) < 10:
            assert sent < 2000, f"only {workers} answered"
            workers.update(pool.map(lambda n: send(url, f"message {n}"), range(sent, sent + 40)))
            sent += 40
        held = {str(link.readlink()) for link in Path(f"/proc/{master}/fd").iterdir()}
        assert not [name for name in held if name.startswith(host_database)]

    loads = 1 if "--preload" in options else 2
    assert hosts.rows(host_database, "SELECT count(DISTINCT content), count(*) FROM messages") == [
        (sent + 1, sent + loads)
    ]
    assert faults(host_database) == []
