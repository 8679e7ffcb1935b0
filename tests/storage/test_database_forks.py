"""A database that is open before a fork works in the parent and in the child.

SQLite's connections; an application on either engine is forked in tests/embedding.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from notes import notes
from processes import CHECKOUT

from msgsvc.storage.sqlite.storage import SqliteStorage

FORKING = """
import os, sys, threading
sys.path.append(sys.argv[2])
from msgsvc.storage.sqlite.storage import SqliteStorage

database = SqliteStorage(sys.argv[1], {
    "insert_note": "INSERT INTO notes (text) VALUES (:text)",
    "count_notes": "SELECT count(*) FROM notes",
})

def write(*texts):
    def insert(transaction):
        for text in texts:
            transaction.run("insert_note", text=text)
    database.write(insert)

def count():
    with database.read() as snapshot:
        return snapshot.one("count_notes")[0]

def in_child(work, *arguments):
    child = os.fork()
    if child:
        return child
    try:
        work(*arguments)
    except BaseException as error:
        print("child:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)

def statuses(*children):
    return [os.waitpid(child, 0)[1] for child in children]

def write_and_count(name):
    for number in range(20):
        write(f"{name} {number}")
        assert count() > number

write("before")
assert count() == 1
"""

FORKS = {
    "parent and children work at the same time": (
        """
children = [in_child(write_and_count, name) for name in ("one", "two")]
write_and_count("parent")
print(statuses(*children))
""",
        "[0, 0]",
        61,
    ),
    "a child closes what it inherited": (
        """
def close():
    database.close()
    database.close()

print(statuses(in_child(close)))
write_and_count("parent")
""",
        "[0]",
        21,
    ),
    "the parent closes while a child works": (
        """
written, write_end = os.pipe()
read_end, closed = os.pipe()

def work():
    write("in the child")
    os.write(closed, b".")
    os.read(written, 1)
    write_and_count("child")

child = in_child(work)
os.read(read_end, 1)
database.close()
os.write(write_end, b".")
print(statuses(child))
""",
        "[0]",
        22,
    ),
    "another thread is in a transaction": (
        """
begun = threading.Event()

def insert_many(transaction):
    begun.set()
    for number in range(3000):
        transaction.run("insert_note", text=f"thread {number}")

thread = threading.Thread(target=database.write, args=[insert_many])
thread.start()
begun.wait()
child = in_child(write, "in the child")
thread.join()
print(statuses(child))
""",
        "[0]",
        3002,
    ),
}


@pytest.mark.parametrize(("script", "printed", "count"), FORKS.values(), ids=FORKS)
def test_database_opened_before_a_fork_works_in_parent_and_child(
    storage: SqliteStorage, script: str, printed: str, count: int
) -> None:
    checkout = str(CHECKOUT)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING + script, storage.path, checkout]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.stdout.strip(), ran.stderr) == (printed, "")
    assert len(notes(storage)) == count
    with closing(sqlite3.connect(storage.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
