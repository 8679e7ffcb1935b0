"""The database: turns and shared commits of writers, snapshots of readers, forks, and the reading of SQL files."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from processes import CHECKOUT
from support import open_files

from msgsvc import Settings, create_app
from msgsvc.storage.base import Commit, StorageError
from msgsvc.storage.sql_files import SqlFilesError, load
from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.storage import SqliteStorage

SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE people (name TEXT PRIMARY KEY);
    CREATE TABLE notes (text TEXT PRIMARY KEY, author TEXT REFERENCES people DEFERRABLE INITIALLY DEFERRED);
"""
STATEMENTS = {
    "insert_note": "INSERT INTO notes (text) VALUES (:text)",
    "insert_orphan": "INSERT INTO notes (text, author) VALUES (:text, 'nobody')",
    "select_notes": "SELECT text FROM notes ORDER BY text",
    "count_notes": "SELECT count(*) FROM notes",
}


@pytest.fixture
def database(database_path: str) -> Iterator[SqliteStorage]:
    """A table of notes; the author of a note is looked for no earlier than at the commit."""
    with closing(sqlite3.connect(database_path)) as connection:
        connection.executescript(SCHEMA)
    database = SqliteStorage(database_path, STATEMENTS)
    yield database
    database.close()


def write(database: SqliteStorage, text: str) -> None:
    database.write(inserting(text))


def notes(database: SqliteStorage) -> set[str]:
    """What is committed, as another program sees it."""
    with closing(sqlite3.connect(database.path)) as connection:
        return {text for (text,) in connection.execute("SELECT text FROM notes")}


