"""`msgsvc serve` and `check` refuse a file that is no sound database, and leave it as it was.

On SQLite: a PostgreSQL database has no file of ours.
"""

import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from processes import msgsvc
from served import sign_in
from storage_faults import LONG, Disk, assert_refused_in_one_line, without_the_rights_of_root
from support import send

from msgsvc import Settings, create_app
from msgsvc.storage.sqlite.migrations import PAGE_BYTES
from msgsvc.testing import Client


def damaged_in(page: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        sign_in(str(path), uma="user", thea="therapist")
        content = bytearray(path.read_bytes())
        content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
        path.write_bytes(content)

    return damage


def truncated(path: Path) -> None:
    sign_in(str(path), uma="user")
    path.write_bytes(path.read_bytes()[:20_000])


def damaged_with_wal(path: Path) -> None:
    """A damaged file beside a WAL that was not checkpointed, as a killed process leaves it."""
    original = path.with_name("original.db")
    sign_in(str(original), uma="user", thea="therapist")
    with closing(Client(create_app(Settings(database=str(original))))) as client:
        send(client.as_user("thea", "therapist"), "uma", LONG)
        shutil.copy(f"{original}-wal", f"{path}-wal")
        shutil.copy(original, path)
    with path.open("r+b") as file:
        file.seek(3 * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)
    original.unlink()


NO_DATABASES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("Dear diary,\n" * 1000),
    "a few bytes": lambda path: path.write_bytes(b"SQL"),
    "a header and nothing more": lambda path: path.write_bytes(b"SQLite format 3\0" + b"\0" * 84),
    "a damaged first page": damaged_in(0),
    "a damaged page": damaged_in(3),
    "cut off": truncated,
    "damaged, with a write-ahead log": damaged_with_wal,
    "a directory": lambda path: path.mkdir(),
}


def files(directory: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in directory.iterdir()}


@pytest.mark.parametrize("make", NO_DATABASES.values(), ids=list(NO_DATABASES))
@pytest.mark.parametrize("command", ["serve", "check"])
def test_unsound_database_is_refused_in_one_line_and_unchanged(
    tmp_path: Path, make: Callable[[Path], object], command: str
) -> None:
    path = tmp_path / "messages.db"
    make(path)
    before = files(tmp_path)
    port = ["--port", "0"] if command == "serve" else []
    ran = msgsvc(command, *port, "--database", str(path), cwd=tmp_path)
    if command == "serve":
        assert_refused_in_one_line(ran, "messages.db")
    else:
        assert ran.status == 1
        assert ran.errors.count("\n") == 1
    assert before.items() <= files(tmp_path).items()


def test_a_missing_directory_is_named_and_not_created(tmp_path: Path) -> None:
    ran = msgsvc("serve", "--port", "0", "--database", str(tmp_path / "nowhere" / "messages.db"), cwd=tmp_path)
    assert_refused_in_one_line(ran, "nowhere")
    assert files(tmp_path) == {}


def test_read_only_file_prevents_the_start(database_path: str, tmp_path: Path) -> None:
    sign_in(database_path, uma="user")
    Path(database_path).chmod(0o444)
    command = (*without_the_rights_of_root(), sys.executable, "-m", "msgsvc")
    ran = msgsvc("serve", "--port", "0", "--database", database_path, cwd=tmp_path, command=command)
    assert_refused_in_one_line(ran, Path(database_path).name)


def test_database_on_a_read_only_disk_is_refused_and_unchanged(disk: Disk) -> None:
    sign_in(disk.database, uma="user")
    before = files(disk.directory)
    disk.mount("remount,ro")
    ran = msgsvc("serve", "--port", "0", "--database", disk.database, cwd=disk.directory)
    assert_refused_in_one_line(ran, "messages.db")
    assert files(disk.directory) == before
