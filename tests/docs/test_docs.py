"""The documentation works as written: every code block is run."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import fields
from pathlib import Path

import hosts
import pytest
from deployment import ADMIN, deployed
from pages import blocks
from processes import CHECKOUT, WAIT_SECONDS, environment
from served import serving, sign_in, wait_until

from msgsvc import Settings

EMBEDDING = CHECKOUT / "docs" / "embedding.md"
RAILWAY = CHECKOUT / "docs" / "railway.md"
API = CHECKOUT / "docs" / "api.md"
OPERATING = CHECKOUT / "docs" / "operating.md"
README = CHECKOUT / "README.md"


BLOCKS = blocks(EMBEDDING)


def text_of(language: str, beginning: str) -> str:
    (text,) = [block.text for block in BLOCKS if block.language == language and block.text.startswith(beginning)]
    return text


def run(directory: Path, *command: str) -> str:
    """Runs a command that must succeed, with `msgsvc` on the path; returns its output."""
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        cwd=directory,
        env=environment(PATH=path, PYTHONPATH=f"{CHECKOUT}{os.pathsep}."),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS * 4,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def run_tests(directory: Path, *files: str) -> str:
    foreign = [f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "hypothesispytest", "anyio", "pytest_cov")]
    return run(directory, sys.executable, "-m", "pytest", "-q", "-W", "error", *foreign, *files)


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A directory with every named block of the page in its file."""
    for block in BLOCKS:
        if block.name:
            (tmp_path / block.name).parent.mkdir(exist_ok=True)
            (tmp_path / block.name).write_text(block.text)
    hosts.script(str(tmp_path / "site.db"), text_of("sql", "CREATE TABLE users (\n"))
    return tmp_path


def test_every_block_of_the_embedding_page_is_tested() -> None:
    assert [(block.language, block.name) for block in BLOCKS] == [
        ("sh", ""),
        ("sql", ""),
        ("python", "flask_site.py"),
        ("python", "test_flask_site.py"),
        ("python", "mysite/urls.py"),
        ("python", "mysite/accounts.py"),
        ("python", "mysite/tests.py"),
        ("python", "plain_site.py"),
        ("python", "bottle_site.py"),
        ("python", "pyramid_site.py"),
        ("python", "falcon_site.py"),
        ("python", "moved_site.py"),
        ("sql", ""),
        ("python", "accounts_elsewhere.py"),
        ("sh", ""),
        ("python", "test_messages.py"),
        ("python", "site_by_path.py"),
    ]


def test_the_tests_on_the_page_pass(reader: Path) -> None:
    assert "2 passed" in run_tests(reader, "test_flask_site.py", "test_messages.py")


CALLS = """
from werkzeug.test import Client
import moved_site, plain_site

message = {"recipient": "thea", "content": "Hello"}
for application, path in ((plain_site.application, "/api/messages"), (moved_site.application, "/intranet/post")):
    browser = Client(application)
    assert browser.get("/").text == "the site\\n"
    assert browser.post(path + "/send", json=message).status_code == 401
    assert browser.post(path + "/send", json=message, environ_base={"REMOTE_USER": "uma"}).status_code == 201
    assert browser.get("/api/users", environ_base={"REMOTE_USER": "uma"}).text == "the site\\n"
"""


def test_the_plain_sites_of_the_page_serve_both(reader: Path) -> None:
    run(reader, sys.executable, "-W", "error", "-c", CALLS)


ELSEWHERE_CALLS = """
import accounts_elsewhere
from werkzeug.test import Client

def send(sender, recipient):
    message = {"recipient": recipient, "content": "Hello"}
    calls = Client(accounts_elsewhere.messages)
    return calls.post("/api/messages/send", json=message, environ_base={"REMOTE_USER": sender}).status_code

assert send("uma", "thea") == send("thea", "uma") == 201
accounts_elsewhere.account_removed("uma")
assert send("thea", "uma") == 403
accounts_elsewhere.account_saved("uma", "staff")
inbox = Client(accounts_elsewhere.messages).get("/api/messages/inbox", environ_base={"REMOTE_USER": "uma"})
assert inbox.json["conversations"] == []
assert send("thea", "uma") == 201
"""


