"""Writers that queue share a commit: what is stored, and who gets which error.

SQLite's; PostgreSQL commits each write by itself.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest
from notes import RefusedError, in_threads, inserting, notes, write

from msgsvc.storage.base import Commit, StorageError
from msgsvc.storage.sqlite.connection import Connection
from msgsvc.storage.sqlite.group_commit import BUSY_AGAIN_SECONDS
from msgsvc.storage.sqlite.storage import SqliteStorage


class Queue:
    """Writers that queue behind one that holds the write lock until all others are about to ask for it."""

    def __init__(self, storage: SqliteStorage) -> None:
        self.database = storage
        self.statements: list[str] = []

    def run(self, *works: Callable[[Connection], object]) -> list[BaseException | None]:
        announced = [threading.Event() for _ in works]
        held = threading.Event()

        def first() -> None:
            def hold_and_work(transaction: Connection) -> None:
                transaction.raw.set_trace_callback(self.statements.append)
                held.set()
                assert all(event.wait(60) for event in announced[1:])
                works[0](transaction)

            self.database.write(hold_and_work)

        def later(number: int) -> None:
            assert held.wait(60)
            announced[number].set()
            self.database.write(works[number])

        return in_threads(first, *(lambda number=number: later(number) for number in range(1, len(works))))

    def commits(self) -> int:
        return sum(statement.startswith("COMMIT") for statement in self.statements)


def test_writes_of_many_threads_are_all_stored(storage: SqliteStorage) -> None:
    texts = [[f"{thread}-{number}" for number in range(25)] for thread in range(8)]
    raised = in_threads(*(lambda mine=mine: [write(storage, text) for text in mine] for mine in texts))
    assert raised == [None] * 8
    assert notes(storage) == {text for mine in texts for text in mine}


def test_no_writer_returns_before_the_commit_that_holds_its_work(storage: SqliteStorage) -> None:
    def write_and_look(thread: int) -> None:
        with closing(sqlite3.connect(storage.path)) as other_program:
            for number in range(25):
                text = f"{thread}-{number}"
                write(storage, text)
                found = other_program.execute("SELECT 1 FROM notes WHERE text = ?", (text,)).fetchall()
                assert found == [(1,)], text

    assert in_threads(*(lambda thread=thread: write_and_look(thread) for thread in range(6))) == [None] * 6


def test_writers_who_queue_share_a_commit(storage: SqliteStorage) -> None:
    for attempt in range(50):
        queue = Queue(storage)
        assert queue.run(*(inserting(f"{attempt}-{number}") for number in range(6))) == [None] * 6
        if queue.commits() < 6:
            return
    pytest.fail("six writers never shared a commit")


def test_error_in_one_writer_rolls_back_only_its_own_work(storage: SqliteStorage) -> None:
    shared = 0
    for attempt in range(10):
        queue = Queue(storage)
        mine = [f"{attempt}-{number}" for number in range(5)]
        errors: list[Exception | None] = [RefusedError() if number in (1, 3) else None for number in range(5)]
        raised = queue.run(*(inserting(text, then) for text, then in zip(mine, errors, strict=True)))
        assert raised == errors
        assert notes(storage) & set(mine) == {mine[0], mine[2], mine[4]}
        shared += queue.commits() < 5
    assert shared


def test_error_in_the_writer_with_the_lock_rolls_back_only_its_own_work(storage: SqliteStorage) -> None:
    queue = Queue(storage)
    refusal = RefusedError()
    assert queue.run(inserting("first", refusal), inserting("second"), inserting("third")) == [refusal, None, None]
    assert notes(storage) == {"second", "third"}


def test_failing_statement_is_a_storage_error_for_its_writer_only(storage: SqliteStorage) -> None:
    write(storage, "taken")
    raised = Queue(storage).run(inserting("one"), inserting("taken"), inserting("two"))
    assert [type(error) for error in raised] == [type(None), StorageError, type(None)]
    assert notes(storage) == {"taken", "one", "two"}


def test_batch_is_stored_by_one_commit(storage: SqliteStorage) -> None:
    commits: list[Commit] = []
    with storage.batch():
        for text in ("first", "second", "third"):
            storage.write(inserting(text), commits)
        assert notes(storage) == set()
    assert notes(storage) == {"first", "second", "third"}
    assert len(set(commits)) == 1
    commits[0].wait()


def test_writer_during_a_batch_joins_its_commit(storage: SqliteStorage) -> None:
    with ThreadPoolExecutor(1) as pool:
        with storage.batch():
            begun, commits = threading.Event(), list[Commit]()

            def write_meanwhile() -> None:
                storage.write(inserting("meanwhile"), commits)
                begun.set()
                commits[0].wait()

            waiting = pool.submit(write_meanwhile)
            assert begun.wait(60)
            assert not waiting.done()
            assert notes(storage) == set()
        waiting.result(60)
    assert notes(storage) == {"meanwhile"}


def test_batch_ends_when_another_writer_commits_it(storage: SqliteStorage) -> None:
    number = count()
    enough = threading.Event()

    def write_on() -> None:
        while not enough.is_set():
            write(storage, f"beside {next(number)}")

    with ThreadPoolExecutor(3) as pool:
        beside = [pool.submit(write_on) for _ in range(3)]
        try:
            for _ in range(300):
                commits: list[Commit] = []
                with storage.batch():
                    storage.write(inserting(f"together {next(number)}"), commits)
                assert all(commit.ended.is_set() for commit in commits)
        finally:
            enough.set()
        for writer in beside:
            writer.result(60)


def test_failed_batch_commit_fails_every_writer_in_it(storage: SqliteStorage) -> None:
    commits: list[Commit] = []
    with storage.batch():
        for name, text in (("insert_note", "sound"), ("insert_orphan", "orphan")):
            storage.write(lambda transaction, name=name, text=text: transaction.run(name, text=text), commits)
    for commit in commits:
        with pytest.raises(StorageError):
            commit.wait()
    assert notes(storage) == set()
    write(storage, "after")
    assert notes(storage) == {"after"}


def test_lock_timeout_is_spent_once_per_batch(storage: SqliteStorage) -> None:
    write(storage, "before")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with storage.batch():
            for number in range(100):
                with pytest.raises(StorageError):
                    storage.write(inserting(f"{number}"), [])
        assert time.monotonic() - begun < 50 * BUSY_AGAIN_SECONDS
        other_program.execute("ROLLBACK")
    assert notes(storage) == {"before"}


def test_full_disk_is_reported_stores_nothing_and_recovers(storage: SqliteStorage) -> None:
    write(storage, "before")

    def fill(transaction: Connection) -> None:
        ((pages,),) = transaction.execute("PRAGMA page_count")
        transaction.execute(f"PRAGMA max_page_count = {pages}")
        transaction.run("insert_note", text="small")
        transaction.run("insert_note", text="large" * 100_000)

    def free(transaction: Connection) -> None:
        transaction.execute("PRAGMA max_page_count = 1000000")
        transaction.run("insert_note", text="after")

    with pytest.raises(StorageError) as caught:
        storage.write(fill)
    assert caught.value.code == "storage_full"
    assert notes(storage) == {"before"}
    storage.write(free)
    assert notes(storage) == {"before", "after"}


def test_writers_wait_under_five_seconds_for_a_foreign_lock(storage: SqliteStorage) -> None:
    write(storage, "before")
    waits = []

    def wait_in_vain(text: str) -> None:
        begun = time.monotonic()
        try:
            write(storage, text)
        finally:
            waits.append(time.monotonic() - begun)

    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        raised = in_threads(*(lambda text=text: wait_in_vain(text) for text in "abcd"))
        other_program.execute("ROLLBACK")
    assert [getattr(error, "code", error) for error in raised] == ["storage_busy"] * 4
    assert max(waits) < 5
    write(storage, "after")
    assert notes(storage) == {"before", "after"}


def test_writer_gets_a_released_foreign_lock(storage: SqliteStorage) -> None:
    with closing(sqlite3.connect(storage.path, isolation_level=None, check_same_thread=False)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        giving_back = threading.Timer(0.1, other_program.execute, ["COMMIT"])
        giving_back.start()
        write(storage, "patient")
        giving_back.join()
    assert notes(storage) == {"patient"}


def test_pause_between_writers_loses_no_write(storage: SqliteStorage) -> None:
    """fork() and close() may take the write lock between two queued writers."""
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, storage, str(number)) for number in range(400)]
        while not all(writer.done() for writer in writers):
            assert storage.pause()
            storage.resume()
        for writer in writers:
            writer.result()
    assert len(notes(storage)) == 400


def test_work_that_another_writer_rolled_back_is_run_again(storage: SqliteStorage) -> None:
    """Both by RAISE(ROLLBACK), which ends the transaction in a statement, and by a constraint that fails the commit."""
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute(
            "CREATE TRIGGER closed BEFORE INSERT ON notes WHEN new.text = 'refused'"
            " BEGIN SELECT RAISE(ROLLBACK, 'closed'); END"
        )
    refusals = [inserting("refused"), lambda transaction: transaction.run("insert_orphan", text="orphan")]
    for attempt, refused in enumerate(refusals):
        mine = {f"{attempt}-{number}" for number in range(4)}
        before, *after = map(inserting, sorted(mine))
        raised = Queue(storage).run(before, refused, *after)
        assert [getattr(error, "code", error) for error in raised] == [None, "refused_by_host", None, None, None]
        assert notes(storage) >= mine
    assert notes(storage).isdisjoint({"refused", "orphan"})
