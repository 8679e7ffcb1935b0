"""/healthz and the state of the database file.

On SQLite: a PostgreSQL database has no file of ours; see test_postgresql_restoring.
"""

from pathlib import Path

from storage_faults import LONG, assert_refused
from support import history, send

from msgsvc.storage.sqlite.migrations import PAGE_BYTES
from msgsvc.testing import Client


def health(client: Client) -> int:
    answer = client.get("/healthz")
    if answer.status_code != 200:
        assert_refused(answer, "storage_unavailable")
    return answer.status_code


def test_health_reports_an_overwritten_or_missing_file(client: Client, database_path: str) -> None:
    assert health(client) == 200
    path = Path(database_path)
    sound = path.read_bytes()
    path.write_bytes(b"\0" * len(sound))
    assert health(client) == 503
    path.write_bytes(sound)
    assert health(client) == 200
    path.rename(f"{path}.away")
    assert health(client) == 503
    Path(f"{path}.away").rename(path)
    assert health(client) == 200


def test_health_stays_ok_while_a_checkpoint_grows_the_file(client: Client, database_path: str) -> None:
    """A checkpoint writes page 1 with the new size while the file still has the old one."""
    assert health(client) == 200
    thea = client.as_user("thea", "therapist")
    client.as_user("uma")
    for _ in range(20):
        send(thea, "uma", LONG)
    log = Path(f"{database_path}-wal").read_bytes()
    frame_bytes = 24 + PAGE_BYTES
    frames = [log[start : start + frame_bytes] for start in range(32, len(log), frame_bytes)]
    first_page = [frame[24:] for frame in frames if frame[:4] == b"\0\0\0\1"][-1]
    with Path(database_path).open("r+b") as file:
        file.write(first_page)
    assert len(history(client.as_user("uma"), "thea", "?limit=200")) == 20
    assert health(client) == 200
