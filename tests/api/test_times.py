"""Times are shown as RFC 3339 in UTC, whatever the machine's time zone and however a host wrote them."""

import sqlite3
import time
from collections.abc import Iterator

import pytest
from support import conversation, inbox, mark_read, send

from msgsvc.testing import Client


@pytest.fixture(params=["UTC0", "AAA-14", "BBB+12", "CCC+3:30DDD"])
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_utc_in_every_time_zone(time_zone: None, people: dict[str, Client], host: sqlite3.Connection) -> None:
    message_id = send(people["thea"], "uma")
    expected = "2026-02-05T10:30:45Z"

    assert mark_read(people["uma"], message_id).json["read_at"] == expected
    (message,) = conversation(people["uma"], "thea")["messages"]
    assert (message["sent_at"], message["read_at"]) == (expected, expected)
    assert inbox(people["uma"])["conversations"][0]["last_message_time"] == expected

    host.execute("UPDATE messages SET sent_at = '2026-02-05 10:30:45', read_at = '2026-02-05T12:30:45+02:00'")
    (message,) = conversation(people["uma"], "thea")["messages"]
    assert (message["sent_at"], message["read_at"]) == (expected, expected)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-02-05 10:30:45", "2026-02-05T10:30:45Z"),
        ("2026-02-05T10:30:45", "2026-02-05T10:30:45Z"),
        ("2026-02-05T10:30:45Z", "2026-02-05T10:30:45Z"),
        ("2026-02-05 10:30:45.999999", "2026-02-05T10:30:45Z"),
        ("2026-02-05T10:30:45.5Z", "2026-02-05T10:30:45Z"),
        ("2026-02-05T10:30:45+00:00", "2026-02-05T10:30:45Z"),
        ("2026-02-05T12:30:45+02:00", "2026-02-05T10:30:45Z"),
        ("2026-02-05 12:30:45+02", "2026-02-05T10:30:45Z"),
        ("2026-02-05T00:30:45.25-10:00", "2026-02-05T10:30:45Z"),
        ("2026-01-01 01:00:00+02:00", "2025-12-31T23:00:00Z"),
        (1770287445, "2026-02-05T10:30:45Z"),
        (1770287445.9, "2026-02-05T10:30:45Z"),
        ("", None),
        ("yesterday", None),
        ("2026-02-30 10:30:45", None),
        ("2026-02-05 25:00:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        (10**18, None),
        (b"\xff\x00", None),
    ],
)
def test_host_times_are_shown_as_rfc_3339(
    people: dict[str, Client], host: sqlite3.Connection, database_path: str, stored: object, shown: str | None
) -> None:
    """On SQLite, whose column takes any text as a time."""
    send(people["thea"], "uma")
    host.execute("UPDATE messages SET is_read = 1, sent_at = :time, read_at = :time", {"time": stored})

    for reader, partner in (("uma", "thea"), ("thea", "uma")):
        (message,) = conversation(people[reader], partner)["messages"]
        assert (message["sent_at"], message["read_at"]) == (shown, shown)
        assert inbox(people[reader])["conversations"][0]["last_message_time"] == shown


def test_a_missing_time_is_null(people: dict[str, Client], host: sqlite3.Connection) -> None:
    send(people["thea"], "uma")
    host.execute("UPDATE messages SET sent_at = NULL, created_at = NULL")

    assert conversation(people["uma"], "thea")["messages"][0]["sent_at"] is None
    assert inbox(people["uma"])["conversations"][0]["last_message_time"] is None