def test_accounts_of_another_database_are_kept_in_step_as_the_page_says(reader: Path) -> None:
    run(reader, sys.executable, "-W", "error", "-c", ELSEWHERE_CALLS)


COOKIE_CALLS = """
import importlib, sys
from werkzeug.test import Client

name, form = sys.argv[1:]
browser = Client(importlib.import_module(name).application)
message = {"recipient": "thea", "content": "Hello"}
assert browser.post("/api/messages/send", json=message).status_code == 401
assert browser.post("/login", **{form: {"username": "uma"}}).status_code == 200
assert browser.post("/api/messages/send", json=message).status_code == 201
"""


@pytest.mark.parametrize(("name", "form"), [("bottle", "data"), ("pyramid", "data"), ("falcon", "json")])
def test_the_cookie_sites_of_the_page_know_who_is_logged_in(reader: Path, name: str, form: str) -> None:
    run(reader, sys.executable, "-W", "ignore", "-c", COOKIE_CALLS, f"{name}_site", form)


TRIGGER_CALLS = """
import site_by_path
from werkzeug.test import Client

def send():
    message = {"recipient": "thea", "content": "Hello"}
    calls = Client(site_by_path.messages)
    return calls.post("/api/messages/send", json=message, environ_base={"REMOTE_USER": "uma"}).status_code

assert send() == 201
site_by_path.config["database"] = "other.db"
assert send() == 401
"""


def test_the_trigger_of_the_page_tells_of_a_message_sent_to_the_database_of_the_moment(reader: Path) -> None:
    run(reader, "msgsvc", "migrate", "--database", "site.db")
    hosts.script(str(reader / "site.db"), text_of("sql", "CREATE TABLE notices"))
    run(reader, sys.executable, "-W", "error", "-c", TRIGGER_CALLS)
    assert hosts.rows(str(reader / "site.db"), "SELECT message_id, username FROM notices") == [(1, "thea")]


DJANGO_SETTINGS = """
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}
"""

DJANGO_CALLS = """
import werkzeug.test
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from mysite.accounts import sync_accounts
from mysite.urls import messages

def logged_in(user):
    client = Client()
    client.force_login(user)
    return client

def send(client, recipient):
    message = {"recipient": recipient, "content": "Hello"}
    return client.post("/api/messages/send", message, content_type="application/json").status_code

uma = logged_in(User.objects.get(username="uma"))
ada = logged_in(User.objects.create_user("ada", is_superuser=True))
assert send(Client(), "uma") == 401
assert send(uma, "ada") == send(ada, "uma") == 201
assert ada.get("/api/messages/admin/audit").status_code == 200
assert uma.get("/api/messages/admin/audit").status_code == 403
user = User.objects.get(username="uma")
user.is_staff = user.is_superuser = True
user.save()
assert uma.get("/api/messages/admin/audit").status_code == 200
User.objects.create_user("vic")
vic = logged_in(User.objects.get(username="vic"))
assert send(vic, "ada") == 201
User.objects.get(username="vic").delete()
assert send(ada, "vic") == 403
assert ada.get("/api/messages/conversation/vic").json()["can_reply"] is False
vic = logged_in(User.objects.create_user("vic"))
assert vic.get("/api/messages/inbox").json()["conversations"] == []
assert send(ada, "vic") == 201
user = User.objects.get(username="vic")
user.username = "victor"
user.save()
assert vic.get("/api/messages/inbox").json()["total_unread"] == 1
assert send(ada, "victor") == 201
User.objects.create_user("..")
User.objects.create_user("wim")
wim = logged_in(User.objects.get(username="wim"))
assert send(wim, "ada") == 201
User.objects.get(username="wim").delete()
user.username = "wim"
user.save()
assert vic.get("/api/messages/inbox").json()["total_unread"] == 2
assert send(vic, "ada") == send(ada, "wim") == 201
with connection.cursor() as cursor:
    cursor.execute("DELETE FROM auth_user WHERE username = 'wim'")
sync_accounts(messages)
assert send(ada, "wim") == 403
assert werkzeug.test.Client(messages.__call__).get("/healthz").status_code == 200
assert b"Log in" in Client().get("/admin/login/").content
User.objects.filter(username="uma").update(is_active=False)
assert send(uma, "ada") == 401
"""


