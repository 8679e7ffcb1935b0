"""The command line, run as a process."""

import http.client
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from processes import WAIT_SECONDS, environment, msgsvc
from requirements import needs
from served import call, serving, sign_in

API = "/api/messages"

# Accounts and the database


def made_password(cwd: Path, name: str = "uma", role: str = "user") -> str:
    """Creates an account; returns the printed password."""
    status, output, errors = msgsvc("user", "add", name, "--role", role, cwd=cwd)
    assert (status, errors) == (0, "")
    return output.removesuffix("\n")


def test_migrate_reports_its_migrations_and_then_nothing_to_do(tmp_path: Path) -> None:
    first = msgsvc("migrate", "--database", "own.db", cwd=tmp_path)
    content = (tmp_path / "own.db").read_bytes()
    second = msgsvc("migrate", "--database", "own.db", cwd=tmp_path)
    assert (first.status, first.errors) == (0, "")
    assert first.output.splitlines()[0] == "0001_messages"
    assert second == (0, "nothing to do\n", "")
    assert (tmp_path / "own.db").read_bytes() == content


def test_a_memory_database_has_nothing_to_migrate(tmp_path: Path) -> None:
    refused = msgsvc("migrate", "--database", ":memory:", cwd=tmp_path)
    assert (refused.status, refused.output, refused.errors.count("\n")) == (2, "", 1)
    assert ":memory:" in refused.errors
    assert list(tmp_path.iterdir()) == []


def test_the_life_of_an_account(tmp_path: Path) -> None:
    password = made_password(tmp_path)
    assert re.fullmatch(r"\S{12,}", password)
    given = msgsvc("user", "add", "thea", "--role", "therapist", "--password-stdin", cwd=tmp_path, typed="a b c d e\n")
    assert given == (0, "", "")
    assert msgsvc("user", "role", "uma", "clinician", cwd=tmp_path) == (0, "", "")
    listed = msgsvc("user", "list", cwd=tmp_path)
    assert (listed.status, listed.errors) == (0, "")
    assert [line.split("\t")[:2] for line in listed.output.splitlines()] == [
        ["thea", "therapist"],
        ["uma", "clinician"],
    ]
    stored = (tmp_path / "messages.db").read_bytes()
    assert password.encode() not in stored
    assert b"a b c d e" not in stored

    with serving(str(tmp_path / "messages.db")) as service:
        for name, secret in (("uma", password), ("thea", "a b c d e")):
            body = {"username": name, "password": secret}
            answer = service.call("POST", "/api/auth/login", body)
            assert (answer.status, answer.json["username"]) == (200, name)
        again = msgsvc("user", "password", "uma", cwd=tmp_path)
        assert again.output.removesuffix("\n") != password
        body = {"username": "uma", "password": password}
        assert service.call("POST", "/api/auth/login", body).status == 401
        body["password"] = again.output.removesuffix("\n")
        assert service.call("POST", "/api/auth/login", body).status == 200


def test_a_printed_token_works_until_the_password_is_changed(tmp_path: Path) -> None:
    made_password(tmp_path)
    token = msgsvc("token", "uma", cwd=tmp_path).output.removesuffix("\n")
    with serving(str(tmp_path / "messages.db")) as service:
        session = service.call("GET", "/api/auth/session", Authorization=token)
        assert (session.status, session.json["username"], session.json["role"]) == (200, "uma", "user")
        changed = msgsvc("user", "password", "uma", "--password-stdin", cwd=tmp_path, typed="another password\n")
        assert changed == (0, "", "")
        assert service.call("GET", "/api/auth/session", Authorization=token).status == 401


def test_a_token_is_stored_only_as_its_hash(tmp_path: Path) -> None:
    made_password(tmp_path)
    token = msgsvc("token", "uma", cwd=tmp_path).output.strip()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert token.encode() not in (tmp_path / "messages.db").read_bytes()


def test_a_role_given_on_the_command_line_counts_from_the_next_request(tmp_path: Path) -> None:
    database = str(tmp_path / "messages.db")
    token = sign_in(database, uma="user")["uma"]
    with serving(database) as service:
        assert msgsvc("user", "role", "uma", "clinician", cwd=tmp_path).status == 0
        assert service.call("GET", "/api/auth/session", Authorization=token).json["role"] == "clinician"


