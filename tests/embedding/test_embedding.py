"""At home in every WSGI stack: the accounts, the login, the tables and the process stay the host's."""

import logging
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hosts
import pytest
from hosts import ROLES, Site, mounted, rows
from werkzeug.exceptions import Unauthorized
from werkzeug.test import Client, TestResponse

import msgsvc
from msgsvc import Settings, create_app, remote_user
from msgsvc.storage.sqlite.check import check

SEND = "/api/messages/send"


@pytest.fixture(scope="session")
def django_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("django") / "site.db"
    hosts.configure_django()
    hosts.create_django_database(str(path))
    return path.read_bytes()


@pytest.fixture
def host_path(tmp_path: Path) -> str:
    """A host's database that msgsvc has not seen yet."""
    path = str(tmp_path / "site.db")
    hosts.create_host_database(path)
    return path


@pytest.fixture(params=["flask", "django", "plain"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "site.db"
    if request.param == "django":
        path.write_bytes(request.getfixturevalue("django_database"))
        site = hosts.django_site(str(path))
    else:
        hosts.create_host_database(str(path))
        site = {"flask": hosts.flask_site, "plain": hosts.plain_site}[request.param](str(path))
    yield site
    site.messages.close()


@pytest.fixture
def embed(host_path: str) -> Iterator[Callable[..., msgsvc.app.App]]:
    """Makes applications on the host's database; by default the stack says who calls by REMOTE_USER."""
    apps = []

    def make(authenticate: Callable[[Any], Any] = remote_user, **settings: Any) -> msgsvc.app.App:
        apps.append(create_app(Settings(**{"database": host_path, **settings}), authenticate=authenticate))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


def as_remote_user(wsgi: Any, username: str) -> Callable[..., TestResponse]:
    """A caller for whom the stack has set REMOTE_USER."""

    def call(path: str, method: str = "GET", **more: Any) -> TestResponse:
        environ = {"REMOTE_USER": username}
        return Client(wsgi).open(path, method=method, environ_base=environ, buffered=True, **more)

    return call


def post(browser: Client, recipient: str, content: str = "Hello") -> TestResponse:
    return browser.post(SEND, json={"recipient": recipient, "content": content}, buffered=True)


def read(browser: Client, path: str) -> Any:
    answer = browser.get(f"/api/messages/{path}", buffered=True)
    assert answer.status_code == 200, answer.text
    return answer.json


def faults(path: str) -> list[str]:
    """What `msgsvc check` finds."""
    return list(check(path, lambda _line: None))


# A host with its own login


def test_messages_travel_between_people_who_logged_in_at_the_host(site: Site) -> None:
    thea, uma = site.browser("thea"), site.browser("uma")
    message_id = post(thea, "uma", "How are you feeling today?").json["message_id"]

    assert read(uma, "unread") == {"total_unread": 1}
    assert uma.patch(f"/api/messages/{message_id}/read", buffered=True).status_code == 200
    assert post(uma, "thea", "Better, mood improved to 7/10").status_code == 201
    assert [m["content"] for m in read(thea, "conversation/uma")["messages"]] == [
        "How are you feeling today?",
        "Better, mood improved to 7/10",
    ]
    assert thea.delete(f"/api/messages/{message_id}", buffered=True).status_code == 204
    assert len(read(thea, "conversation/uma")["messages"]) == 1
    assert read(thea, "inbox")["conversations"][0]["with_user"] == "uma"


def test_roles_of_the_host_decide_who_may_write(site: Site) -> None:
    uma, clara = site.browser("uma"), site.browser("clara")
    assert post(uma, "clara").json["code"] == "reply_only"
    assert post(clara, "uma").status_code == 201
    assert post(uma, "clara").status_code == 201
    rows(site.path, "UPDATE users SET role = 'guest' WHERE username = 'uma'")
    assert post(uma, "clara").status_code == 403


def test_names_beyond_ascii_arrive_whole(site: Site) -> None:
    assert post(site.browser("thea"), "zoë", "Grüße").status_code == 201
    zoe = site.browser("zoë")
    assert read(zoe, "inbox")["conversations"][0]["last_message"] == "Grüße"
    assert post(zoe, "thea").status_code == 201
    assert len(read(site.browser("thea"), "conversation/zoë")["messages"]) == 2


def test_nobody_is_let_in_before_login_or_after_logout(site: Site) -> None:
    answer = post(site.browser(), "uma")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    thea = site.browser("thea")
    assert post(thea, "uma").status_code == 201
    thea.post("/logout", buffered=True)
    assert post(thea, "uma").status_code == 401


def test_rows_that_the_host_writes_count_like_any_other(site: Site) -> None:
    uma = site.browser("uma")
    before = uma.get("/api/messages/unread", buffered=True).headers["ETag"]
    insert = "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('clara', 'uma', 'by SQL')"
    rows(site.path, insert)
    after = uma.get("/api/messages/unread", headers={"If-None-Match": before}, buffered=True)
    assert (after.status_code, after.json) == (200, {"total_unread": 1})
    assert read(uma, "inbox")["conversations"][0]["last_message"] == "by SQL"
    assert post(uma, "clara").status_code == 201
    rows(site.path, "DELETE FROM messages WHERE content = 'by SQL'")
    assert read(uma, "unread") == {"total_unread": 0}
    assert faults(site.path) == []


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/session", "/api/users", "/api/users/uma", "/healthz"])
def test_every_path_outside_the_mount_stays_the_hosts(site: Site, path: str) -> None:
    assert site.browser("adam").get(path, buffered=True).text == "the host's page"


def test_tables_of_the_host_are_left_alone(site: Site) -> None:
    tables = ("users", "sessions", "blocks", "audit", "auth_user", "django_session")
    of_host = f"SELECT name, sql FROM sqlite_master WHERE tbl_name IN {tables} ORDER BY name"
    untouched = f"SELECT name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'msgsvc%' AND tbl_name IN {tables}"
    before = rows(site.path, of_host)
    thea = site.browser("thea")
    post(thea, "uma")
    thea.put("/api/messages/blocks/uma", buffered=True)
    site.browser("adam").get("/api/messages/admin/conversation/thea/uma?reason=asked", buffered=True)
    assert rows(site.path, of_host) == before
    assert not [name for name, _ in rows(site.path, untouched) if name.startswith("msgsvc")]
    assert rows(site.path, "SELECT colour FROM blocks") == [("red",)]
    assert rows(site.path, "SELECT invoice FROM audit") == [("paid",)]
    assert rows(site.path, "SELECT username, role, theme FROM users ORDER BY username") == sorted(
        (username, role, "dark") for username, role in ROLES.items()
    )


def test_a_form_of_another_site_cannot_send_with_the_login_cookie(site: Site) -> None:
    thea = site.browser("thea")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = '{"recipient": "uma", "content": "forged"}'
        assert thea.post(SEND, data=body, content_type=content_type, buffered=True).status_code == 415


# What the host's function may do


def test_an_embedded_application_serves_no_account_paths(embed: Callable[..., Any]) -> None:
    call = as_remote_user(embed(), "adam")
    for path in ("/api/auth/login", "/api/auth/logout", "/api/auth/session", "/api/auth/password", "/api/users"):
        for method in ("GET", "POST", "PUT"):
            assert call(path, method, json={}).status_code == 404


def test_names_that_a_host_keeps_as_numbers_are_shown_as_text(tmp_path: Path) -> None:
    """STRING, which is no type of SQLite's, makes a number of 1001 (sqlite.org/datatype3.html)."""
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


def test_session_tokens_of_msgsvc_open_nothing_in_a_host(embed: Callable[..., Any], host_path: str) -> None:
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
        pytest.param(lambda _environ: _raise(ValueError("hunter2 secret")), id="raises"),
        pytest.param(lambda _environ: _raise(Unauthorized("hunter2 secret")), id="aborts"),
        pytest.param(lambda environ: environ["hunter2 secret"], id="looks for what is not there"),
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
def test_an_authenticate_that_fails_is_401_and_a_log_line(
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


def test_nobody_logged_in_is_401_without_a_warning(embed: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    assert Client(embed(lambda _environ: None)).get("/api/messages/inbox").status_code == 401
    assert Client(embed(remote_user)).get("/api/messages/inbox").status_code == 401
    assert Client(embed(remote_user)).get("/api/messages/inbox", environ_base={"REMOTE_USER": ""}).status_code == 401
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_remote_user_cannot_be_set_by_a_header(embed: Callable[..., Any]) -> None:
    for header in ("Remote-User", "Remote_User", "X-Remote-User"):
        assert Client(embed()).get("/api/messages/inbox", headers={header: "thea"}).status_code == 401


def test_authenticate_is_not_asked_where_nobody_needs_to_be_logged_in(embed: Callable[..., Any]) -> None:
    app = embed(lambda _environ: pytest.fail("asked"))
    assert Client(app).get("/healthz").status_code == 200
    assert Client(app).get("/api/messages/nothing").status_code == 404


def test_a_column_that_folds_case_is_still_compared_exactly(tmp_path: Path) -> None:
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


def test_messages_whose_column_folds_case_are_still_those_of_the_exact_names(tmp_path: Path) -> None:
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


# Where it is mounted


def _page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the host's page"]


@pytest.mark.parametrize(
    ("mount", "prefix", "script_name"),
    [
        ("/api/messages", "/api/messages", ""),
        ("/api", "/api/messages", ""),
        ("", "/api/messages", ""),
        ("/intranet/post", "/intranet/post", ""),
        ("/intranet", "/intranet/post", ""),
        ("/m", "/m", ""),
        ("/api/messages", "/site/api/messages", "/site"),
        ("/post", "/a/b/post", "/a/b"),
    ],
)
def test_routes_match_the_public_path_wherever_it_is_mounted(
    embed: Callable[..., Any], mount: str, prefix: str, script_name: str
) -> None:
    wsgi = mounted(_page, embed(prefix=prefix), mount)
    inside = prefix.removeprefix(script_name)
    at = {"base_url": f"http://localhost{script_name}"}
    thea, uma = as_remote_user(wsgi, "thea"), as_remote_user(wsgi, "uma")
    sent = thea(f"{inside}/send", "POST", json={"recipient": "uma", "content": "Hello"}, **at)
    assert sent.status_code == 201
    assert uma(f"{inside}/unread", **at).json == {"total_unread": 1}
    assert thea(f"{inside}/unread/", **at).status_code == 404
    if prefix != "/api/messages":
        assert as_remote_user(embed(prefix=prefix), "uma")("/api/messages/unread").status_code == 404


def test_a_standalone_application_keeps_its_account_paths_under_another_prefix(tmp_path: Path) -> None:
    app = create_app(Settings(database=str(tmp_path / "own.db"), prefix="/post"))
    assert Client(app).post("/api/auth/login", json={"username": "uma", "password": "wrong"}).status_code == 401
    assert Client(app).get("/post/inbox").status_code == 401
    assert Client(app).get("/api/messages/inbox").status_code == 404
    app.close()


# The process stays the host's


def test_two_applications_with_two_databases_live_in_one_process(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("east.db", "west.db")]
    apps = []
    for path in paths:
        hosts.create_host_database(path)
        apps.append(create_app(Settings(database=path), authenticate=remote_user))
    east, west = (as_remote_user(app, "thea") for app in apps)
    east(SEND, "POST", json={"recipient": "uma", "content": "only east"})
    assert len(east("/api/messages/inbox").json["conversations"]) == 1
    assert west("/api/messages/inbox").json["conversations"] == []
    apps[0].close()
    assert west(SEND, "POST", json={"recipient": "uma", "content": "west goes on"}).status_code == 201
    apps[1].close()
    assert [rows(path, "SELECT content FROM messages") for path in paths] == [[("only east",)], [("west goes on",)]]


def test_closing_twice_is_harmless_and_ends_every_call(embed: Callable[..., Any], host_path: str) -> None:
    app = embed()
    call = as_remote_user(app, "thea")
    assert call("/api/messages/inbox").status_code == 200
    app.close()
    app.close()
    assert (call("/api/messages/inbox").status_code, call("/healthz").status_code) == (503, 503)
    assert not Path(host_path + "-wal").exists()


def test_a_relative_database_path_means_the_directory_of_the_start(
    host_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = create_app(Settings(database=Path(host_path).name), authenticate=remote_user)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert as_remote_user(app, "thea")("/api/messages/inbox").status_code == 200
    app.close()


def run_python(script: str, *arguments: str) -> str:
    """The output of a Python process of its own, in which warnings are errors."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


GLOBAL_STATE = """
import gc, json, locale, logging, os, signal, socket, sqlite3, sys, threading, warnings

def state():
    gc.collect()
    loggers = [logging.getLogger(name) for name in ("", "msgsvc", "werkzeug", "waitress")]
    return {
        "environment": dict(os.environ),
        "directory": [os.getcwd(), os.listdir()],
        "umask": (lambda mask: [mask, os.umask(mask)][0])(os.umask(0o22)),
        "path": list(sys.path),
        "hooks": [str(sys.excepthook), str(threading.excepthook), str(sys.unraisablehook), str(sys.displayhook)],
        "signals": {s: str(signal.getsignal(s)) for s in signal.valid_signals()},
        "threads": [t.name for t in threading.enumerate()],
        "files": sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{n}")),
        "loggers": [[l.level, l.propagate, l.disabled, len(l.handlers)] for l in loggers],
        "logging": [logging.root.manager.disable, str(logging.getLoggerClass()), logging.raiseExceptions],
        "log records": str(logging.getLogRecordFactory()),
        "warnings": [str(warnings.showwarning), *(str(f) for f in warnings.filters)],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "locale": locale.setlocale(locale.LC_ALL),
        "timeout": socket.getdefaulttimeout(),
        "sqlite": [len(sqlite3.adapters), len(sqlite3.converters), sqlite3.enable_callback_tracebacks.__name__],
        "gc": [gc.get_threshold(), gc.isenabled()],
    }
"""


def test_importing_opens_and_changes_nothing(tmp_path: Path) -> None:
    script = """
    import pytest
    os.chdir(sys.argv[1])
    before = state()
    import msgsvc, msgsvc.testing, msgsvc.cli, msgsvc.pytest_plugin
    after = state()
    assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
    """
    run_python(GLOBAL_STATE + textwrap.dedent(script), str(tmp_path))


def test_an_application_leaves_the_process_as_it_was(host_path: str) -> None:
    script = """
    import msgsvc
    from werkzeug.test import Client
    before = state()
    app = msgsvc.create_app(msgsvc.Settings(database=sys.argv[1]), authenticate=msgsvc.remote_user)
    body = {"recipient": "uma", "content": "Hello"}
    assert Client(app).post("/api/messages/send", json=body, environ_base={"REMOTE_USER": "thea"}).status_code == 201
    app.close()
    after = state()
    assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
    """
    run_python(GLOBAL_STATE + textwrap.dedent(script), host_path)


# Forks

FORK = """
import os, sys, threading
import msgsvc
from werkzeug.test import Client

path = sys.argv[1]
app = msgsvc.create_app(msgsvc.Settings(database=path, send_rate=0), authenticate=msgsvc.remote_user)

def send(sender, recipient, content):
    body = {"recipient": recipient, "content": content}
    answer = Client(app).post("/api/messages/send", json=body, environ_base={"REMOTE_USER": sender})
    assert answer.status_code == 201, answer.text

def forked(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit(0)
    return pid

def wait(*pids):
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "a child failed"
"""


def forked_messages(host_path: str, script: str) -> list[str]:
    """Runs the script, checks the database, and gives the contents of all messages."""
    run_python(FORK + textwrap.dedent(script), host_path)
    assert rows(host_path, "PRAGMA integrity_check") == [("ok",)]
    assert faults(host_path) == []
    return sorted(content for (content,) in rows(host_path, "SELECT content FROM messages"))


@pytest.mark.parametrize("used_before", [False, True])
def test_an_application_made_before_a_fork_works_on_both_sides_of_it(host_path: str, used_before: bool) -> None:
    contents = forked_messages(
        host_path,
        f"""
        if {used_before}:
            send("thea", "uma", "before")
        def work(name):
            for n in range(20):
                send("thea", "uma", name)
        children = [forked(lambda name=name: work(name)) for name in ("one", "two")]
        work("parent")
        wait(*children)
        send("uma", "thea", "after")
        app.close()
        """,
    )
    assert contents == sorted(["before"] * used_before + ["one", "two", "parent"] * 20 + ["after"])


def test_no_connection_crosses_a_fork(host_path: str) -> None:
    """A connection that did would take its locks for the child's own, and the file would be damaged by the next one
    who opens it when the parent has gone."""
    contents = forked_messages(
        host_path,
        """
        import sqlite3
        send("thea", "uma", "before")
        Client(app).get("/api/messages/inbox", environ_base={"REMOTE_USER": "uma"})
        started, parent_closed = os.pipe(), os.pipe()
        def work():
            send("thea", "uma", "child")
            os.write(started[1], b"x")
            os.read(parent_closed[0], 1)
            for n in range(100):
                send("thea", "uma", "child")
        child = forked(work)
        os.read(started[0], 1)
        app.close()
        os.write(parent_closed[1], b"x")
        def others():
            for n in range(30):
                connection = sqlite3.connect(path, timeout=20)
                with connection:
                    connection.execute("INSERT INTO messages (sender_username, recipient_username, content)"
                                       " VALUES ('uma', 'thea', 'other')")
                connection.close()
        wait(child, forked(others))
        """,
    )
    assert contents == ["before", *["child"] * 101, *["other"] * 30]


def test_a_fork_while_another_thread_is_writing_leaves_the_child_free_to_write(host_path: str) -> None:
    contents = forked_messages(
        host_path,
        """
        writing, forked_now = threading.Event(), threading.Event()
        def slow(transaction):
            transaction.execute("INSERT INTO messages (sender_username, recipient_username, content)"
                                " VALUES ('thea', 'uma', 'slow')")
            writing.set()
            forked_now.wait(1)
        thread = threading.Thread(target=app.services.database.write, args=[slow])
        thread.start()
        writing.wait()
        child = forked(lambda: send("uma", "thea", "child"))
        forked_now.set()
        thread.join()
        wait(child)
        send("uma", "thea", "parent")
        app.close()
        """,
    )
    assert contents == ["child", "parent", "slow"]


def test_a_child_that_ends_does_not_take_a_private_database_from_its_parent() -> None:
    run_python(
        """
        import os, sys
        from msgsvc.testing import Client
        client = Client()
        thea = client.as_user("thea", "therapist")
        client.as_user("uma")
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        body = {"recipient": "uma", "content": "Hello"}
        assert thea.post("/api/messages/send", json=body).status_code == 201
        assert Client(client.app).get("/healthz").status_code == 200
        client.close()
        """
    )


def test_the_check_of_this_file_sees_damage(host_path: str, embed: Callable[..., Any]) -> None:
    as_remote_user(embed(), "thea")(SEND, "POST", json={"recipient": "uma", "content": "Hello"})
    with closing(sqlite3.connect(host_path)) as connection, connection:
        connection.execute("UPDATE msgsvc_conversations SET unread_count = 7 WHERE owner = 'uma'")
    assert faults(host_path) != []