@pytest.mark.slow
def test_the_django_project_of_the_page_serves_both(reader: Path) -> None:
    texts = {path: path.read_text() for path in (reader / "mysite").iterdir()}
    shutil.rmtree(reader / "mysite")
    run(reader, sys.executable, "-m", "django", "startproject", "mysite", ".")
    for path, text in texts.items():
        path.write_text(text)
    with (reader / "mysite" / "settings.py").open("a") as settings:
        settings.write(DJANGO_SETTINGS)
    run(reader, sys.executable, "manage.py", "migrate", "--verbosity=0")
    create = "from django.contrib.auth.models import User; User.objects.create_user('uma')"
    run(reader, sys.executable, "manage.py", "shell", "--verbosity=0", "-c", create)
    run(reader, sys.executable, "manage.py", "test", "--verbosity=0")
    in_shell = f"from django.test.utils import setup_test_environment; setup_test_environment(){DJANGO_CALLS}"
    run(reader, sys.executable, "manage.py", "shell", "--verbosity=0", "-c", in_shell)


OLD_MESSAGES = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, sender_username TEXT, recipient_username TEXT, content TEXT, created_at TIMESTAMP
);
INSERT INTO messages VALUES (7, 'thea', 'uma', 'from before', '2025-12-24 18:00:00');
"""


def test_the_commands_of_the_page_migrate_a_database_that_has_messages(reader: Path) -> None:
    hosts.script(str(reader / "site.db"), OLD_MESSAGES)
    run(reader, "sh", "-e", "-c", text_of("sh", "cp "))
    moved = "SELECT id, content, sent_at, is_read FROM messages"
    assert hosts.rows(str(reader / "site.db"), moved) == [(7, "from before", "2025-12-24 18:00:00", 0)]
    assert len(hosts.rows(str(reader / "site-before.db"), "PRAGMA table_info(messages)")) == 5


def test_railway_page_leads_to_a_first_message(tmp_path: Path) -> None:
    (commands,) = [block.text for block in blocks(RAILWAY) if "/api/messages/send" in block.text]
    volume, reader = tmp_path / "volume", tmp_path / "reader"
    volume.mkdir()
    reader.mkdir()
    (tmp_path / "admin-password").write_text(ADMIN["password"] + "\n")
    with deployed(volume) as deployment:
        said = run(reader, "sh", "-e", "-c", f"URL={deployment.url}\n{commands}")
    assert re.search(r'{"message_id":1,"sent_at":"[^"]+Z","status":"sent"', said)


@pytest.mark.parametrize("page", [EMBEDDING, RAILWAY, OPERATING, README], ids=lambda page: page.name)
def test_every_variable_on_the_page_is_a_setting(page: Path) -> None:
    known = {f"MSGSVC_{setting.name.upper()}" for setting in fields(Settings)}
    assert set(re.findall(r"MSGSVC_[A-Z_]*[A-Z]\b", page.read_text())) - {"MSGSVC_ADMIN"} <= known


@pytest.mark.parametrize("demo_lines_first", [False, True])
def test_every_line_of_the_api_page_does_what_it_says(tmp_path: Path, demo_lines_first: bool) -> None:
    """Each line of the page runs against the demo's four people; one login is wrong on purpose."""
    database = str(tmp_path / "messages.db")
    people = {"thea": "therapist", "clara": "clinician", "uma": "user", "adam": "admin"}
    tokens = sign_in(database, **people)
    bare = {username: token.removeprefix("Bearer ") for username, token in tokens.items()}
    with serving(database) as service:
        for sender, recipient in (("thea", "uma"), ("uma", "thea"), ("thea", "uma")):
            body = {"recipient": recipient, "content": "Hello"}
            service.call("POST", "/api/messages/send", body, Authorization=tokens[sender])
        if demo_lines_first:
            for method, call in (("PATCH", "3/read"), ("DELETE", "1")):
                service.call(method, f"/api/messages/{call}", Authorization=tokens["uma"])
        variables = f"URL={service.url} TOKEN={bare['uma']} ADMIN_TOKEN={bare['adam']}\n"
        statuses = []
        for block in blocks(API):
            said = run(tmp_path, "sh", "-e", "-c", variables + block.text)
            statuses.append([int(status) for status in re.findall(r"HTTP/1.1 (\d+) ", said)])
    sending, reading, marking_and_deleting = [[201], [200], [304]], [[200] * 3], [[200, 200], [204, 204]]
    people_and_sessions, admins, machines = [[200, 204, 200, 204], [200, 401]], [[200] * 4 + [201, 200]], [[200]]
    assert statuses == sending + reading + marking_and_deleting + people_and_sessions + admins + machines


