"""Which thread answers a call, and how often it authenticates the caller.

On SQLite, which serves reads on the event loop and batches writes; PostgreSQL does neither.
"""

import http.client
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from served import call, serving, sign_in
from support import API

SHOW_ANSWERING_THREAD = """
import threading
from msgsvc.middleware import Call
handle, respond = Call.handle, Call.respond
handled = most = 0
def count_and_handle(self):
    global handled, most
    handled += 1
    most = max(most, handled)
    handle(self)
def respond_and_show(self):
    global handled
    handled -= 1
    status, headers, body = respond(self)
    return status, [*headers, ("X-Thread", threading.current_thread().name), ("X-Most", str(most))], body
Call.handle, Call.respond = count_and_handle, respond_and_show
"""


@pytest.mark.parametrize(("seconds", "together"), [(60, 64), (60, 4), (0, 1)])
def test_event_loop_answers_reads_in_bounded_batches(database_path: str, seconds: int, together: int) -> None:
    token = sign_in(database_path, uma="user")["uma"]
    reads = "msgsvc.serving.inline_reads"
    limits = f"{reads}.BUDGET_SECONDS, {reads}.BATCH_LIMIT = {seconds}, {together if seconds else 64}"
    with serving(database_path, prepare=f"{SHOW_ANSWERING_THREAD}\n{limits}") as service:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: service.call("GET", f"{API}/inbox", Authorization=token), range(200)))
        assert service.stop() == 0
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["X-Thread"] for answer in answers} == {"MainThread"}
    assert max(int(answer.headers["X-Most"]) for answer in answers) <= together


def logged_out_before_handling(database_path: str) -> str:
    """Another connection ends all sessions, where the write lock is free, between parsing and handling a call."""
    return f"""
import sqlite3, time
from contextlib import closing, suppress
from msgsvc.middleware import Call
handle = Call.handle
def log_out_and_handle(self):
    Call.handle = handle
    with closing(sqlite3.connect({database_path!r}, timeout=0)) as connection, suppress(sqlite3.OperationalError):
        with connection:
            connection.execute("DELETE FROM msgsvc_sessions")
    handle(self)
Call.handle = log_out_and_handle
"""


def sessions(database_path: str) -> int:
    with closing(sqlite3.connect(database_path)) as connection:
        return int(connection.execute("SELECT count(*) FROM msgsvc_sessions").fetchone()[0])


def test_call_is_authorized_when_it_is_handled(database_path: str) -> None:
    token = sign_in(database_path, uma="user")["uma"]
    with serving(database_path, prepare=logged_out_before_handling(database_path)) as service:
        assert service.call("GET", f"{API}/inbox", Authorization=token).status == 401
    assert sessions(database_path) == 0


def test_session_cannot_end_between_authorization_and_batched_write(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    message = {"recipient": "thea", "content": "x"}
    with serving(database_path, prepare=logged_out_before_handling(database_path)) as service:
        assert service.call("POST", f"{API}/send", message, Authorization=token).status == 201
    assert sessions(database_path) == 2


def test_writer_thread_survives_errors(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    fails_once = """
from msgsvc.storage.sqlite.storage import SqliteStorage
batch = SqliteStorage.batch
def fail(self):
    SqliteStorage.batch = batch
    raise MemoryError("sentinel")
SqliteStorage.batch = fail
"""
    message = {"recipient": "thea", "content": "x"}
    with serving(database_path, prepare=f"{fails_once}\nmsgsvc.serving.write_batcher.YIELD_SECONDS = 60") as service:
        with pytest.raises(http.client.RemoteDisconnected):
            service.call("POST", f"{API}/send", message, Authorization=token)
        assert service.call("POST", f"{API}/send", message, Authorization=token).status == 201
        assert service.stop() == 0
        assert "closed after an error: MemoryError" in service.log.read_text()
        assert "sentinel" not in service.log.read_text()


def test_internal_error_is_500_on_every_thread(database_path: str) -> None:
    token = sign_in(database_path, uma="user", thea="therapist")["uma"]
    broken = "import msgsvc.cors\ndef broken(*_): raise KeyError('sentinel')\nmsgsvc.cors.response_headers = broken"
    calls = [
        ("GET", "/healthz", None),
        ("GET", f"{API}/inbox", None),
        ("POST", f"{API}/send", {"recipient": "thea", "content": "x"}),
    ]
    with serving(database_path, prepare=broken) as service:
        for method, path, body in calls * 2:
            answer = service.call(method, path, body, Authorization=token)
            assert (answer.status, answer.json["code"]) == (500, "internal_error"), path
        assert service.stop() == 0
        assert "sentinel" not in service.log.read_text()


@pytest.mark.fault
def test_concurrent_logins_are_bounded_under_any_prefix(database_path: str) -> None:
    sign_in(database_path, uma="user")
    body = json.dumps({"username": "uma", "password": "wrong"})

    def log_in(number: int) -> tuple[int, str]:
        """From one of eight addresses."""
        source = (f"127.0.0.{2 + number % 8}", 0)
        with closing(http.client.HTTPConnection("127.0.0.1", service.port, 60, source)) as connection:
            answer = call(connection, "POST", "/api/auth/login", body.encode())
        return answer.status, answer.json["code"]

    with serving(database_path, prefix="/api") as service, ThreadPoolExecutor(16) as pool:
        assert (503, "too_many_logins") in set(pool.map(log_in, range(16)))


@pytest.mark.fault
def test_one_address_keeps_a_quarter_of_the_workers_busy(database_path: str) -> None:
    sign_in(database_path, uma="user")

    def log_in(number: int) -> int:
        return service.call("POST", "/api/auth/login", {"username": f"u{number}", "password": "wrong"}).status

    with serving(database_path, threads="8") as service, ThreadPoolExecutor(9) as pool:
        assert set(pool.map(log_in, range(9))) == {401}
