"""An application that is made before a fork works in the parent and in the child."""

import textwrap

import pytest
from embedded import run_python
from hosts import rows
from support import faults

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


def forked_messages(database: str, script: str) -> list[str]:
    """Runs the script, checks the database, and returns the contents of all messages."""
    run_python(FORK + textwrap.dedent(script), database)
    assert faults(database) == []
    return sorted(content for (content,) in rows(database, "SELECT content FROM messages"))


@pytest.mark.parametrize("used_before", [False, True])
def test_application_made_before_a_fork_works_in_parent_and_child(host_database: str, used_before: bool) -> None:
    contents = forked_messages(
        host_database,
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
    """A child that used the parent's connection would think it holds the parent's locks, and could damage the file."""
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
                connection = sqlite3.connect(path, timeout=60)
                with connection:
                    connection.execute("INSERT INTO messages (sender_username, recipient_username, content)"
                                       " VALUES ('uma', 'thea', 'other')")
                connection.close()
        wait(child, forked(others))
        """,
    )
    assert contents == ["before", *["child"] * 101, *["other"] * 30]


def test_child_forked_during_a_write_can_write(host_database: str) -> None:
    contents = forked_messages(
        host_database,
        """
        writing, forked_now = threading.Event(), threading.Event()
        def slow(transaction):
            message = {"recipient": "uma", "subject": None, "content": "slow", "now": "2026-02-05 10:30:45"}
            transaction.insert("insert_message", sender="thea", **message)
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


def test_child_exit_keeps_the_private_database_of_the_parent() -> None:
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
