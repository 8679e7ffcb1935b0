"""The database fails for real: what is answered, what goes on working, and that nobody has to restart anything."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from processes import Ran, msgsvc
from served import serving, sign_in
from support import API, delete, history, inbox, mark_read, send, unread
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.storage.sqlite.check import check
from msgsvc.storage.sqlite.migrations import PAGE_BYTES
from msgsvc.testing import Client, Clock

LONG = "x" * 5000


def sending(sender: Client, content: str = LONG) -> TestResponse:
    return sender.post(f"{API}/send", json={"recipient": "uma", "content": content})


def assert_refused(answer: TestResponse, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (503, code)
    assert int(answer.headers["Retry-After"]) >= 1


def faults(path: str) -> list[str]:
    return list(check(path, lambda _: None))


# ---- a disk of its own


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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    disk = Disk(tmp_path / "disk")
    disk.directory.mkdir()
    try:
        disk.mount("size=2m")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a file system cannot be mounted here: {error.stderr!r}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.directory)], check=True)


@pytest.mark.fault
def test_the_log_leaves_the_database_room_to_grow(disk: Disk) -> None:
    with closing(Client(create_app(Settings(database=disk.database, send_rate=0)))) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        assert {sending(thea).status_code for _ in range(200)} == {201}


@pytest.mark.fault
def test_a_full_disk_refuses_what_is_written_and_passes_without_a_restart(disk: Disk) -> None:
    with closing(Client(create_app(Settings(database=disk.database, send_rate=0)))) as client:
        thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
        first = send(thea, "uma")
        disk.fill()
        accepted, refused = 1, 0
        while refused < 3 and accepted < 1000:
            answer = sending(thea)
            if answer.status_code == 201:
                accepted += 1
            else:
                assert_refused(answer, "storage_full")
                refused += 1
        assert refused == 3
        assert inbox(uma)["total_unread"] == unread(uma) == accepted
        assert first in history(uma, "thea", "?limit=200&after=0")
        assert client.get("/healthz").status_code == 200

        disk.mount("remount,size=16m")
        assert sending(thea).status_code == 201
        assert delete(uma, first).status_code == 204
        assert unread(uma) == accepted
    assert faults(disk.database) == []


@pytest.mark.fault
def test_on_a_full_disk_the_calls_that_share_a_commit_get_the_answer_that_is_their_own(disk: Disk) -> None:
    tokens = sign_in(disk.database, thea="therapist", uma="user")
    bodies = {201: {"recipient": "uma", "content": LONG}, 400: {"recipient": "uma", "content": ""}}

    def status(expected: int) -> tuple[int, int]:
        answer = service.call("POST", f"{API}/send", bodies[expected], Authorization=tokens["thea"])
        return expected, answer.status

    with serving(disk.database) as service:
        assert status(201) == (201, 201)
        disk.fill()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(status, [201, 400] * 200))
        assert set(answers) >= {(201, 503), (400, 400)}
        assert set(answers) <= {(201, 201), (201, 503), (400, 400)}
        disk.mount("remount,size=16m")
        assert status(201) == (201, 201)
    with closing(sqlite3.connect(disk.database)) as connection:
        stored = connection.execute("SELECT count(*) FROM messages").fetchone()
    assert stored == (answers.count((201, 201)) + 2,)
    assert faults(disk.database) == []


@pytest.mark.fault
def test_a_backup_onto_a_full_disk_leaves_nothing_there(disk: Disk, client: Client, database_path: str) -> None:
    disk.fill()
    before = sorted(disk.directory.iterdir())
    ran = msgsvc("backup", disk.database, "--database", database_path, cwd=disk.directory.parent)
    assert_refused_in_one_line(ran, "")
    assert sorted(disk.directory.iterdir()) == before


# ---- each error of the storage layer


@contextmanager
def limited_file_size() -> Iterator[None]:
    """No file may be written beyond its first page, so that the next commit is an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def foreign_lock(path: str) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        yield
        other_program.execute("ROLLBACK")


@contextmanager
def pragma(client: Client, fault: str, remedy: str) -> Iterator[None]:
    """A fault of the connection that writes."""
    database = client.app.services.database
    database.write(lambda transaction: transaction.execute(f"PRAGMA {fault}"))
    yield
    database.write(lambda transaction: transaction.execute(f"PRAGMA {remedy}"))


Fault = Callable[[Client], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Fault, str]] = {
    "no page more": (
        lambda client: pragma(client, "max_page_count = 1", "max_page_count = 1000000"),
        "storage_full",
    ),
    "another program's lock": (lambda client: foreign_lock(client.app.services.settings.database), "storage_busy"),
    "an I/O error": (lambda _: limited_file_size(), "storage_unavailable"),
}


