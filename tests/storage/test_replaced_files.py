"""The database or its log is removed or replaced under a running service.

On SQLite: a PostgreSQL database has no file of ours.
"""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from processes import msgsvc
from served import Answer, Service, serving, sign_in, wait_until
from support import API, faults

pytestmark = pytest.mark.fault

_numbers = count()


class Site:
    """A database that is being served, and what was acknowledged."""

    def __init__(self, database: str) -> None:
        self.path = Path(database)
        self.tokens = sign_in(database, thea="therapist", uma="user")
        self.acknowledged: list[str] = []

    def send(self, service: Service) -> Answer:
        content = f"message {next(_numbers)}"
        body = {"recipient": "uma", "content": content}
        answer = service.call("POST", f"{API}/send", body, Authorization=self.tokens["thea"])
        assert answer.status == 201 or (answer.status, answer.json["code"]) == (503, "storage_unavailable")
        if answer.status == 201:
            self.acknowledged.append(content)
        return answer

    def send_many(self, service: Service, number: int = 5) -> list[str]:
        """The contents of so many messages that were accepted."""
        wait_until_sound(service)
        assert [self.send(service).status for _ in range(number)] == [201] * number
        return self.acknowledged[-number:]

    def send_for_a_while(self, service: Service) -> None:
        for _ in range(50):
            self.send(service)

    def read(self, service: Service) -> Answer:
        return service.call("GET", f"{API}/conversation/thea?limit=200", Authorization=self.tokens["uma"])

    def copy(self, name: str = "backup.db") -> Path:
        copy = self.path.with_name(name)
        ran = msgsvc("backup", str(copy), "--database", str(self.path), cwd=self.path.parent)
        assert ran.status == 0, ran.errors
        return copy

    def log_files(self, *suffixes: str) -> list[Path]:
        return [Path(f"{self.path}{suffix}") for suffix in suffixes or ("-wal", "-shm")]


@pytest.fixture
def site(database_path: str) -> Site:
    return Site(database_path)


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    with serving(str(site.path)) as service:
        yield service


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [content for (content,) in connection.execute("SELECT content FROM messages ORDER BY id")]


def health(service: Service) -> int:
    return service.call("GET", "/healthz").status


def wait_until_sound(service: Service) -> None:
    wait_until(lambda: health(service) == 200)


def test_nothing_is_acknowledged_after_the_database_is_removed(site: Site, service: Service) -> None:
    site.send_many(service)
    copy = site.copy()
    kept = site.send_many(service)
    site.path.unlink()
    assert [site.send(service).status for _ in range(3)] == [503] * 3
    assert health(service) == site.read(service).status == 503
    assert not site.path.exists()
    del site.acknowledged[-len(kept) :]

    copy.rename(site.path)
    site.send_many(service)
    assert service.stop() == 0
    assert contents(site.path) == site.acknowledged
    assert faults(str(site.path)) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_service_goes_on_with_a_copy_put_in_its_place(site: Site, service: Service, number: int) -> None:
    kept = site.send_many(service)
    copy = site.copy()
    site.send_many(service)
    copy.rename(site.path)
    later = site.send_many(service, 20)
    assert [message["content"] for message in site.read(service).json["messages"]] == kept + later
    service.stop(number)
    assert contents(site.path) == kept + later
    assert faults(str(site.path)) == []


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal"), ("", "-wal", "-shm")])
def test_database_moved_away_holds_all_that_was_acknowledged(
    site: Site, service: Service, suffixes: tuple[str, ...]
) -> None:
    kept = site.send_many(service)
    copy = site.copy()
    old = site.path.with_name("old.db")
    before = site.send_many(service)
    for suffix in suffixes:
        Path(f"{site.path}{suffix}").rename(f"{old}{suffix}")
    copy.rename(site.path)
    later = site.send_many(service)
    assert contents(old) == kept + before
    assert service.stop() == 0
    assert contents(site.path) == kept + later
    assert faults(str(site.path)) == faults(str(old)) == []


def test_database_moved_away_and_back_is_served_again(site: Site, service: Service) -> None:
    site.send_many(service)
    away = site.path.rename(site.path.with_name("away.db"))
    assert site.send(service).status == 503
    assert contents(away) == site.acknowledged
    away.rename(site.path)
    site.send_many(service)
    service.stop(signal.SIGKILL)
    assert contents(site.path) == site.acknowledged


def test_stop_right_after_the_replacement_leaves_the_copy_as_it_is(site: Site, service: Service) -> None:
    kept = site.send_many(service)
    copy = site.copy()
    site.send_many(service)
    copy.rename(site.path)
    assert service.stop() == 0
    assert contents(site.path) == kept
    assert faults(str(site.path)) == []