# What is wrong

WRONG = {
    "no command": ((), {}, 2, "COMMAND"),
    "an unknown command": (("sreve",), {}, 2, "sreve"),
    "an unknown option": (("migrate", "--databse", "x.db"), {}, 2, "--databse"),
    "an option cut short": (("migrate", "--data", "x.db"), {}, 2, "--data"),
    "an option without its value": (("migrate", "--database"), {}, 2, "--database"),
    "an empty option": (("migrate", "--database", ""), {}, 2, "--database"),
    "no action": (("user",), {}, 2, "ACTION"),
    "an unknown role": (("user", "add", "uma", "--role", "nurse"), {}, 2, "nurse"),
    "no role": (("user", "add", "uma"), {}, 2, "--role"),
    "no name": (("user", "add", "--role", "user"), {}, 2, "name"),
    "an empty name": (("user", "add", "", "--role", "user"), {}, 1, "NAME"),
    "a name with a slash": (("user", "add", "u/ma", "--role", "user"), {}, 1, "NAME"),
    "a name that is no text": (("user", "add", "u\udcff", "--role", "user"), {}, 2, "udcff"),
    "a name with a line break": (("user", "add", "u\nma", "--role", "user"), {}, 1, "NAME"),
    "a short password": (("user", "add", "uma", "--role", "user", "--password-stdin"), {}, 1, "password"),
    "no such account": (("user", "role", "nobody", "user"), {}, 1, "user"),
    "no account for a password": (("user", "password", "nobody"), {}, 1, "user"),
    "no account for a token": (("token", "nobody"), {}, 1, "user"),
    "a directory that is not there": (("migrate", "--database", "missing/x.db"), {}, 1, "missing/x.db"),
    "a directory for a file": (("migrate", "--database", "."), {}, 1, "."),
    "a file that is no database": (("migrate", "--database", "diary.db"), {}, 1, "diary.db"),
    "a database that cannot be migrated": (("migrate", "--database", "host.db"), {}, 1, "users"),
    "a misspelt variable": (("migrate",), {"MSGSVC_DATABSE": "x.db"}, 2, "MSGSVC_DATABASE"),
    "a bad variable": (("migrate",), {"MSGSVC_THREADS": "0"}, 2, "MSGSVC_THREADS"),
    "a bad variable of the platform": (("demo",), {"PORT": "http"}, 2, "PORT"),
    "a bad option": (("demo", "--port", "70000"), {}, 2, "--port"),
    "threads 0": (("serve", "--threads", "0"), {}, 2, "--threads"),
    "a port out of range": (("serve",), {"MSGSVC_PORT": "70000"}, 2, "MSGSVC_PORT"),
    "an option of serve that there is not": (("serve", "--workers", "4"), {}, 2, "--workers"),
    "a host that is none": (("serve", "--port", "0", "--host", "256.0.0.1"), {}, 1, "256.0.0.1"),
    "a server on no database": (("serve", "--database", "diary.db"), {}, 1, "diary.db"),
    "a server in no directory": (("serve", "--database", "missing/x.db"), {}, 1, "missing/x.db"),
}


@pytest.mark.parametrize(("arguments", "variables", "status", "word"), WRONG.values(), ids=WRONG)
def test_wrong_command_gets_one_line_of_error(
    tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], status: int, word: str
) -> None:
    (tmp_path / "diary.db").write_text("Dear diary, " * 1000)
    with closing(sqlite3.connect(tmp_path / "host.db")) as connection:
        connection.execute("CREATE TABLE users (username TEXT PRIMARY KEY)")
    ran = msgsvc(*arguments, cwd=tmp_path, typed="short\n", **variables)
    assert (ran.status, ran.output) == (status, "")
    assert ran.errors.count("\n") == 1, ran.errors
    assert ran.errors.endswith("\n")
    assert word in ran.errors
    assert "Traceback" not in ran.errors
    if arguments[:1] == ("serve",):
        assert json.loads(ran.errors)["level"] == "error"


def test_an_account_cannot_be_made_twice(tmp_path: Path) -> None:
    made_password(tmp_path)
    status, output, errors = msgsvc("user", "add", "uma", "--role", "admin", cwd=tmp_path)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "\tuser" in msgsvc("user", "list", cwd=tmp_path).output


def test_taken_port_is_named_in_one_line(tmp_path: Path) -> None:
    with serving(str(tmp_path / "messages.db")) as service:
        port = str(service.port)
        ran = msgsvc("serve", "--database", "other.db", "--port", port, cwd=tmp_path)
    assert (ran.status, ran.errors.count("\n")) == (1, 1)
    assert port in json.loads(ran.errors)["message"]


def test_help_is_no_error(tmp_path: Path) -> None:
    for arguments in (("--help",), ("user", "add", "--help"), ("serve", "--help")):
        ran = msgsvc(*arguments, cwd=tmp_path)
        assert (ran.status, ran.errors) == (0, "")
        assert "usage: msgsvc" in ran.output


# Serving


def test_log_lines_are_json_without_secrets(tmp_path: Path) -> None:
    database = str(tmp_path / "messages.db")
    password = made_password(tmp_path, "thea", "therapist")
    token = sign_in(database, uma="user")["uma"]
    with serving(database) as service:
        message = {"recipient": "thea", "subject": "secret subject", "content": "secret content"}
        calls = [
            ("POST", f"{API}/send", f"{API}/send", 201, "uma"),
            ("GET", f"{API}/conversation/thea?limit=5", f"{API}/conversation/<username>", 200, "uma"),
            ("GET", f"{API}/inbox?limit=secret", f"{API}/inbox", 400, "uma"),
            ("GET", "/secret", "", 404, None),
        ]
        for number, (method, path, _, status, _) in enumerate(calls):
            body = message if method == "POST" else None
            headers = {"Authorization": token, "X-Request-ID": f"call-{number}"}
            assert service.call(method, path, body, **headers).status == status
        login = {"username": "thea", "password": password}
        assert service.call("POST", "/api/auth/login", login).status == 200
        assert service.stop() == 0
    text = service.log_text()
    lines = service.log_lines()
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    requests = [line for line in lines if "method" in line]
    assert len(requests) == len(calls) + 1
    assert all(line["milliseconds"] >= 0 for line in requests)
    shown = [
        (line["request_id"], line["method"], line["route"], line["status"], line["username"]) for line in requests[:4]
    ]
    assert [row[:2] + row[3:] for row in shown] == [
        (f"call-{number}", method, status, username) for number, (method, _, _, status, username) in enumerate(calls)
    ]
    assert [re.sub(r"<\w+:", "<", route or "") for _, _, route, _, _ in shown] == [route for _, _, route, _, _ in calls]
    for secret in ("secret", token.removeprefix("Bearer "), password):
        assert secret not in text


def test_calls_are_answered_when_the_log_pipe_is_closed(tmp_path: Path) -> None:
    database = str(tmp_path / "messages.db")
    token = sign_in(database, thea="therapist", uma="user")["uma"]
    message = {"recipient": "thea", "content": "Hello"}
    with serving(database, "sh", "-c", '"$@" 2>&1 | head -n 1 >&2', "sh") as service:
        for _ in range(3):
            assert service.call("POST", f"{API}/send", message, Authorization=token).status == 201
            assert service.call("GET", f"{API}/inbox", Authorization=token).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(str(tmp_path / "messages.db")) as service:
        assert service.call("GET", "/healthz").status == 200
        assert service.stop(number) == 0
        assert {line["level"] for line in service.log_lines()} <= {"info", "warning"}


def test_sigint_ends_a_server_that_a_script_started_in_the_background(tmp_path: Path) -> None:
    """The shell lets a background job ignore SIGINT; the server installs its own handler."""
    with serving(str(tmp_path / "messages.db"), "sh", "-c", 'trap "" INT; exec "$@"', "sh") as service:
        assert service.stop(signal.SIGINT) == 0


