"""Links, mounts, read-only directories and missing temporary directories.

On SQLite: a PostgreSQL database has no file of ours.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mount_namespaces import with_mounts, with_read_only_root
from old_databases import USERS, insert_rows, messages_table
from processes import Ran, environment, msgsvc
from requirements import needs, unavailable
from served import Service, serving, sign_in
from storage_faults import Disk, assert_refused_in_one_line
from support import API, faults

from msgsvc import Settings, create_app
from msgsvc.storage.base import MigrationError


def run(*arguments: str, database: Path | str, prefix: tuple[str, ...] = ()) -> Ran:
    command = (*prefix, sys.executable, "-m", "msgsvc")
    return msgsvc(*arguments, "--database", str(database), cwd=Path(database).parent, command=command)


def send(service: Service, token: str, number: int = 1) -> None:
    for _ in range(number):
        answer = service.call("POST", f"{API}/send", {"recipient": "uma", "content": "Hello"}, Authorization=token)
        assert answer.status == 201, answer


def count(path: Path | str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM messages").fetchone()[0]


# ---- links


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "volume" / "target.db"
    target.parent.mkdir()
    return target


@pytest.fixture
def link(tmp_path: Path, target: Path) -> Path:
    link = tmp_path / "messages.db"
    link.symlink_to(target)
    return link


def test_log_of_a_linked_database_is_bounded_without_a_warning(link: Path, target: Path) -> None:
    tokens = sign_in(str(link), thea="therapist", uma="user")
    prepare = "import msgsvc.storage.sqlite.checkpoints as c; c.WAL_LIMIT_BYTES = c.WAL_CHECKPOINT_BYTES = 100_000"
    with serving(str(link), prepare=prepare) as service:
        send(service, tokens["thea"], 30)
        assert "WARNING" not in [line["level"] for line in service.log_lines() if "SQLite" not in line["message"]]
        assert Path(f"{target}-wal").stat().st_size < 200_000
        assert not Path(f"{link}-wal").exists()
    assert link.is_symlink()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_backup_never_replaces_the_log_of_a_linked_database(link: Path, target: Path, suffix: str) -> None:
    tokens = sign_in(str(link), thea="therapist", uma="user")
    with serving(str(link)) as service:
        send(service, tokens["thea"], 3)
        assert_refused_in_one_line(run("backup", f"{target}{suffix}", "--overwrite", database=link), target.name)
        assert_refused_in_one_line(run("backup", f"{link}{suffix}", "--overwrite", database=target), link.name)
        send(service, tokens["thea"])
    assert count(target) == 4


def test_check_of_a_link_sees_what_the_log_of_its_target_holds(link: Path, target: Path) -> None:
    tokens = sign_in(str(link), thea="therapist", uma="user")
    with serving(str(link)) as service:
        send(service, tokens["thea"])
        with closing(sqlite3.connect(target)) as host:
            host.execute("UPDATE msgsvc_conversations SET unread_count = 7 WHERE owner = 'uma'")
            host.commit()
            ran = run("check", database=link)
    assert ran.status == 1
    assert "summary" in ran.output


# ---- mounts


def test_a_singly_mounted_file_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    source, place = tmp_path / "host.db", tmp_path / "in container" / "messages.db"
    place.parent.mkdir()
    sign_in(str(source), uma="user")
    place.touch()
    before = source.read_bytes()
    prefix = with_mounts(f"mount --bind '{source}' '{place}'")
    for command in (("serve", "--port", "0"), ("user", "list"), ("migrate",)):
        ran = run(*command, database=place, prefix=prefix)
        assert_refused_in_one_line(ran, "mount its directory")
    assert source.read_bytes() == before
    assert list(place.parent.iterdir()) == [place]


def test_a_mounted_directory_is_served(tmp_path: Path) -> None:
    source, place = tmp_path / "volume", tmp_path / "data"
    source.mkdir()
    place.mkdir()
    sign_in(str(source / "messages.db"), uma="user")
    prefix = with_mounts(f"mount --bind '{source}' '{place}'")
    assert run("user", "list", database=place / "messages.db", prefix=prefix).output == "uma\tuser\tactive\n"


@pytest.fixture
def without_shared_memory(tmp_path: Path) -> Iterator[Path]:
    """A FUSE file system with direct I/O."""
    directory, source = tmp_path / "fuse", tmp_path / "source"
    directory.mkdir()
    source.mkdir()
    needs("bindfs", "apt-get install bindfs")
    mounted = subprocess.run(["bindfs", "-o", "direct_io", source, directory], capture_output=True, check=False)
    if mounted.returncode:
        unavailable(f"bindfs cannot mount here: {mounted.stderr!r}")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.parametrize("kind", ["new", "of a host", "of msgsvc"])
def test_file_system_without_shared_memory_is_refused_before_anything_is_changed(
    without_shared_memory: Path, tmp_path: Path, kind: str
) -> None:
    path, source = without_shared_memory / "messages.db", tmp_path / "source" / "messages.db"
    if kind == "of a host":
        with closing(sqlite3.connect(path)) as host:
            host.executescript(USERS)
    elif kind == "of msgsvc":
        sign_in(str(source), uma="user")
    before = source.read_bytes() if kind != "new" else b""
    assert_refused_in_one_line(run("serve", "--port", "0", database=path), "write-ahead log")
    with pytest.raises(MigrationError, match="write-ahead log"):
        create_app(Settings(database=str(path)))
    # FUSE removes a file that was open only after it has been closed.
    left = [file for file in source.parent.iterdir() if not file.name.startswith(".fuse_hidden")]
    assert [file.read_bytes() for file in left] == ([before] if before else [])
    if kind == "of a host":
        with closing(sqlite3.connect(path)) as host:
            assert len(host.execute("SELECT * FROM users").fetchall()) == 3


# ---- what may not be written


def in_a_read_only_mount(directory: Path) -> tuple[str, ...]:
    return with_mounts(f"mount --bind '{directory}' '{directory}'", f"mount -o remount,bind,ro '{directory}'")


def in_a_read_only_directory(directory: Path) -> tuple[str, ...]:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write every directory, and setpriv is not installed")
    directory.chmod(0o555)
    return ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()


@pytest.mark.parametrize("read_only", [in_a_read_only_mount, in_a_read_only_directory])
def test_check_and_backup_need_not_write_a_sound_copy(
    tmp_path: Path, read_only: Callable[[Path], tuple[str, ...]]
) -> None:
    path, copies = tmp_path / "kept" / "messages.db", tmp_path / "copies"
    path.parent.mkdir()
    copies.mkdir()
    sign_in(str(path), uma="user")
    prefix = read_only(path.parent)
    assert run("check", database=path, prefix=prefix) == (0, "ok\n", "")
    assert run("backup", str(copies / "copy.db"), database=path, prefix=prefix).status == 0
    path.parent.chmod(0o755)
    assert faults(str(copies / "copy.db")) == []
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("with_index", [True, False])
def test_log_of_a_killed_service_is_read_only_with_its_index_in_a_read_only_directory(
    tmp_path: Path, with_index: bool
) -> None:
    path = tmp_path / "kept" / "messages.db"
    path.parent.mkdir()
    tokens = sign_in(str(path), thea="therapist", uma="user")
    with serving(str(path)) as service:
        send(service, tokens["thea"])
        service.stop(signal.SIGKILL)
    if not with_index:
        Path(f"{path}-shm").unlink()
    prefix = in_a_read_only_mount(path.parent)
    ran = run("check", database=path, prefix=prefix)
    backup = run("backup", str(tmp_path / "copy.db"), database=path, prefix=prefix)
    if with_index:
        assert ran == (0, "ok\n", "")
        assert backup.status == 0
        assert count(tmp_path / "copy.db") == 1
    else:
        assert_refused_in_one_line(ran, "copy both files")
        assert_refused_in_one_line(backup, "copy both files")


@pytest.mark.parametrize(
    "target", ["/dev/null", "a fifo", "a link to a file", "a dangling link", "a link to /dev/null"]
)
def test_backup_replaces_only_regular_files(database_path: str, tmp_path: Path, target: str) -> None:
    sign_in(database_path, uma="user")
    kept = tmp_path / "kept"
    kept.write_text("dear to somebody")
    place = tmp_path / "copy.db"
    if target == "a fifo":
        os.mkfifo(place)
    elif target.startswith("/"):
        place = Path(target)
    else:
        place.symlink_to(
            {"a link to a file": kept, "a dangling link": tmp_path / "no", "a link to /dev/null": "/dev/null"}[target]
        )
    before = place.lstat()
    assert_refused_in_one_line(run("backup", str(place), "--overwrite", database=database_path), "regular file")
    assert place.lstat().st_ino == before.st_ino
    assert kept.read_text() == "dear to somebody"
    assert Path("/dev/null").is_char_device()


# ---- temporary files


def insert_messages(database: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO messages (sender_username, recipient_username, content) "
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20000) "
            "SELECT 'thea', 'uma', 'x' FROM number"
        )


def test_read_only_root_needs_no_temporary_directory(tmp_path: Path) -> None:
    """Whole conversations are marked and hidden, and an older table is migrated."""
    volume = tmp_path / "volume"
    volume.mkdir()
    database = str(volume / "messages.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(USERS + messages_table(("sent_at", "is_read")))
    insert_rows(database, ("sent_at", "is_read"))
    insert_messages(database)
    with serving(database, *with_read_only_root(str(volume))) as service:
        tokens = sign_in(database, thea="therapist", uma="user")
        uma = {"Authorization": tokens["uma"]}
        marked = service.call("PATCH", f"{API}/conversation/thea/read", {}, **uma)
        assert marked.status == 200, marked
        assert marked.json["marked"] >= 20000
        assert service.call("DELETE", f"{API}/conversation/thea", **uma).status == 204
        send(service, tokens["thea"], 103)
        assert service.call("PATCH", f"{API}/conversation/thea/read", {}, **uma).json["marked"] == 103
        assert service.call("DELETE", f"{API}/conversation/thea", **uma).status == 204
    assert faults(database) == []


def test_a_full_temporary_directory_disturbs_nothing(disk: Disk, database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    disk.fill()
    insert_messages(database_path)
    with serving(database_path, "env", f"TMPDIR={disk.directory}") as service:
        uma = {"Authorization": tokens["uma"]}
        assert service.call("PATCH", f"{API}/conversation/thea/read", {}, **uma).json["marked"] == 20000
        assert service.call("DELETE", f"{API}/conversation/thea", **uma).status == 204
        send(service, tokens["thea"])


# ---- names


NO_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}


def run_in_locale(*command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "msgsvc", *command], capture_output=True, check=False, env=environment(**variables)
    )


def test_every_command_takes_a_path_in_the_encoding_of_the_locale(tmp_path: Path) -> None:
    database = str(tmp_path / "bäd.db")
    for command, output in {
        ("migrate",): "0001_messages",
        ("user", "list"): "",
        ("check",): "ok",
        ("backup", f"{database}.copy"): "bäd.db.copy",
    }.items():
        ran = run_in_locale(*command, "--database", database)
        assert (ran.returncode, ran.stderr) == (0, b""), command
        assert output in ran.stdout.decode()
    assert faults(f"{database}.copy") == []


@pytest.mark.parametrize(
    ("name", "locale"), [(b"b\xe4d.db", {}), (b"b\xe4d.db", NO_LOCALE), ("bäd.db".encode(), NO_LOCALE)]
)
@pytest.mark.parametrize("command", ["migrate", "check"])
def test_a_path_that_is_no_text_in_the_locale_is_refused_in_one_line(
    tmp_path: Path, name: bytes, locale: dict[str, str], command: str
) -> None:
    ran = run_in_locale(command, "--database", os.fsdecode(os.fsencode(tmp_path) + b"/" + name), **locale)
    assert ran.returncode == 2
    assert b"is not text in the encoding of this locale" in ran.stderr
    assert ran.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []
