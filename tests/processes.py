"""Runs msgsvc commands that end by themselves, and builds the environment of child processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parent.parent
WAIT_SECONDS = 60


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    output: str
    errors: str


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without msgsvc's variables, plus the given ones. Children keep their bytecode."""
    foreign = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MSGSVC_")
        and name not in ("PORT", "RAILWAY_VOLUME_MOUNT_PATH", "PYTHONDONTWRITEBYTECODE")
    }
    return {**foreign, "PYTHONPATH": str(CHECKOUT), **variables}


def unmeasured(**variables: str) -> dict[str, str]:
    """The environment of a program that is not msgsvc: measuring its coverage would only make it slower."""
    measuring = "COVERAGE_PROCESS_"
    return {name: value for name, value in environment(**variables).items() if not name.startswith(measuring)}


def msgsvc(*arguments: str, cwd: Path, typed: str = "", command: tuple[str, ...] = (), **variables: str) -> Ran:
    """Runs ``python -m msgsvc``, or the given command instead, until it ends."""
    ran = subprocess.run(
        [*(command or (sys.executable, "-m", "msgsvc")), *arguments],
        cwd=cwd,
        env=environment(**variables),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