def in_threads(*works: Callable[[], object]) -> list[BaseException | None]:
    """Runs all of it at once; what each raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.exception() for future in [pool.submit(work) for work in works]]


class Queue:
    """Writers that queue behind one that holds the turn until all of them are about to write."""

    def __init__(self, database: SqliteStorage) -> None:
        self.database = database
        self.statements: list[str] = []

    def run(self, *works: Callable[[Connection], object]) -> list[BaseException | None]:
        announced = [threading.Event() for _ in works]
        held = threading.Event()

        def first() -> None:
            def hold_and_work(transaction: Connection) -> None:
                transaction.raw.set_trace_callback(self.statements.append)
                held.set()
                assert all(event.wait(10) for event in announced[1:])
                works[0](transaction)

            self.database.write(hold_and_work)

        def later(number: int) -> None:
            assert held.wait(10)
            announced[number].set()
            self.database.write(works[number])

        return in_threads(first, *(lambda number=number: later(number) for number in range(1, len(works))))

    def commits(self) -> int:
        return sum(statement.startswith("COMMIT") for statement in self.statements)


class RefusedError(Exception):
    """What a handler raises to answer an error."""


def inserting(text: str, then: Exception | None = None) -> Callable[[Connection], None]:
    def work(transaction: Connection) -> None:
        transaction.run("insert_note", text=text)
        if then:
            raise then

    return work


# Writers


def test_what_many_threads_write_is_all_stored(database: SqliteStorage) -> None:
    texts = [[f"{thread}-{number}" for number in range(25)] for thread in range(8)]
    raised = in_threads(*(lambda mine=mine: [write(database, text) for text in mine] for mine in texts))
    assert raised == [None] * 8
    assert notes(database) == {text for mine in texts for text in mine}


def test_no_writer_returns_before_the_commit_that_holds_its_work(database: SqliteStorage) -> None:
    def write_and_look(thread: int) -> None:
        with closing(sqlite3.connect(database.path)) as other_program:
            for number in range(25):
                text = f"{thread}-{number}"
                write(database, text)
                found = other_program.execute("SELECT 1 FROM notes WHERE text = ?", (text,)).fetchall()
                assert found == [(1,)], text

    assert in_threads(*(lambda thread=thread: write_and_look(thread) for thread in range(6))) == [None] * 6


def test_writers_who_queue_share_a_commit(database: SqliteStorage) -> None:
    for attempt in range(50):
        queue = Queue(database)
        assert queue.run(*(inserting(f"{attempt}-{number}") for number in range(6))) == [None] * 6
        if queue.commits() < 6:
            return
    pytest.fail("six writers never shared a commit")


def test_an_error_in_one_writer_takes_back_its_own_work_and_nobody_elses(database: SqliteStorage) -> None:
    shared = 0
    for attempt in range(10):
        queue = Queue(database)
        mine = [f"{attempt}-{number}" for number in range(5)]
        errors: list[Exception | None] = [RefusedError() if number in (1, 3) else None for number in range(5)]
        raised = queue.run(*(inserting(text, then) for text, then in zip(mine, errors, strict=True)))
        assert raised == errors
        assert notes(database) & set(mine) == {mine[0], mine[2], mine[4]}
        shared += queue.commits() < 5
    assert shared


def test_the_error_of_the_writer_who_holds_the_turn_takes_back_its_own_work_alone(database: SqliteStorage) -> None:
    queue = Queue(database)
    refusal = RefusedError()
    assert queue.run(inserting("first", refusal), inserting("second"), inserting("third")) == [refusal, None, None]
    assert notes(database) == {"second", "third"}


def test_a_failing_statement_is_a_storage_error_for_its_writer_alone(database: SqliteStorage) -> None:
    write(database, "taken")
    raised = Queue(database).run(inserting("one"), inserting("taken"), inserting("two"))
    assert [type(error) for error in raised] == [type(None), StorageError, type(None)]
    assert notes(database) == {"taken", "one", "two"}


def test_a_failed_commit_fails_everybody_whose_work_it_held_and_nobody_after(database: SqliteStorage) -> None:
    """A note without its author passes every statement and breaks the commit."""
    for attempt in range(10):
        queue = Queue(database)
        mine = [f"{attempt}-{number}" for number in range(4)]
        orphan = f"{attempt}-orphan"
        raised = queue.run(
            lambda transaction, orphan=orphan: transaction.run("insert_orphan", text=orphan),
            *(inserting(text) for text in mine),
        )
        assert isinstance(raised[0], StorageError)
        assert all(error is None or isinstance(error, StorageError) for error in raised)
        assert notes(database) & {orphan, *mine} == {
            text for text, error in zip(mine, raised[1:], strict=True) if error is None
        }
        write(database, f"{attempt}-after")
        if any(raised[1:]):
            return
    pytest.fail("the commit that failed never held the work of others")


def test_what_is_written_together_is_stored_by_the_one_commit_at_the_end(database: SqliteStorage) -> None:
    commits: list[Commit] = []
    with database.batch():
        for text in ("first", "second", "third"):
            database.write(inserting(text), commits)
        assert notes(database) == set()
    assert notes(database) == {"first", "second", "third"}
    assert len(set(commits)) == 1
    commits[0].wait()


def test_whoever_writes_meanwhile_is_stored_with_those_who_write_together(database: SqliteStorage) -> None:
    with ThreadPoolExecutor(1) as pool:
        with database.batch():
            begun, commits = threading.Event(), list[Commit]()

            def write_meanwhile() -> None:
                database.write(inserting("meanwhile"), commits)
                begun.set()
                commits[0].wait()

            waiting = pool.submit(write_meanwhile)
            assert begun.wait(10)
            assert not waiting.done()
            assert notes(database) == set()
        waiting.result(10)
    assert notes(database) == {"meanwhile"}


def test_those_who_write_together_leave_when_their_commit_has_ended_whoever_ends_it(database: SqliteStorage) -> None:
    number = count()
    enough = threading.Event()

    def write_on() -> None:
        while not enough.is_set():
            write(database, f"beside {next(number)}")

    with ThreadPoolExecutor(3) as pool:
        beside = [pool.submit(write_on) for _ in range(3)]
        try:
            for _ in range(300):
                commits: list[Commit] = []
                with database.batch():
                    database.write(inserting(f"together {next(number)}"), commits)
                assert all(commit.ended.is_set() for commit in commits)
        finally:
            enough.set()
        for writer in beside:
            writer.result(10)


def test_a_commit_that_fails_is_the_failure_of_all_who_wrote_together(database: SqliteStorage) -> None:
    commits: list[Commit] = []
    with database.batch():
        for name, text in (("insert_note", "sound"), ("insert_orphan", "orphan")):
            database.write(lambda transaction, name=name, text=text: transaction.run(name, text=text), commits)
    for commit in commits:
        with pytest.raises(StorageError):
            commit.wait()
    assert notes(database) == set()
    write(database, "after")
    assert notes(database) == {"after"}


def test_of_those_who_write_together_only_the_first_waits_for_a_lock_in_vain(database: SqliteStorage) -> None:
    write(database, "before")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with database.batch():
            for text in "abcdefghijklmnopqrst":
                with pytest.raises(StorageError):
                    database.write(inserting(text), [])
        assert time.monotonic() - begun < 5
        other_program.execute("ROLLBACK")
    assert notes(database) == {"before"}


def test_a_full_disk_is_said_so_stores_nothing_and_passes(database: SqliteStorage) -> None:
    write(database, "before")

    def fill(transaction: Connection) -> None:
        ((pages,),) = transaction.execute("PRAGMA page_count")
        transaction.execute(f"PRAGMA max_page_count = {pages}")
        transaction.run("insert_note", text="small")
        transaction.run("insert_note", text="large" * 100_000)

    def free(transaction: Connection) -> None:
        transaction.execute("PRAGMA max_page_count = 1000000")
        transaction.run("insert_note", text="after")

    with pytest.raises(StorageError) as caught:
        database.write(fill)
    assert caught.value.code == "storage_full"
    assert notes(database) == {"before"}
    database.write(free)
    assert notes(database) == {"before", "after"}


def test_no_writer_waits_five_seconds_for_a_lock_that_another_program_holds(database: SqliteStorage) -> None:
    write(database, "before")
    waits = []

    def wait_in_vain(text: str) -> None:
        begun = time.monotonic()
        try:
            write(database, text)
        finally:
            waits.append(time.monotonic() - begun)

    with closing(sqlite3.connect(database.path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        raised = in_threads(*(lambda text=text: wait_in_vain(text) for text in "abcd"))
        other_program.execute("ROLLBACK")
    assert [getattr(error, "code", error) for error in raised] == ["storage_busy"] * 4
    assert max(waits) < 5
    write(database, "after")
    assert notes(database) == {"before", "after"}


def test_a_writer_gets_a_lock_that_another_program_gives_back(database: SqliteStorage) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        giving_back = threading.Timer(0.1, other_program.execute, ["COMMIT"])
        giving_back.start()
        write(database, "patient")
        giving_back.join()
    assert notes(database) == {"patient"}


# Readers


def test_readers_neither_wait_for_a_writer_nor_see_its_work_before_the_commit(database: SqliteStorage) -> None:
    write(database, "before")

    def read_beside(transaction: Connection) -> None:
        transaction.run("insert_note", text="uncommitted")
        with database.read() as snapshot:
            assert snapshot.all("select_notes") == [("before",)]
        assert transaction.one("count_notes") == (2,)

    database.write(read_beside)
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def test_every_statement_of_a_reader_sees_the_same_snapshot(database: SqliteStorage) -> None:
    write(database, "before")
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)
        write(database, "later")
        assert snapshot.all("select_notes") == [("before",)]
        with database.read() as newer:
            assert newer.one("count_notes") == (2,)
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (2,)


def test_a_reader_is_as_good_as_new_after_an_error_in_its_block(database: SqliteStorage) -> None:
    def read_and_refuse() -> None:
        with database.read() as snapshot:
            snapshot.one("count_notes")
            raise RefusedError

    with pytest.raises(RefusedError):
        read_and_refuse()
    write(database, "after")
    with database.read() as snapshot:
        assert snapshot.one("count_notes") == (1,)


def test_readers_and_writers_at_once_never_see_half_of_a_transaction(database: SqliteStorage) -> None:
    def write_pair(transaction: Connection, number: int) -> None:
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} left")
        transaction.run("insert_note", text=f"{threading.get_ident()} {number} right")

    def write_pairs() -> None:
        for number in range(40):
            database.write(lambda transaction, number=number: write_pair(transaction, number))

    def read_pairs() -> None:
        for _ in range(80):
            with database.read() as snapshot:
                (count,) = snapshot.one("count_notes")
                assert count % 2 == 0
                assert len(snapshot.all("select_notes")) == count

    assert in_threads(write_pairs, write_pairs, read_pairs, read_pairs) == [None] * 4


# Files, forks and the end


def test_nothing_is_created_where_there_is_no_database(tmp_path: Path) -> None:
    database = SqliteStorage(str(tmp_path / "missing.db"), STATEMENTS)
    for use in (lambda: database.read().__enter__(), lambda: database.write(inserting("text"))):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "storage_unavailable"
    with pytest.raises(StorageError):
        database.probe()
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_hold_the_characters_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    path = tmp_path / "a %41?mode=ro&x#y.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    database = SqliteStorage(str(path), STATEMENTS)
    write(database, "here")
    assert notes(database) == {"here"}
    database.close()


def test_the_probe_notices_a_file_overwritten_in_place(database: SqliteStorage) -> None:
    write(database, "before")
    database.probe()
    with Path(database.path).open("r+b") as file:
        file.write(b"Dear diary, " * 1000)
    with pytest.raises(StorageError):
        database.probe()
    database.close()
    assert database.path not in open_files()


def test_closing_twice_is_harmless_and_nothing_works_afterwards(database: SqliteStorage) -> None:
    write(database, "before")
    with database.read() as snapshot:
        snapshot.one("count_notes")
    database.close()
    database.close()
    for use in (lambda: database.read().__enter__(), lambda: database.write(inserting("text"))):
        with pytest.raises(StorageError):
            use()


def test_a_closed_database_leaves_no_file_beside_its_own(database: SqliteStorage) -> None:
    write(database, "before")
    database.close()
    assert [file.name for file in Path(database.path).parent.iterdir()] == [Path(database.path).name]


def test_a_memory_database_is_one_for_all_threads_and_gone_after_close() -> None:
    app = create_app(Settings(database=":memory:"))
    database = app.services.database
    directory = Path(database.path).parent

    def add(number: int) -> None:
        assert database.write(lambda transaction: transaction.run("insert_user", username=f"user{number}", role="user"))
        with database.read() as snapshot:
            assert snapshot.first("select_account", username=f"user{number}")

    assert in_threads(*(lambda number=number: add(number) for number in range(4))) == [None] * 4
    with database.read() as snapshot:
        assert all(snapshot.first("select_account", username=f"user{number}") for number in range(4))
    assert directory.exists()
    app.close()
    app.close()
    assert not directory.exists()


def test_two_memory_databases_share_nothing() -> None:
    one, two = create_app(Settings(database=":memory:")), create_app(Settings(database=":memory:"))
    one.services.database.write(lambda transaction: transaction.run("insert_user", username="uma", role="user"))
    with two.services.database.read() as snapshot:
        assert snapshot.first("select_account", username="uma") is None
    one.close()
    two.close()


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
def test_what_was_opened_before_a_fork_works_after_it_on_both_sides(
    database: SqliteStorage, script: str, printed: str, count: int
) -> None:
    checkout = str(CHECKOUT)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING + script, database.path, checkout]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ran.stdout.strip(), ran.stderr) == (printed, "")
    assert len(notes(database)) == count
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# The reading of SQL files


def sql_files(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / f"{name}.sql").write_text(text, encoding="utf-8")
    return directory


def test_statements_of_all_files_are_read_by_name(tmp_path: Path) -> None:
    directory = sql_files(
        tmp_path,
        one="-- name: select_a\n-- A.\nSELECT 'a';\n\n-- name: select_b\nSELECT\n    'b';\n",
        two="\n-- name: select_c\nSELECT 'c';",
    )
    assert load(directory) == {
        "select_a": "-- A.\nSELECT 'a';",
        "select_b": "SELECT\n    'b';",
        "select_c": "SELECT 'c';",
    }


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        ({"one": "-- name: select_a\nSELECT 1;\n-- name: select_a\nSELECT 2;"}, "select_a"),
        ({"one": "-- name: select_a\nSELECT 1;", "two": "-- name: select_a\nSELECT 1;"}, "two.sql"),
        ({"one": "SELECT 1;"}, "one.sql"),
        ({"one": "-- about this file\n-- name: select_a\nSELECT 1;"}, "one.sql"),
        ({"one": "-- name: SelectA\nSELECT 1;"}, "SelectA"),
        ({"one": "-- name: select-a\nSELECT 1;"}, "select-a"),
        ({"one": "-- name:\nSELECT 1;"}, "one.sql"),
        ({"one": "-- name: select_a select_b\nSELECT 1;"}, "select_b"),
        ({"one": "-- name: 1_select\nSELECT 1;"}, "1_select"),
    ],
)
def test_bad_repeated_and_stray_statements_are_refused_by_name(
    tmp_path: Path, texts: dict[str, str], word: str
) -> None:
    with pytest.raises(SqlFilesError, match=word):
        load(sql_files(tmp_path, **texts))


@pytest.mark.parametrize("page_bytes", [512, 8192])
def test_a_long_log_is_brought_into_the_database_and_begun_anew(
    database: SqliteStorage, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA page_size = {page_bytes}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_CHECKPOINT_BYTES", 128 * 1024)
    log = Path(f"{database.path}-wal")
    for number in range(40):
        write(database, f"{number} " + "x" * 4000)
    assert 128 * 1024 < log.stat().st_size < 256 * 1024
    assert Path(database.path).stat().st_size > 64 * 1024


def test_the_log_stays_bounded_while_somebody_is_always_reading(
    database: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own checkpoints hardly ever find a moment without a reader to begin the log anew."""
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_CHECKPOINT_BYTES", 128 * 1024)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_LIMIT_BYTES", 256 * 1024)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.CHECKPOINT_RETRY_SECONDS", 0.0)
    over = threading.Event()

    def keep_reading() -> None:
        while not over.is_set():
            notes(database)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(keep_reading)
        longest = 0
        for number in range(300):
            write(database, f"{number} " + "x" * 4000)
            longest = max(longest, Path(f"{database.path}-wal").stat().st_size)
        over.set()
    assert longest < 1024 * 1024