def test_backup_and_restore_work_as_the_operating_page_says(tmp_path: Path) -> None:
    database = str(tmp_path / "messages.db")
    tokens = sign_in(database, uma="user")
    commands = [block.text.replace("/backups/", "backups/") for block in blocks(OPERATING) if "backups/" in block.text]
    backup, restore_running, restore_stopped = commands
    (tmp_path / "backups").mkdir()
    with serving(database) as service:
        run(tmp_path, "sh", "-e", "-c", backup)
        sign_in(database, late="user")
        run(tmp_path, "sh", "-e", "-c", restore_running)
        wait_until(lambda: service.call("GET", "/healthz").status == 200)
        assert service.call("GET", "/api/messages/inbox", Authorization=tokens["uma"]).status == 200
    assert hosts.rows(database, "SELECT username FROM users") == [("uma",)]
    sign_in(database, late="user")
    run(tmp_path, "sh", "-e", "-c", restore_stopped)
    assert hosts.rows(database, "SELECT username FROM users") == [("uma",)]


@pytest.mark.slow
def test_the_first_command_of_the_readme_ends_with_the_demo_serving(tmp_path: Path) -> None:
    """Runs on a copy of the checkout in a new environment; only the port differs."""
    first, second, *_ = (block.text.strip() for block in blocks(README))
    assert second in (CHECKOUT / ".ci" / "run").read_text()
    for name in ("msgsvc", "sql"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "setup.cfg", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    command = first.replace("&& .venv/bin/msgsvc", "&& exec .venv/bin/msgsvc") + " --port 0"
    with subprocess.Popen(
        ["sh", "-c", command], cwd=tmp_path, env=environment(PYTHONPATH=""), stdout=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout
            line = next(line for line in demo.stdout if line.startswith("curl"))
            assert "HTTP/1.1 201" in run(tmp_path, "sh", "-c", line)
        finally:
            demo.terminate()
    assert demo.returncode == 0


def test_readme_commands_create_a_lasting_database(tmp_path: Path) -> None:
    (commands,) = [block.text for block in blocks(README) if "user add" in block.text]
    add, serve = commands.replace(".venv/bin/", "").splitlines()
    password = run(tmp_path, "sh", "-c", add).strip()
    assert serve == "msgsvc serve --database messages.db"
    with serving(str(tmp_path / "messages.db")) as service:
        login = service.call("POST", "/api/auth/login", {"username": "ada", "password": password})
    assert (login.status, login.json["role"]) == (200, "admin")
