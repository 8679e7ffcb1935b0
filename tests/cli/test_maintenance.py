"""`msgsvc check` finds damage, and `msgsvc backup` makes a sound copy.

On SQLite; PostgreSQL's are in tests/storage/test_postgresql_check.py and test_copying.py.
"""

import os
import pty
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import WAIT_SECONDS, Ran, environment, msgsvc
from served import call, serving, sign_in
from support import API, delete, mark_read, send

from msgsvc import Settings, create_app
from msgsvc.storage.sqlite.migrations import PAGE_BYTES
from msgsvc.testing import Client


@pytest.fixture
def database(database_path: str) -> str:
    """A closed database with read, unread and hidden messages."""
    with closing(Client(create_app(Settings(database=database_path, send_rate=0)))) as client:
        thea, uma, ugo = (client.as_user(name, role) for name, role in ROLES.items())
        ids = [send(thea, "uma", f"{number}") for number in range(5)] + [send(ugo, "uma"), send(uma, "thea")]
        mark_read(uma, ids[0])
        delete(uma, ids[4])
        delete(thea, ids[6])
        delete(uma, ids[6])
    return database_path


ROLES = {"thea": "therapist", "uma": "user", "ugo": "user"}


@pytest.fixture
def sql(database: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        yield connection


def check(path: str, **variables: str) -> Ran:
    return msgsvc("check", "--database", path, cwd=Path(path).parent, **variables)


def backup(path: str, destination: Path, *options: str) -> Ran:
    return msgsvc("backup", str(destination), *options, "--database", path, cwd=Path(path).parent)


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [content for (content,) in connection.execute("SELECT content FROM messages ORDER BY id")]


def assert_refused(ran: Ran, words: str = "") -> None:
    assert (ran.status, ran.output) == (1, "")
    assert len(ran.errors.splitlines()) == 1, ran.errors
    assert words in ran.errors


# ---- check


def test_a_sound_database_is_ok(database: str) -> None:
    assert check(database) == (0, "ok\n", "")


ORPHAN = "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('nobody', 'uma', 'x')"
FAULTS = {
    "a wrong unread count": ("UPDATE msgsvc_conversations SET unread_count = 7 WHERE owner = 'uma'", "uma"),
    "a wrong newest message": (
        "UPDATE msgsvc_conversations SET last_message_id = 1 WHERE owner = 'uma' AND partner = 'thea'",
        "owner uma, partner thea",
    ),
    "a missing summary": (
        "DELETE FROM msgsvc_conversations WHERE owner = 'thea' AND partner = 'uma'",
        "owner thea, partner uma",
    ),
    "a summary of nothing": ("INSERT INTO msgsvc_conversations VALUES ('thea', 'ugo', 3, 0, NULL)", "partner ugo"),
    "wrong totals": ("UPDATE msgsvc_mailboxes SET total_unread = total_unread + 1 WHERE owner = 'uma'", "owner uma"),
    "wrong count of conversations": (
        "UPDATE msgsvc_mailboxes SET conversation_count = 0 WHERE owner = 'uma'",
        "owner uma",
    ),
    "wrong count of unread conversations": (
        "UPDATE msgsvc_mailboxes SET unread_conversation_count = 9 WHERE owner = 'uma'",
        "owner uma",
    ),
    "a missing mailbox": ("DELETE FROM msgsvc_mailboxes WHERE owner = 'uma'", "owner uma"),
    "a mailbox of nobody": ("INSERT INTO msgsvc_mailboxes VALUES ('eve', 1, 0, 0, 5)", "owner eve"),
    "a sender who does not exist": (ORPHAN, "users"),
}


@pytest.mark.parametrize(("damage", "named"), FAULTS.values(), ids=list(FAULTS))
def test_check_names_each_fault_in_one_line(database: str, sql: sqlite3.Connection, damage: str, named: str) -> None:
    sql.execute("PRAGMA foreign_keys = OFF")
    sql.execute(damage)
    ran = check(database)
    assert ran.status == 1
    assert any(named in line for line in ran.output.splitlines()), ran
    assert ran.errors.splitlines()[1:] == []


def test_a_damaged_page_is_found(database: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'idx_messages_conversation'")
    with Path(database).open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(random.Random(5).randbytes(PAGE_BYTES))
    ran = check(database)
    assert ran.status == 1
    assert ran.output + ran.errors


def test_a_check_changes_nothing_and_works_while_the_service_runs(database: str) -> None:
    before = Path(database).read_bytes()
    assert check(database).status == 0
    assert Path(database).read_bytes() == before
    with serving(database):
        assert check(database) == (0, "ok\n", "")


@pytest.mark.parametrize("command", [["check"], ["backup", "copy.db"]])
def test_a_database_that_does_not_exist_is_named_and_not_created(tmp_path: Path, command: list[str]) -> None:
    assert_refused(msgsvc(*command, "--database", "nowhere.db", cwd=tmp_path), "nowhere.db")
    assert list(tmp_path.iterdir()) == []


# ---- backup


def test_backup_is_sound_and_readable_only_by_its_owner(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    assert backup(database, copy) == (0, f"{copy}\n", "")
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert contents(copy) == contents(Path(database))
    assert check(str(copy)) == (0, "ok\n", "")


@pytest.mark.fault
def test_backup_during_writes_is_one_snapshot(database_path: str, tmp_path: Path) -> None:
    """For each sender the copy has all messages up to some point, at least those acknowledged before it began."""
    senders = {f"sender{number}": "therapist" for number in range(4)}
    tokens = sign_in(database_path, uma="user", **senders)
    counts = dict.fromkeys(senders, 0)
    ended = threading.Event()

    def sends(name: str) -> None:
        with closing(service.connection()) as connection:
            while not ended.is_set():
                body = {"recipient": "uma", "content": f"{name} {counts[name]}"}
                assert call(connection, "POST", f"{API}/send", body, Authorization=tokens[name]).status == 201
                counts[name] += 1

    with serving(database_path) as service:
        threads = [threading.Thread(target=sends, args=[name]) for name in senders]
        for thread in threads:
            thread.start()
        try:
            for number in range(2):
                copy = tmp_path / f"copy{number}.db"
                before = dict(counts)
                assert backup(database_path, copy).status == 0
                held = contents(copy)
                for name in senders:
                    mine = [content for content in held if content.startswith(f"{name} ")]
                    assert mine == [f"{name} {number}" for number in range(len(mine))]
                    assert len(mine) >= before[name]
                assert check(str(copy)) == (0, "ok\n", "")
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def test_backup_replaces_a_file_only_with_overwrite(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("dear to somebody")
    assert_refused(backup(database, copy), "copy.db")
    assert copy.read_text() == "dear to somebody"
    assert backup(database, copy, "--overwrite").status == 0
    assert contents(copy) == contents(Path(database))


def test_backup_ignores_the_wal_of_the_copy_it_replaces(database: str, tmp_path: Path) -> None:
    """A copy that was served by a killed process has a WAL beside it."""
    copy = tmp_path / "copy.db"
    backup(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE messages SET content = 'from the log'")
        connection.commit()
        shutil.copy(f"{copy}-wal", tmp_path / "kept")
    shutil.copy(tmp_path / "kept", f"{copy}-wal")
    assert backup(database, copy, "--overwrite").status == 0
    assert contents(copy) == contents(Path(database))


@pytest.mark.parametrize("way", ["itself", "a symbolic link", "a hard link", "its log", "its index"])
def test_backup_never_overwrites_its_source(database: str, tmp_path: Path, way: str) -> None:
    with serving(database) as service:
        service.call("GET", "/healthz")
        destination = {
            "itself": Path(database),
            "its log": Path(f"{database}-wal"),
            "its index": Path(f"{database}-shm"),
        }
        target = destination.get(way, tmp_path / "link.db")
        if way == "a symbolic link":
            target.symlink_to(database)
        if way == "a hard link":
            target.hardlink_to(database)
        before = Path(database).stat().st_ino
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("SELECT * FROM messages").fetchall()
            assert_refused(backup(database, target, "--overwrite"), target.name)
    assert Path(database).stat().st_ino == before
    assert check(database).output == "ok\n"


@pytest.mark.parametrize("fault", ["a damaged source", "a missing directory", "a directory"])
def test_failed_backup_leaves_nothing_behind(database: str, tmp_path: Path, fault: str) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    target = copies / "copy.db"
    if fault == "a damaged source":
        content = bytearray(Path(database).read_bytes())
        content[PAGE_BYTES * 10 : PAGE_BYTES * 12] = random.Random(5).randbytes(PAGE_BYTES * 2)
        Path(database).write_bytes(content)
    elif fault == "a missing directory":
        target = copies / "nowhere" / "copy.db"
    else:
        target.mkdir()
    before = sorted(copies.iterdir())
    assert_refused(backup(database, target, "--overwrite"))
    assert sorted(copies.iterdir()) == before


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_backup_leaves_nothing_behind(database: str, tmp_path: Path, number: int) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE ballast AS SELECT zeroblob(200000000) AS weight")
    # A backup that ends before its signal is made again.
    for number_of_copy in range(20):
        process = subprocess.Popen(
            [sys.executable, "-m", "msgsvc", "backup", str(copies / f"{number_of_copy}.db"), "--database", database],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and not any(copies.iterdir()):
            threading.Event().wait(0.005)
        process.send_signal(number)
        _, errors = process.communicate(timeout=WAIT_SECONDS)
        if process.returncode:
            break
        (copies / f"{number_of_copy}.db").unlink()
    assert process.returncode != 0
    assert list(copies.iterdir()) == []
    assert len(errors.splitlines()) <= 1


# ---- progress


def on_a_terminal(*arguments: str) -> str:
    """What a command prints when standard error is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "msgsvc", *arguments], env=environment(), stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            # Reading fails once the process has ended and closed its side.
            pass
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_progress_is_shown_on_a_terminal_and_nowhere_else(database: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            "INSERT INTO messages (sender_username, recipient_username, content) SELECT 'thea', 'uma', i FROM n"
        )
        connection.commit()
    assert "copying: 100 %" in on_a_terminal("backup", str(tmp_path / "one.db"), "--database", database)
    assert "checking" in on_a_terminal("check", "--database", database)
    assert check(database).errors == ""
    assert backup(database, tmp_path / "two.db").errors == ""