@pytest.mark.parametrize(("fault", "code"), FAULTS.values(), ids=list(FAULTS))
def test_every_fault_has_its_code_stores_nothing_lets_reads_go_on_and_passes(
    database_path: str, monkeypatch: pytest.MonkeyPatch, fault: Fault, code: str
) -> None:
    monkeypatch.setattr("msgsvc.storage.sqlite.group_commit.BUSY_SECONDS", 0.05)
    with closing(Client(create_app(Settings(database=database_path, send_rate=0), clock=Clock()))) as client:
        thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
        # Enough that what comes next needs further pages, whatever is free in those that there are.
        first = [send(thea, "uma", LONG) for _ in range(2)]
        with fault(client):
            with ThreadPoolExecutor(4) as pool:
                for answer in pool.map(sending, [thea] * 8):
                    assert_refused(answer, code)
            assert history(uma, "thea") == first
            assert inbox(uma)["total_unread"] == 2
            assert client.get("/healthz").status_code == 200
        assert sending(thea).status_code == 201
        assert unread(uma) == 3
        assert faults(database_path) == []


@pytest.mark.fault
def test_while_another_program_holds_the_lock_every_write_is_refused_within_five_seconds(
    client: Client, clock: Clock, database_path: str
) -> None:
    """Also a write of somebody whose session has to be prolonged, which is a write as well."""
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
    message_id = send(thea, "uma")
    clock.advance(600)
    tara, adam = client.as_user("tara", "therapist"), client.as_user("adam", "admin")
    calls: dict[str, Callable[[], TestResponse]] = {
        "send": lambda: sending(tara),
        "send again": lambda: sending(tara),
        "block": lambda: tara.put(f"{API}/blocks/uma"),
        "look": lambda: adam.get(f"{API}/admin/conversations"),
        "send with a session to prolong": lambda: sending(thea),
        "read with a session to prolong": lambda: mark_read(uma, message_id),
        "delete with a session to prolong": lambda: delete(uma, message_id),
    }
    waits = dict.fromkeys(calls, 0.0)

    def timed(name: str) -> TestResponse:
        begun = time.monotonic()
        try:
            return calls[name]()
        finally:
            waits[name] = time.monotonic() - begun

    with ThreadPoolExecutor(len(calls)) as pool, foreign_lock(database_path):
        answers = list(pool.map(timed, calls))
    for answer in answers:
        assert_refused(answer, "storage_busy")
    assert {name: round(wait, 1) for name, wait in waits.items() if wait >= 5} == {}
    assert [calls[name]().status_code for name in calls] == [201, 201, 204, 200, 201, 200, 204]