@pytest.mark.parametrize("suffixes", [("-wal", "-shm"), ("-wal",), ("-shm",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_removed_log_loses_nothing(site: Site, service: Service, suffixes: tuple[str, ...], number: int) -> None:
    site.send_many(service)
    for file in site.log_files(*suffixes):
        file.unlink()
    site.send(service)
    site.send_many(service, 15)
    service.stop(number)
    assert set(site.acknowledged) <= set(contents(site.path))
    assert faults(str(site.path)) == []


def test_a_log_removed_from_an_idle_service_is_stored_within_seconds(site: Site, service: Service) -> None:
    site.send_many(service)
    for file in site.log_files():
        file.unlink()
    wait_until(lambda: "removed or replaced" in service.log.read_text())
    service.stop(signal.SIGKILL)
    assert contents(site.path) == site.acknowledged


@pytest.mark.parametrize("suffixes", [("-wal", "-shm"), ("-wal",), ("-shm",)])
def test_two_processes_lose_nothing_with_a_removed_log(site: Site, suffixes: tuple[str, ...]) -> None:
    with serving(str(site.path)) as first, serving(str(site.path)) as second:
        site.send_many(first)
        site.send_many(second)
        with ThreadPoolExecutor(4) as pool:
            works = [pool.submit(site.send_for_a_while, service) for service in (first, second) * 2]
            for file in site.log_files(*suffixes):
                file.unlink()
            for work in works:
                work.result()
        site.send_many(first)
        site.send_many(second)
        first.stop(signal.SIGKILL)
        site.send_many(second)
        second.stop(signal.SIGKILL)
    assert set(site.acknowledged) <= set(contents(site.path))
    assert faults(str(site.path)) == []


def test_two_processes_go_on_with_a_copy_put_in_its_place(site: Site) -> None:
    with serving(str(site.path)) as first, serving(str(site.path)) as second:
        kept = site.send_many(first) + site.send_many(second)
        copy = site.copy()
        with ThreadPoolExecutor(4) as pool:
            works = [pool.submit(site.send_for_a_while, service) for service in (first, second) * 2]
            copy.rename(site.path)
            for work in works:
                work.result()
        later = site.send_many(first) + site.send_many(second)
        first.stop(signal.SIGKILL)
        later += site.send_many(second)
        second.stop(signal.SIGKILL)
    stored = contents(site.path)
    assert set(kept + later) <= set(stored)
    assert stored[: len(kept)] == kept
    assert faults(str(site.path)) == []


def test_a_process_that_writes_without_the_removed_log_loses_nothing_of_either(site: Site, service: Service) -> None:
    site.send_many(service)
    os.kill(service.process.pid, signal.SIGSTOP)
    for file in site.log_files():
        file.unlink()
    with closing(sqlite3.connect(site.path)) as other:
        other.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'x')")
        other.commit()
        os.kill(service.process.pid, signal.SIGCONT)
        wait_until_sound(service)
    (rescued,) = site.path.parent.glob("messages.db.rescued-????????")
    assert contents(rescued) == site.acknowledged
    assert rescued.stat().st_mode & 0o777 == 0o600
    assert contents(site.path) == ["x"]
    site.acknowledged = ["x"]
    site.send_many(service)
    service.stop(signal.SIGKILL)
    assert contents(site.path) == site.acknowledged
    assert faults(str(site.path)) == []


def text(path: Path) -> None:
    path.write_text("Dear diary,\n" * 1000)


def nothing(path: Path) -> None:
    path.touch()


def table_of_others(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")


@pytest.mark.parametrize("make", [text, nothing, table_of_others, Path.mkdir])
def test_what_is_no_sound_database_is_neither_served_nor_changed(
    site: Site, service: Service, make: Callable[[Path], None]
) -> None:
    site.send_many(service)
    copy = site.copy()
    other = site.path.with_name("other")
    make(other)
    before = other.read_bytes() if other.is_file() else b""
    site.path.unlink()
    other.rename(site.path)
    for _ in range(3):
        assert site.send(service).status == health(service) == site.read(service).status == 503
        time.sleep(0.4)
    assert (site.path.read_bytes() if site.path.is_file() else b"") == before

    if site.path.is_dir():
        site.path.rmdir()
    copy.rename(site.path)
    site.send_many(service)
    service.stop(signal.SIGKILL)
    assert contents(site.path) == site.acknowledged


def test_a_whole_directory_may_be_exchanged(site: Site) -> None:
    directory = site.path.parent / "data"
    directory.mkdir()
    shutil.move(site.path, directory)
    site.path = directory / site.path.name
    with serving(str(site.path)) as service:
        kept = site.send_many(service)
        other = directory.with_name("restored")
        other.mkdir()
        site.copy().rename(other / site.path.name)
        site.send_many(service)
        directory.rename(directory.with_name("old"))
        other.rename(directory)
        later = site.send_many(service)
    assert contents(site.path) == kept + later
