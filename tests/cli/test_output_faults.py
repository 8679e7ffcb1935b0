"""Every command ends with one line and the right status when its output, locale or arguments fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hosts
import pytest
from processes import WAIT_SECONDS, Ran, environment

PLAIN_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}


def shell(directory: Path, command: str, typed: bytes = b"", output: int = subprocess.PIPE, **variables: Any) -> Ran:
    """Runs a line of bash, in which $MSGSVC is the program."""
    ran = subprocess.run(
        ["bash", "-c", command.replace("$MSGSVC", f"{sys.executable} -m msgsvc")],
        cwd=directory,
        env=environment(PYTHONUNBUFFERED="", **variables),
        input=typed,
        stdout=output,
        stderr=subprocess.PIPE,
        check=False,
        timeout=WAIT_SECONDS,
    )
    return Ran(ran.returncode, (ran.stdout or b"").decode(), ran.stderr.decode())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With a database that has an account."""
    assert shell(tmp_path, "$MSGSVC user add ann --role user --password-stdin", b"a long pass phrase\n").status == 0
    return tmp_path


def stored(directory: Path) -> list[tuple[Any, ...]]:
    path = str(directory / "messages.db")
    sessions = hosts.rows(path, "SELECT count(*) FROM msgsvc_sessions")
    return [*hosts.rows(path, "SELECT username, password_hash FROM msgsvc_credentials"), *sessions]


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("command", ["user add bob --role user", "user password ann", "token ann"])
def test_a_secret_that_cannot_be_shown_is_not_stored(directory: Path, command: str, redirection: str) -> None:
    before = stored(directory)
    ran = shell(directory, f"$MSGSVC {command} {redirection}")
    assert (ran.status, ran.errors.count("\n")) == (1, 1), ran.errors
    assert ran.errors.startswith("msgsvc: standard output: ")
    assert stored(directory) == before


@pytest.mark.parametrize("command", ["user list", "migrate", "check", "explain ann ann", "backup copy.db"])
def test_output_that_cannot_be_written_is_one_line(directory: Path, command: str) -> None:
    ran = shell(directory, f"$MSGSVC {command} >/dev/full")
    assert (ran.status, ran.errors) == (1, "msgsvc: standard output: No space left on device\n")


@pytest.mark.parametrize("command", ["user list", "migrate", "check", "explain ann ann", "backup copy.db", "--help"])
def test_a_command_whose_reader_has_gone_ends_silently(directory: Path, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = shell(directory, f"$MSGSVC {command}", output=writing)
    finally:
        os.close(writing)
    assert (ran.status, ran.errors) == (141, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("command", "status"), [("check --database missing.db", 1), ("sreve", 2), ("serve --threads 0", 2)]
)
def test_the_status_is_right_when_the_error_cannot_be_shown(
    tmp_path: Path, command: str, status: int, redirection: str
) -> None:
    assert shell(tmp_path, f"$MSGSVC {command} {redirection}").status == status


def test_a_name_that_the_locale_cannot_show_is_escaped(directory: Path) -> None:
    assert shell(directory, "$MSGSVC user add Žofia --role user").status == 0
    ran = shell(directory, "$MSGSVC user list", **PLAIN_LOCALE)
    assert (ran.status, ran.errors) == (0, "")
    assert "\\u017dofia\tuser\tactive\n" in ran.output


NOT_TEXT = {
    "a name": ("user add $'caf\\xe9' --role user", {}),
    "a path": ("check --database $'caf\\xe9.db'", {}),
    "a destination": ("backup $'caf\\xe9.db'", {}),
    "a path of the environment": ("migrate", {"MSGSVC_DATABASE": b"caf\xe9.db"}),
    "a path of Railway": ("migrate", {"RAILWAY_VOLUME_MOUNT_PATH": b"/caf\xe9"}),
    "a name that the locale cannot read": ("user add Žofia --role user", PLAIN_LOCALE),
    "a password": ("user add bob --role user --password-stdin", {}),
}


@pytest.mark.parametrize(("command", "variables"), NOT_TEXT.values(), ids=NOT_TEXT)
def test_bytes_that_are_not_text_are_refused_in_one_line(
    directory: Path, command: str, variables: dict[str, Any]
) -> None:
    files = sorted(directory.iterdir())
    ran = shell(directory, f"$MSGSVC {command}", b"caf\xe9 long enough\n", **variables)
    assert (ran.status, ran.output, ran.errors.count("\n")) == (2, "", 1), ran.errors
    assert sorted(directory.iterdir()) == files


def test_a_path_that_is_not_text_ends_the_server_with_a_json_line(tmp_path: Path) -> None:
    ran = shell(tmp_path, "$MSGSVC serve --database $'caf\\xe9.db'")
    assert ran.status == 2
    assert "udce9" in json.loads(ran.errors)["message"]


def test_an_unexpected_error_is_one_line_that_says_where(directory: Path) -> None:
    program = "import msgsvc.cli, msgsvc.cli.accounts as a; a.opened = lambda options: {}['secret']; msgsvc.cli.main()"
    ran = shell(directory, f'{sys.executable} -c "{program}" user list')
    assert ran.errors.startswith("msgsvc: internal error: KeyError < ")
    assert ran.errors.count("\n") == 1
    assert "secret" not in ran.errors
