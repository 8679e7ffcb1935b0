"""What a host's DDL dropped on PostgreSQL is noticed by /healthz, and restored by the next start or by migrate."""

from collections.abc import Iterator
from contextlib import closing

import postgresql_server
import pytest
from support import API, inbox, refusal, send, unread

from msgsvc import Settings, create_app
from msgsvc.storage.base import MigrationError
from msgsvc.storage.postgresql.check import check
from msgsvc.storage.postgresql.migrations import migrate
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

_NEW_MESSAGES = (
    "CREATE TABLE new_messages (LIKE messages INCLUDING ALL); INSERT INTO new_messages SELECT * FROM messages;"
    " SELECT setval(pg_get_serial_sequence('new_messages', 'id'), max(id)) FROM messages;"
)
REBUILD = {
    "messages": f"{_NEW_MESSAGES} DROP TABLE messages CASCADE; ALTER TABLE new_messages RENAME TO messages",
    "renamed away": f"{_NEW_MESSAGES} ALTER TABLE messages RENAME TO old; ALTER TABLE new_messages RENAME TO messages",
    "users": "CREATE TABLE new_users (LIKE users INCLUDING ALL, email text); INSERT INTO new_users SELECT * FROM users;"
    " DROP TABLE users CASCADE; ALTER TABLE new_users RENAME TO users",
    "disabled": "ALTER TABLE messages DISABLE TRIGGER USER; ALTER TABLE users DISABLE TRIGGER USER",
}


@pytest.fixture
def database() -> Iterator[str]:
    """SQLite's DDL is another; see test_host_tables."""
    uri = postgresql_server.new_database()
    yield uri
    postgresql_server.drop_database(uri)


@pytest.mark.parametrize("rebuild", REBUILD.values(), ids=REBUILD)
def test_what_a_host_s_ddl_dropped_is_restored_and_counted(
    people: dict[str, Client],
    host: postgresql_server.Host,
    database: str,
    rebuild: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(people["thea"], "uma", "before")
    assert people["thea"].get("/healthz").status_code == 200
    host.execute(rebuild)
    host.execute("INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'after')")
    host.execute("UPDATE users SET role = 'admin' WHERE username = 'thea'")
    assert refusal(people["thea"].get("/healthz")) == (503, "storage_unavailable")
    people["thea"].close()

    with closing(create_app(Settings(database=database))) as app:
        assert "restored what somebody's DDL dropped" in caplog.text
        again = Client(app)
        assert again.get("/healthz").status_code == 200
        uma = again.as_user("uma")
        assert (unread(uma), inbox(uma)["conversations"][0]["with_role"]) == (2, "admin")
        send(again.as_user("thea"), "uma")
        assert unread(uma) == 3
    assert list(check(database, lambda _line: None)) == []
    assert migrate(database) == []


@pytest.mark.parametrize("column", ["messages.created_at", "messages.subject", "users.role"])
def test_health_notices_a_column_that_a_host_dropped(
    client: Client, host: postgresql_server.Host, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/healthz").status_code == 200
    host.execute("ALTER TABLE {} DROP COLUMN {} CASCADE".format(*column.split(".")))
    assert refusal(client.get("/healthz")) == (503, "storage_unavailable")
    assert column in caplog.text


def test_a_column_of_users_that_a_host_dropped_stops_the_start(host: postgresql_server.Host, database: str) -> None:
    host.execute("ALTER TABLE users DROP COLUMN role CASCADE")
    with pytest.raises(MigrationError, match="the table users lacks the column role"):
        migrate(database)


def test_migrate_says_what_it_restored(host: postgresql_server.Host, database: str) -> None:
    host.execute("DROP INDEX msgsvc_messages_unread")
    host.execute("DROP TRIGGER msgsvc_messages_after_insert ON messages")
    assert migrate(database) == ["restored msgsvc_messages_unread", "restored msgsvc_messages_after_insert"]
    assert migrate(database) == []


REFUSALS = {
    "RAISE EXCEPTION 'the ward is closed to: %', new.content": "RaiseException (P0001)",
    "RAISE EXCEPTION 'the ward is closed to: %', new.content USING ERRCODE = '45000'": "DatabaseError (45000)",
    "ASSERT FALSE, 'the ward is closed to: ' || new.content": "AssertFailure (P0004)",
}


@pytest.mark.parametrize(("rule", "logged"), REFUSALS.items(), ids=REFUSALS.values())
def test_what_a_trigger_of_the_host_refuses_is_403_and_its_text_is_not_logged(
    client: Client, host: postgresql_server.Host, caplog: pytest.LogCaptureFixture, rule: str, logged: str
) -> None:
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma", "user")
    host.execute(f"CREATE FUNCTION ward() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {rule}; END$$")
    host.execute("CREATE TRIGGER ward BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION ward()")
    answer = thea.post(f"{API}/send", json={"recipient": "uma", "content": "sentinel"})
    assert refusal(answer) == (403, "refused_by_host")
    assert f"refused_by_host: {logged}" in caplog.text
    assert "ward" not in caplog.text + answer.text
    assert unread(uma) == 0


def test_a_text_longer_than_a_column_of_the_host_is_403(client: Client, host: postgresql_server.Host) -> None:
    thea, uma = client.as_user("thea", "therapist"), client.as_user("uma", "user")
    host.execute("ALTER TABLE messages ADD COLUMN short varchar(10)")
    host.execute(
        "CREATE FUNCTION shorten() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN new.short := new.content; RETURN new; END'"
    )
    host.execute("CREATE TRIGGER shorten BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION shorten()")
    answer = thea.post(f"{API}/send", json={"recipient": "uma", "content": "a longer text"})
    assert refusal(answer) == (403, "refused_by_host")
    send(thea, "uma", "short")
    assert unread(uma) == 1
