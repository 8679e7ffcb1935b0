"""Helpers of the storage fault tests: a disk that a test can fill, and assertions about refusals."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import Ran
from support import API
from werkzeug.test import TestResponse

from msgsvc.testing import Client

LONG = "x" * 5000


def sending(sender: Client, content: str = LONG) -> TestResponse:
    return sender.post(f"{API}/send", json={"recipient": "uma", "content": content})


def assert_refused(answer: TestResponse, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (503, code)
    assert int(answer.headers["Retry-After"]) >= 1


def assert_refused_in_one_line(ran: Ran, name: str) -> None:
    assert ran.status == 1
    assert ran.output == ""
    assert len(ran.errors.splitlines()) == 1, ran.errors
    assert name in ran.errors


class Disk:
    """A small file system in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = str(directory / "messages.db")

    def mount(self, options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.directory)], check=True, capture_output=True
        )

    def fill(self) -> None:
        with (self.directory / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                return


def without_the_rights_of_root() -> tuple[str, ...]:
    """A command prefix that makes file modes apply to root too; for other users they apply anyway."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root may write every file, and setpriv is not installed")
    return ("setpriv", "--bounding-set", "-dac_override")
