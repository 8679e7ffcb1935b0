"""What the host's `authenticate` function may return and raise."""

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from embedded import SEND, as_remote_user
from hosts import rows
from werkzeug.exceptions import Unauthorized
from werkzeug.test import Client
from werkzeug.wrappers import Request

from msgsvc import Settings, create_app, remote_user


def test_an_embedded_application_serves_no_account_paths(embed: Callable[..., Any]) -> None:
    call = as_remote_user(embed(), "adam")
    for path in ("/api/auth/login", "/api/auth/logout", "/api/auth/session", "/api/auth/password", "/api/users"):
        for method in ("GET", "POST", "PUT"):
            assert call(path, method, json={}).status_code == 404


def test_numeric_host_usernames_are_shown_as_text(tmp_path: Path) -> None:
    """SQLite gives a STRING column numeric affinity and stores 1001 as a number (sqlite.org/datatype3.html)."""
    path = str(tmp_path / "numbers.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE users (username STRING PRIMARY KEY, role TEXT);
            CREATE TABLE messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT, sender_username STRING, recipient_username STRING, content TEXT
            );
            INSERT INTO users VALUES ('1001', 'therapist'), ('uma', 'user');
            INSERT INTO messages (sender_username, recipient_username, content) VALUES ('1001', 'uma', 'Hello');
            """
        )
    with closing(create_app(Settings(database=path), authenticate=remote_user)) as app:
        client, uma = Client(app), {"REMOTE_USER": "uma"}
        (conversation,) = client.get("/api/messages/inbox", environ_base=uma).json["conversations"]
        (message,) = client.get("/api/messages/conversation/1001", environ_base=uma).json["messages"]
    assert (conversation["with_user"], message["sender"]) == ("1001", "1001")


def test_session_tokens_are_ignored_when_embedded(embed: Callable[..., Any], host_path: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "msgsvc", "token", "thea", "--database", host_path], capture_output=True, check=True
    )
    headers = {"Authorization": f"Bearer {run.stdout.decode().strip()}"}
    assert Client(embed()).get("/api/messages/inbox", headers=headers).status_code == 401


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    "authenticate",
    [
        pytest.param(lambda _environ: "nobody", id="a name without a row"),
        pytest.param(lambda _environ: "UMA", id="another case"),
        pytest.param(lambda _environ: " uma", id="a blank before"),
        pytest.param(lambda _environ: "uma\0", id="a NUL after"),
        pytest.param(lambda _environ: "", id="the empty name"),
        pytest.param(lambda _environ: "uma\udc80", id="a lone surrogate"),
        pytest.param(lambda _environ: b"uma", id="bytes"),
        pytest.param(lambda _environ: 5, id="an integer that reads as a name"),
        pytest.param(lambda _environ: True, id="a truth that reads as a name"),
        pytest.param(lambda _environ: 2**70, id="an integer beyond SQLite"),
        pytest.param(lambda _environ: ["uma"], id="a list"),
        pytest.param(lambda _environ: object(), id="an object"),
        pytest.param(lambda _environ: False, id="False"),
    ],
)
def test_an_authenticate_that_gives_no_name_of_an_account_is_401_and_logged(
    embed: Callable[..., Any],
    host_path: str,
    authenticate: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("0", "1", "5"):
        rows(host_path, "INSERT INTO users (email, username, password_hash, role) VALUES ('', ?, '', 'user')", name)
    caplog.set_level(logging.DEBUG, "msgsvc")
    answer = Client(embed(authenticate)).get("/api/messages/inbox", headers={"X-Request-ID": "the-request"})

    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.fields["request_id"] == "the-request"
    assert "hunter2" not in caplog.text
    assert record.exc_info is None


@pytest.mark.parametrize(
    "authenticate",
    [
        pytest.param(lambda _environ: _raise(ValueError("hunter2 secret")), id="raises"),
        pytest.param(lambda _environ: _raise(Unauthorized("hunter2 secret")), id="aborts"),
        pytest.param(lambda environ: environ["hunter2 secret"], id="looks for what is not there"),
    ],
)
@pytest.mark.parametrize("path", ["inbox", "inbox?page=0"])
def test_an_authenticate_that_raises_is_503_and_logged_once(
    embed: Callable[..., Any], authenticate: Callable[[Any], Any], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = Client(embed(authenticate)).get(f"/api/messages/{path}", headers={"X-Request-ID": "the-request"})

    assert (answer.status_code, answer.json["code"]) == (503, "authentication_unavailable")
    assert answer.headers["Retry-After"] == "1"
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.fields["request_id"] == "the-request"
    assert "hunter2" not in caplog.text
    assert record.exc_info is None


def test_a_body_that_authenticate_reads_is_not_lost(embed: Callable[..., Any]) -> None:
    """Whether it reads before the service does or after it."""

    def signed(environ: Any) -> str:
        return "uma" if b"Hello" in Request(environ).get_data() else ""

    def reading_first(environ: Any, start_response: Any) -> Any:
        assert b"Hello" in Request(environ).get_data()
        return app(environ, start_response)

    app = embed(signed)
    for wsgi in (app, reading_first):
        assert Client(wsgi).post(SEND, json={"recipient": "thea", "content": "Hello"}).status_code == 201


def test_anonymous_call_is_401_without_a_warning(embed: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    assert Client(embed(lambda _environ: None)).get("/api/messages/inbox").status_code == 401
    assert Client(embed(remote_user)).get("/api/messages/inbox").status_code == 401
    assert Client(embed(remote_user)).get("/api/messages/inbox", environ_base={"REMOTE_USER": ""}).status_code == 401
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_remote_user_cannot_be_set_by_a_header(embed: Callable[..., Any]) -> None:
    for header in ("Remote-User", "Remote_User", "X-Remote-User"):
        assert Client(embed()).get("/api/messages/inbox", headers={header: "thea"}).status_code == 401


def test_public_calls_do_not_authenticate(embed: Callable[..., Any]) -> None:
    app = embed(lambda _environ: pytest.fail("asked"))
    assert Client(app).get("/healthz").status_code == 200
    assert Client(app).get("/api/messages/nothing").status_code == 404


def test_usernames_in_a_nocase_column_are_compared_exactly(tmp_path: Path) -> None:
    path = str(tmp_path / "folding.db")
    rows(path, "CREATE TABLE users (username TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL)")
    rows(path, "INSERT INTO users VALUES ('Uma', 'user'), ('thea', 'therapist')")
    app = create_app(Settings(database=path), authenticate=remote_user)
    uma = as_remote_user(app, "Uma")
    for impostor in ("uma", "UMA"):
        assert as_remote_user(app, impostor)("/api/messages/inbox").status_code == 401
    for recipient, status in (("thea", 201), ("Thea", 404), ("THEA", 404), ("uma", 404), ("Uma", 400)):
        body = {"recipient": recipient, "content": "Hello"}
        assert uma(SEND, "POST", json=body).status_code == status, recipient
    assert uma("/api/messages/conversation/Thea").status_code == 404
    assert uma("/api/messages/blocks/UMA", "PUT").status_code == 404
    assert [r["username"] for r in uma("/api/messages/recipients?q=TH").json["recipients"]] == []
    app.close()


def test_messages_in_nocase_columns_are_matched_exactly(tmp_path: Path) -> None:
    path = str(tmp_path / "folding.db")
    rows(path, "CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT NOT NULL)")
    rows(
        path,
        "INSERT INTO users VALUES ('uma', 'user'), ('thea', 'therapist'), ('Thea', 'therapist'), ('adam', 'admin')",
    )
    columns = "sender_username TEXT COLLATE NOCASE, recipient_username TEXT COLLATE NOCASE, content TEXT"
    rows(path, f"CREATE TABLE messages (id INTEGER PRIMARY KEY, {columns})")
    app = create_app(Settings(database=path), authenticate=remote_user)
    sent = [("uma", "thea"), ("thea", "uma"), ("Thea", "uma"), ("uma", "Thea")]
    for number, pair in enumerate(sent):
        sql = f"INSERT INTO messages (sender_username, recipient_username, content) VALUES (?, ?, '{number}')"
        rows(path, sql, *pair)

    def seen(caller: str, call: str) -> list[tuple[str, str, str]]:
        messages = as_remote_user(app, caller)(f"/api/messages/{call}").json["messages"]
        return [(m["content"], m["sender"], m["recipient"]) for m in messages]

    of_thea = [("0", "uma", "thea"), ("1", "thea", "uma")]
    of_the_other = [("2", "Thea", "uma"), ("3", "uma", "Thea")]
    for thea, messages in (("thea", of_thea), ("Thea", of_the_other)):
        assert seen("uma", f"conversation/{thea}") == messages
        assert seen("uma", f"conversation/{thea}?after=0") == messages
        assert seen(thea, "conversation/uma") == messages
        for pair in (f"{thea}/uma", f"uma/{thea}"):
            assert seen("adam", f"admin/conversation/{pair}?reason=law") == messages
    app.close()
