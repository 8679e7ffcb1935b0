"""Real storage faults: which error is answered, what keeps working, and recovery without a restart.

On SQLite; PostgreSQL's are in test_postgresql_faults and test_postgresql_load_faults.
"""

import json
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from processes import msgsvc
from served import serving, sign_in
from storage_faults import (
    LONG,
    Disk,
    assert_refused,
    assert_refused_in_one_line,
    sending,
    without_the_rights_of_root,
)
from support import API, delete, faults, history, inbox, mark_read, refusal, send, unread
from werkzeug.test import TestResponse, create_environ

from msgsvc import Settings, create_app
from msgsvc.testing import Client, Clock


@pytest.mark.fault
def test_wal_leaves_the_database_room_to_grow(disk: Disk) -> None:
    with closing(Client(create_app(Settings(database=disk.database, send_rate=0)))) as client:
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        assert {sending(thea).status_code for _ in range(200)} == {201}


@pytest.mark.fault
def test_full_disk_refuses_writes_and_recovers_without_a_restart(disk: Disk) -> None:
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
def test_calls_in_one_commit_get_their_own_answers_on_a_full_disk(disk: Disk) -> None:
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


# ---- full, busy, unavailable


@contextmanager
def limited_file_size() -> Iterator[None]:
    """Limits the size of every file to one page, so that the next commit is an I/O error."""
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
    """Sets a pragma that breaks the writing connection, then one that repairs it."""
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
def test_every_fault_has_its_code_and_recovers_and_reads_continue(
    database_path: str, monkeypatch: pytest.MonkeyPatch, fault: Fault, code: str
) -> None:
    monkeypatch.setattr("msgsvc.storage.sqlite.group_commit.BUSY_SECONDS", 0.05)
    with closing(Client(create_app(Settings(database=database_path, send_rate=0), clock=Clock()))) as client:
        thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
        # Enough rows to use up the free space in existing pages.
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
def test_writes_under_a_foreign_lock_are_refused_within_five_seconds(
    client: Client, clock: Clock, database_path: str
) -> None:
    """Renewing a session is a write as well."""
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
def test_writers_waiting_for_a_foreign_lock_do_not_block_readers(database_path: str) -> None:
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


def truncate_wal(path: str) -> None:
    with closing(sqlite3.connect(path)) as other_program:
        assert other_program.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def commits_in_wal(path: str) -> int:
    """The number of WAL frames that end a commit (sqlite.org/fileformat2.html, "WAL Frame Header")."""
    log = Path(f"{path}-wal").read_bytes()
    frame_bytes = 24 + int.from_bytes(log[8:12], "big")
    return sum(log[start + 4 : start + 8] != bytes(4) for start in range(32, len(log), frame_bytes))


def test_calls_that_arrive_during_a_commit_share_the_next_one(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = json.dumps({"recipient": "uma", "content": "Hello"})
    headers = {"Authorization": tokens["thea"], "Content-Type": "application/json"}
    with serving(database_path) as service:
        for _ in range(50):
            with ExitStack() as stack:
                truncate_wal(database_path)
                connections = [stack.enter_context(closing(service.connection())) for _ in range(16)]
                with foreign_lock(database_path):
                    for connection in connections:
                        connection.request("POST", f"{API}/send", body, headers)
                assert {connection.getresponse().status for connection in connections} <= {201, 503}
            if commits_in_wal(database_path) < len(connections) / 2:
                return
    pytest.fail("sixteen calls at once never shared a commit")


def test_no_commit_holds_more_calls_than_the_limit(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    body = {"recipient": "uma", "content": "Hello"}
    with serving(database_path, prepare="msgsvc.serving.write_batcher.BATCH_LIMIT = 4") as service:
        truncate_wal(database_path)
        with ThreadPoolExecutor(16) as pool:
            with foreign_lock(database_path):
                calls = [
                    pool.submit(service.call, "POST", f"{API}/send", body, Authorization=tokens["thea"])
                    for _ in range(16)
                ]
            stored = [call.result().status for call in calls].count(201)
        assert commits_in_wal(database_path) >= stored / 4


@pytest.mark.fault
def test_writes_recover_when_the_file_is_writable_again(database_path: str) -> None:
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


def test_error_of_a_host_trigger_is_not_taken_for_a_full_disk(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    host.execute(
        "CREATE TRIGGER ward BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'the ward is full and locked'); END"
    )
    response = sending(people["thea"])
    assert refusal(response) == (403, "refused_by_host")
    assert "ward" not in response.text


def test_a_commit_that_fails_is_logged_once(
    database_path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server waits for the commit before the event loop responds."""
    token = sign_in(database_path, thea="therapist", uma="user")["thea"]
    with closing(create_app(Settings(database=database_path))) as app:
        call = app.call(
            create_environ(
                f"{API}/send",
                method="POST",
                json={"recipient": "uma", "content": "Hello"},
                headers={"Authorization": token},
            )
        )
        call.parse()
        with app.services.database.batch():
            call.handle()
            Path(database_path).rename(tmp_path / "moved.db")
        call.commit()
        status, _, body = call.respond()
    assert (status, json.loads(body)["code"]) == ("503 Service Unavailable", "storage_unavailable")
    assert caplog.text.count("ERROR") == 1


def test_a_call_that_ends_the_transaction_takes_no_other_call_along(database_path: str) -> None:
    tokens = sign_in(database_path, thea="therapist", uma="user")
    headers = {"Authorization": tokens["thea"], "Content-Type": "application/json"}
    with serving(database_path) as service, ExitStack() as stack:
        with closing(sqlite3.connect(database_path)) as host:
            host.execute(
                "CREATE TRIGGER ward BEFORE INSERT ON messages WHEN new.content = 'closed'"
                " BEGIN SELECT RAISE(ROLLBACK, 'the ward is closed'); END"
            )
        connections = [stack.enter_context(closing(service.connection())) for _ in range(12)]
        statuses = []
        for _ in range(10):
            for number, connection in enumerate(connections):
                content = "closed" if number % 4 == 3 else "Hello"
                connection.request("POST", f"{API}/send", json.dumps({"recipient": "uma", "content": content}), headers)
            for connection in connections:
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
        stored = service.call("GET", f"{API}/unread", Authorization=tokens["uma"]).json["total_unread"]
    assert statuses == [201, 201, 201, 403] * 30
    assert stored == 90