def test_a_connection_lives_on_after_answers_without_a_body(tmp_path: Path) -> None:
    database = str(tmp_path / "messages.db")
    token = sign_in(database, thea="therapist", uma="user")["uma"]
    with serving(database) as service, closing(service.connection()) as connection:

        def ask(method: str, path: str, **headers: str) -> tuple[int, str | None]:
            connection.request(method, path, headers={"Authorization": token, **headers})
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("ETag")

        connection.connect()
        socket = connection.sock
        status, tag = ask("GET", f"{API}/unread")
        assert (status, bool(tag)) == (200, True)
        assert ask("GET", f"{API}/unread", **{"If-None-Match": tag}) == (304, tag)
        assert ask("DELETE", f"{API}/conversation/thea")[0] == 204
        assert ask("GET", f"{API}/unread")[0] == 200
        assert ask("GET", f"{API}/missing")[0] == 404
        assert ask("GET", f"{API}/inbox")[0] == 200
        assert connection.sock is socket


# The demo


def send_with_urllib(line: str) -> int:
    """Sends one of the printed curl lines with urllib."""
    words = iter(shlex.split(line)[1:])
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = json.loads(next(words))
        elif not word.startswith("-"):
            url = word
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=WAIT_SECONDS)) as connection:
        return call(connection, method, address._replace(scheme="", netloc="").geturl(), body, **headers).status


def send_with_curl(line: str) -> int:
    """Runs the line in a shell."""
    needs("curl", "apt-get install curl")
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=WAIT_SECONDS)
    return int(ran.stdout.split()[1])


@pytest.mark.parametrize("send", [send_with_curl, send_with_urllib])
def test_every_line_that_the_demo_prints_works_when_pasted(tmp_path: Path, send: Callable[[str], int]) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "msgsvc", "demo", "--port", "0"],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout
        assert demo.stderr
        assert "listening" in demo.stderr.readline()
        lines = os.read(demo.stdout.fileno(), 65536).decode().splitlines()
        curl_lines = [line for line in lines if line.startswith("curl ")]
        statuses = [send(line) for line in curl_lines]
        assert statuses[:5] == [201, 200, 200, 200, 204]
        assert set(statuses[5:]) <= {200}
        assert all(role in "\n".join(lines) for role in ("therapist", "clinician", "user", "admin"))
        demo.terminate()
        _, errors = demo.communicate(timeout=WAIT_SECONDS)
        assert demo.returncode == 0
        assert "Traceback" not in errors
        assert list(tmp_path.iterdir()) == [], "the throwaway database is thrown away"
    finally:
        demo.kill()
        demo.communicate()


def test_the_demo_leaves_a_database_that_has_accounts_alone(tmp_path: Path) -> None:
    msgsvc("user", "add", "ada", "--role", "admin", cwd=tmp_path)
    refused = msgsvc("demo", "--port", "0", "--database", "messages.db", cwd=tmp_path)
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors == "msgsvc: the demo fills only a database that has no accounts\n"
    assert msgsvc("user", "list", cwd=tmp_path).output == "ada\tadmin\tactive\n"


def test_explain_names_the_rule_that_decides(tmp_path: Path) -> None:
    sign_in(str(tmp_path / "messages.db"), uma="user", clara="clinician", ada="admin")
    pairs = (("clara", "uma"), ("uma", "clara"))
    said = {pair: msgsvc("explain", *pair, cwd=tmp_path).output.strip() for pair in pairs}
    assert said == {
        ("clara", "uma"): "yes: role matrix: clinician may write to user",
        ("uma", "clara"): "no: reply rule: the clinician has never written to the user",
    }
    assert msgsvc("user", "suspend", "uma", cwd=tmp_path).status == 0
    assert "no: suspension: the recipient" in msgsvc("explain", "clara", "uma", cwd=tmp_path).output
    assert msgsvc("user", "reinstate", "uma", cwd=tmp_path).status == 0
    assert msgsvc("explain", "clara", "uma", cwd=tmp_path).output.startswith("yes")
    unknown = msgsvc("explain", "clara", "nobody", cwd=tmp_path)
    assert (unknown.status, unknown.errors) == (1, "msgsvc: no such user: nobody\n")
