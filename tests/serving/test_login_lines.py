"""The log lines of logins and refusals, as `msgsvc serve` writes them.

On SQLite: the server does not know the engine.
"""

import json
import sqlite3
import time
from contextlib import closing

from processes import WAIT_SECONDS
from served import serving, sign_in

API = "/api/messages"
PASSWORD = "correct horse battery"


def test_log_lines_say_who_logged_in_from_where_and_why_a_call_was_refused(database_path: str) -> None:
    tokens = sign_in(database_path, adam="admin", uma="user", clara="clinician")
    with serving(database_path, trusted_proxy="127.0.0.1") as service:

        def call(method: str, path: str, body: object = None, **headers: str) -> int:
            return service.call(method, path, body, **headers).status

        def login(username: str, password: str) -> int:
            body = {"username": username, "password": password}
            return call("POST", "/api/auth/login", body, X_Forwarded_For="203.0.113.7:4711")

        assert call("PATCH", "/api/users/uma", {"password": PASSWORD}, Authorization=tokens["adam"]) == 200
        assert [login("uma", PASSWORD), login("uma", "wrong"), login("nobody-sentinel", "wrong")] == [200, 401, 401]
        body = {"recipient": "clara", "content": "Hello"}
        assert call("POST", f"{API}/send", body, Authorization=tokens["clara"]) == 400
        assert call("GET", f"{API}/admin/audit", Authorization=tokens["clara"]) == 403
        assert call("GET", f"{API}/inbox", Authorization=tokens["clara"], Sec_Fetch_Site="cross-site") == 403
        lines = [line for line in service.log_lines() if line["message"] == "request"]
    kept = ("status", "username", "code", "address")
    assert [{name: line[name] for name in kept if name in line} for line in lines] == [
        {"status": 200, "username": "adam"},
        {"status": 200, "username": "uma", "address": "203.0.113.7"},
        {"status": 401, "username": "uma", "code": "wrong_credentials", "address": "203.0.113.7"},
        {"status": 401, "username": None, "code": "wrong_credentials", "address": "203.0.113.7"},
        {"status": 400, "username": "clara", "code": "self_message"},
        {"status": 403, "username": "clara", "code": "admin_only"},
        {"status": 403, "username": None, "code": "cross_site"},
    ]
    assert "sentinel" not in json.dumps(lines)


def test_ended_sessions_are_deleted_while_nobody_calls(database_path: str) -> None:
    sign_in(database_path, uma="user")
    prepare = "import msgsvc.serving.housekeeping as module; module.INTERVAL_SECONDS = 0.05"
    with (
        serving(database_path, prepare=prepare, session_idle_seconds="1"),
        closing(sqlite3.connect(database_path)) as connection,
    ):
        deadline = time.monotonic() + WAIT_SECONDS
        while connection.execute("SELECT 1 FROM msgsvc_sessions").fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.05)
