"""`msgsvc check` on PostgreSQL: a line for each fault of the schema and of the summaries."""

from collections.abc import Iterator
from contextlib import closing

import postgresql_server
import pytest
from support import connected, faults, send

from msgsvc import Settings, create_app
from msgsvc.cli import main
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql


@pytest.fixture
def database() -> Iterator[str]:
    """thea has written to uma."""
    uri = postgresql_server.new_database()
    client = Client(create_app(Settings(database=uri)))
    client.as_user("uma")
    send(client.as_user("thea", "therapist"), "uma")
    client.close()
    yield uri
    postgresql_server.drop_database(uri)


def run(database: str, statement: str) -> None:
    with closing(connected(database)) as host:
        host.execute(statement)


LOST = "summary: summary without messages, or with wrong figures: owner"
MISSING = "summary: messages without summary, or with a wrong one: owner"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "UPDATE msgsvc_conversations SET unread_count = 5 WHERE owner = 'uma'",
            [f"{MISSING} uma, partner thea", f"{LOST} uma, partner thea", "totals: owner uma"],
        ),
        (
            "DELETE FROM msgsvc_conversations WHERE owner = 'thea'",
            [f"{MISSING} thea, partner uma", "totals: owner thea"],
        ),
        (
            "INSERT INTO msgsvc_conversations VALUES ('uma', 'zoe', 1, 0, NULL)",
            [f"{LOST} uma, partner zoe", "totals: owner uma"],
        ),
        (
            "UPDATE msgsvc_conversations SET partner_role = 'admin' WHERE owner = 'uma'",
            ["summary: a role that is not that of the partner: owner uma, partner thea"],
        ),
        ("UPDATE msgsvc_mailboxes SET total_unread = 5 WHERE owner = 'uma'", ["totals: owner uma"]),
        (
            "ALTER TABLE messages DISABLE TRIGGER msgsvc_messages_after_insert",
            ["schema: msgsvc_messages_after_insert is missing or disabled"],
        ),
        ("DROP INDEX msgsvc_messages_unread", ["schema: msgsvc_messages_unread is missing or disabled"]),
        ("ALTER TABLE msgsvc_migrations RENAME TO away", ["schema: not the present one; run msgsvc migrate"]),
    ],
)
def test_each_fault_is_one_line(
    database: str, damage: str, found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert faults(database) == []
    run(database, damage)
    assert main(["check", "--database", database]) == 1
    captured = capsys.readouterr()
    assert sorted(captured.out.splitlines()) == found
    assert captured.err.endswith(f"faults found: {len(found)}\n")


def test_a_database_that_cannot_be_read_is_one_line(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(database, "ALTER TABLE msgsvc_conversations RENAME COLUMN unread_count TO away")
    assert main(["check", "--database", database]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "unread_count" in captured.err
