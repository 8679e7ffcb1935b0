"""The test kit for hosts: msgsvc.testing and the pytest fixture."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hosts
import pytest
from support import API, conversation, inbox, refusal, send, unread

from msgsvc import Settings, create_app, remote_user
from msgsvc.testing import Client, Clock


def test_client_needs_no_arguments() -> None:
    client = Client()
    thea, uma = client.as_user("thea", role="therapist"), client.as_user("uma")
    send(thea, "uma", "How are you feeling today?")
    assert inbox(uma)["conversations"][0]["last_message"] == "How are you feeling today?"
    client.close()


def test_client_without_a_user_has_no_session(client: Client) -> None:
    client.as_user("thea", "therapist")
    assert refusal(client.get(f"{API}/inbox")) == (401, "unauthorized")


def test_each_client_stays_who_it_is(client: Client) -> None:
    thea, uma, again = client.as_user("thea", "therapist"), client.as_user("uma"), client.as_user("thea", "therapist")
    send(thea, "uma")
    assert [unread(person) for person in (thea, uma, again)] == [0, 1, 0]


def test_as_user_again_changes_the_role(client: Client) -> None:
    uma = client.as_user("uma")
    client.as_user("clara", "clinician")
    assert uma.post(f"{API}/send", json={"recipient": "clara", "content": "Hello"}).status_code == 403
    client.as_user("uma", role="therapist")
    assert uma.post(f"{API}/send", json={"recipient": "clara", "content": "Hello"}).status_code == 201


def test_call_keeps_its_own_headers_and_environ(client: Client) -> None:
    uma = client.as_user("uma")
    answer = uma.get(f"{API}/inbox", headers={"X-Request-ID": "mine"}, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "mine")


def test_clock_moves_only_when_advanced() -> None:
    clock = Clock()
    client = Client(clock=clock)
    thea, _ = client.as_user("thea", "therapist"), client.as_user("uma")
    for _ in range(2):
        send(thea, "uma")
    clock.advance(90)
    send(thea, "uma")
    assert [message["sent_at"] for message in conversation(thea, "uma")["messages"]] == [
        "2026-02-05T10:30:45Z",
        "2026-02-05T10:30:45Z",
        "2026-02-05T10:32:15Z",
    ]
    client.close()


def test_advanced_clock_ends_sessions() -> None:
    clock = Clock(epoch_seconds=0)
    client = Client(clock=clock)
    uma = client.as_user("uma")
    clock.advance(1800)
    assert refusal(uma.get(f"{API}/inbox")) == (401, "unauthorized")
    client.close()


def test_a_private_database_is_the_same_for_every_thread() -> None:
    client = Client()
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: send(thea, "uma", f"message {n}"), range(40)))
        assert list(pool.map(lambda _: unread(uma), range(8))) == [40] * 8
    assert sorted(ids) == list(range(1, 41))
    client.close()


def test_private_databases_are_isolated_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = Client(), Client()
    one.as_user("uma")
    send(one.as_user("thea", "therapist"), "uma")
    assert inbox(other.as_user("uma"))["conversations"] == []
    one.close()
    assert unread(other.as_user("uma")) == 0
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_host_accounts_can_act_in_tests(tmp_path: Path) -> None:
    """The host's table has required columns that the kit does not know."""
    path = str(tmp_path / "site.db")
    hosts.create_host_database(path)
    client = Client(create_app(Settings(database=path), authenticate=remote_user))
    send(client.as_user("thea", role="therapist"), "uma")
    assert unread(client.as_user("uma")) == 1
    client.close()
    assert hosts.rows(path, "SELECT email FROM users WHERE username = 'uma'") == [("uma@example.org",)]


EXAMPLE = """
def test_a_user_may_only_reply_to_a_clinician(msgsvc_client):
    clara = msgsvc_client.as_user("clara", role="clinician")
    uma = msgsvc_client.as_user("uma")

    def send(sender, recipient):
        message = {"recipient": recipient, "content": "Hello"}
        return sender.post("/api/messages/send", json=message).status_code

    assert [send(uma, "clara"), send(clara, "uma"), send(uma, "clara")] == [403, 201, 201]

def test_each_test_has_an_empty_database(msgsvc_client):
    inbox = msgsvc_client.as_user("uma").get("/api/messages/inbox")
    assert inbox.json["conversations"] == []
"""


def run_pytest(directory: Path, *options: str) -> str:
    """The output of pytest in a directory outside the checkout, with msgsvc installed."""
    foreign = [
        option
        for name in ("schemathesis", "hypothesispytest", "anyio", "pytest_cov")
        for option in ("-p", f"no:{name}")
    ]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *foreign, *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_installed_package_provides_the_pytest_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    assert "2 passed" in run_pytest(tmp_path)


def test_pytest_lists_the_fixture_with_its_description(tmp_path: Path) -> None:
    listed = run_pytest(tmp_path, "--fixtures", "--collect-only")
    assert "msgsvc_client" in listed
    assert "A msgsvc.testing.Client" in listed