@pytest.mark.parametrize(("seconds", "waits"), [(1000.0, 1), (0.0, 5)])
def test_a_reader_who_holds_a_long_log_is_waited_for_and_named_once_in_a_while(
    database: SqliteStorage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    waits: int,
) -> None:
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.CHECKPOINT_RETRY_SECONDS", seconds)
    monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.BUSY_SECONDS", 0.01)
    log = Path(f"{database.path}-wal")
    with database.read() as reader:
        reader.one("count_notes")
        write(database, "long " + "x" * 100_000)
        monkeypatch.setattr("msgsvc.storage.sqlite.checkpoints.WAL_LIMIT_BYTES", 64 * 1024)
        for number in range(5):
            write(database, str(number))
        assert log.stat().st_size > 64 * 1024
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "readers hold the write-ahead log"
    ] * waits
    write(database, "after")
    assert (log.stat().st_size == 0) == (seconds == 0)


def test_the_log_of_a_file_shared_with_a_host_is_brought_in_at_the_pages_of_sqlite(database_path: str) -> None:
    """What msgsvc alone would leave in it, the next commit of the host would have to bring in."""
    app = create_app(Settings(database=database_path, send_rate=0), authenticate=lambda _: None)
    with closing(app), closing(sqlite3.connect(database_path)) as connection:
        ((page_bytes,),) = connection.execute("PRAGMA page_size")

        def grow(transaction: Connection) -> None:
            transaction.execute("CREATE TABLE IF NOT EXISTS ballast (content)")
            transaction.execute("INSERT INTO ballast VALUES (zeroblob(:bytes))", {"bytes": 100 * page_bytes})

        for _ in range(20):
            app.services.database.write(grow)
        assert Path(f"{database_path}-wal").stat().st_size < 1200 * page_bytes


def test_a_pause_between_two_writers_of_a_batch_loses_neither(database: SqliteStorage) -> None:
    """A fork or the end may take the turn while one has written and the other is still queued."""
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, database, str(number)) for number in range(400)]
        while not all(writer.done() for writer in writers):
            assert database.pause()
            database.resume()
        for writer in writers:
            writer.result()
    assert len(notes(database)) == 400