@pytest.mark.fault
def test_writers_who_wait_for_another_programs_lock_leave_threads_to_the_readers(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = {"recipient": "uma", "content": LONG}
    with (
        serving(database_path) as service,
        foreign_lock(database_path),
        ExitStack() as stack,
    ):
        for _ in range(16):
            connection = stack.enter_context(closing(service.connection()))
            headers = {"Authorization": tokens["thea"], "Content-Type": "application/json"}
            connection.request("POST", f"{API}/send", json.dumps(body), headers)
        begun = time.monotonic()
        assert service.call("GET", f"{API}/inbox", Authorization=tokens["uma"]).status == 200
        assert time.monotonic() - begun < 5


def begin_the_log_anew(path: str) -> None:
    with closing(sqlite3.connect(path)) as other_program:
        assert other_program.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def commits_in_the_log(path: str) -> int:
    """How many frames of the write-ahead log end a commit (sqlite.org/fileformat2.html, "WAL Frame Header")."""
    log = Path(f"{path}-wal").read_bytes()
    frame_bytes = 24 + int.from_bytes(log[8:12], "big")
    return sum(log[start + 4 : start + 8] != bytes(4) for start in range(32, len(log), frame_bytes))


def test_calls_that_arrive_while_another_is_stored_share_a_commit(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = json.dumps({"recipient": "uma", "content": "Hello"})
    headers = {"Authorization": tokens["thea"], "Content-Type": "application/json"}
    with serving(database_path) as service:
        for _ in range(50):
            with ExitStack() as stack:
                begin_the_log_anew(database_path)
                connections = [stack.enter_context(closing(service.connection())) for _ in range(16)]
                with foreign_lock(database_path):
                    for connection in connections:
                        connection.request("POST", f"{API}/send", body, headers)
                assert {connection.getresponse().status for connection in connections} <= {201, 503}
            if commits_in_the_log(database_path) < len(connections) / 2:
                return
    pytest.fail("sixteen calls at once never shared a commit")


def test_no_commit_holds_more_calls_than_the_limit(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = {"recipient": "uma", "content": "Hello"}
    with serving(database_path, prepare="msgsvc.serving.write_batcher.BATCH_LIMIT = 4") as service:
        begin_the_log_anew(database_path)
        with ThreadPoolExecutor(16) as pool:
            with foreign_lock(database_path):
                calls = [
                    pool.submit(service.call, "POST", f"{API}/send", body, Authorization=tokens["thea"])
                    for _ in range(16)
                ]
            stored = [call.result().status for call in calls].count(201)
        assert commits_in_the_log(database_path) >= stored / 4


def without_the_rights_of_root() -> tuple[str, ...]:
    """The start of a command that heeds the modes of files; whoever is not root does so anyway."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root may write every file, and setpriv is not installed")
    return ("setpriv", "--bounding-set", "-dac_override")


@pytest.mark.fault
def test_a_file_that_may_not_be_written_for_a_while_is_written_again_afterwards(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    path = Path(database_path)
    body = {"recipient": "uma", "content": LONG}
    with serving(database_path, *without_the_rights_of_root()) as service:
        path.chmod(0o444)
        refused = service.call("POST", f"{API}/send", body, Authorization=tokens["thea"])
        assert (refused.status, refused.json["code"]) == (503, "storage_unavailable")
        assert refused.headers["Retry-After"]
        assert service.call("GET", f"{API}/inbox", Authorization=tokens["uma"]).status == 200
        for file in path.parent.glob(f"{path.name}*"):
            file.chmod(0o644)
        assert service.call("POST", f"{API}/send", body, Authorization=tokens["thea"]).status == 201


# ---- what is no database


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


def with_a_log_beside_it(path: Path) -> None:
    """What a killed process leaves: a log that was not brought into the file yet; and the file is damaged."""
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
    "damaged, with a write-ahead log": with_a_log_beside_it,
    "a directory": lambda path: path.mkdir(),
}


def files(directory: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in directory.iterdir()}


def assert_refused_in_one_line(ran: Ran, name: str) -> None:
    assert ran.status == 1
    assert ran.output == ""
    assert len(ran.errors.splitlines()) == 1, ran.errors
    assert name in ran.errors


@pytest.mark.parametrize("make", NO_DATABASES.values(), ids=list(NO_DATABASES))
@pytest.mark.parametrize("command", ["serve", "check"])
def test_what_is_no_sound_database_is_refused_in_one_line_and_left_as_it_was(
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


def test_a_database_that_cannot_be_written_is_refused_and_left_as_it_was(disk: Disk) -> None:
    sign_in(disk.database, uma="user")
    before = files(disk.directory)
    disk.mount("remount,ro")
    ran = msgsvc("serve", "--port", "0", "--database", disk.database, cwd=disk.directory)
    assert_refused_in_one_line(ran, "messages.db")
    assert files(disk.directory) == before


def test_a_file_that_may_not_be_written_refuses_the_start(database_path: str, tmp_path: Path) -> None:
    sign_in(database_path, uma="user")
    Path(database_path).chmod(0o444)
    command = (*without_the_rights_of_root(), sys.executable, "-m", "msgsvc")
    ran = msgsvc("serve", "--port", "0", "--database", database_path, cwd=tmp_path, command=command)
    assert_refused_in_one_line(ran, Path(database_path).name)


def test_what_a_host_s_trigger_refuses_is_no_full_disk_whatever_it_says(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    host.execute(
        "CREATE TRIGGER ward BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'the ward is full and locked'); END"
    )
    assert_refused(sending(people["thea"]), "storage_unavailable")


# ---- health


def health(client: Client) -> int:
    answer = client.get("/healthz")
    if answer.status_code != 200:
        assert_refused(answer, "storage_unavailable")
    return answer.status_code


def test_health_says_so_when_the_file_is_overwritten_in_place_or_taken_away(client: Client, database_path: str) -> None:
    assert health(client) == 200
    path = Path(database_path)
    sound = path.read_bytes()
    path.write_bytes(b"\0" * len(sound))
    assert health(client) == 503
    path.write_bytes(sound)
    assert health(client) == 200
    path.rename(f"{path}.away")
    assert health(client) == 503
    Path(f"{path}.away").rename(path)
    assert health(client) == 200


def test_health_raises_no_false_alarm_while_the_log_is_brought_into_a_file_that_has_grown(
    client: Client, database_path: str
) -> None:
    """The first page is written first and tells the new size, when the file has the old one still."""
    assert health(client) == 200
    thea = client.as_user("thea", "therapist")
    client.as_user("uma")
    for _ in range(20):
        send(thea, "uma", LONG)
    log = Path(f"{database_path}-wal").read_bytes()
    frame_bytes = 24 + PAGE_BYTES
    frames = [log[start : start + frame_bytes] for start in range(32, len(log), frame_bytes)]
    first_page = [frame[24:] for frame in frames if frame[:4] == b"\0\0\0\1"][-1]
    with Path(database_path).open("r+b") as file:
        file.write(first_page)
    assert len(history(client.as_user("uma"), "thea", "?limit=200")) == 20
    assert health(client) == 200
