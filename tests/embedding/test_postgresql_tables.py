"""The tables of a host on PostgreSQL: its rows by SQLAlchemy and plain SQL, its older messages, its migrations."""

# ruff: noqa: PLC0415 (most of Django can only be imported once it is configured)

from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import alembic.operations
import hosts
import postgresql_hosts
import postgresql_server
import psycopg
import pytest
import sqlalchemy
from alembic.runtime.migration import MigrationContext
from hosts import rows
from postgresql_hosts import Message, User, orm_session
from sqlalchemy.orm import Session
from support import API, conversation, faults, history, inbox, refusal, send, unread

import msgsvc
from msgsvc.storage.base import MigrationError
from msgsvc.storage.postgresql.migrations import migrate
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql


@pytest.fixture
def host_path() -> Iterator[str]:
    """The database of the Flask site, which msgsvc has not seen yet."""
    uri = postgresql_hosts.create_flask_database()
    yield uri
    postgresql_server.drop_database(uri)


@pytest.fixture
def client(embed: Callable[..., msgsvc.app.App]) -> Client:
    return Client(embed())


def etag(caller: Client) -> str:
    return caller.get(f"{API}/inbox").headers["ETag"]


def texts(caller: Client, partner: str) -> list[str]:
    return [message["content"] for message in conversation(caller, partner)["messages"]]


def test_everything_is_created_in_the_first_schema_of_the_search_path(client: Client, host_path: str) -> None:
    send(client.as_user("thea"), "uma")
    statement = """
        SELECT DISTINCT nspname::text
        FROM pg_namespace AS n
        INNER JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        WHERE nspname !~ '^(pg_|information_schema)'
    """
    assert rows(host_path, statement) == [(postgresql_hosts.SCHEMA,)]


def test_the_options_of_the_environment_count_as_for_any_client(
    host_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_options = host_path.partition("&options=")[0]
    monkeypatch.setenv("PGOPTIONS", f"-c search_path={postgresql_hosts.SCHEMA}")
    assert migrate(without_options)[0] == "0001_messages"
    assert migrate(host_path) == []


def test_a_host_with_another_search_path_calls_the_triggers_all_the_same(client: Client, host_path: str) -> None:
    elsewhere = host_path.replace("search_path%3Dsite", "search_path%3Dpublic")
    rows(
        elsewhere,
        "INSERT INTO site.messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'Hi')",
    )
    rows(elsewhere, "UPDATE site.users SET username = 'ulla' WHERE username = 'uma'")
    ulla = client.as_user("ulla")
    assert (unread(ulla), texts(ulla, "thea")) == (1, ["Hi"])
    assert faults(host_path) == []


def test_rows_of_sqlalchemy_count_like_any_other(client: Client, host_path: str) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    first = send(thea, "uma", "by a call")
    before = etag(uma)
    with orm_session(host_path) as session:
        written = [Message(sender_username="thea", recipient_username="uma", content=f"row {n}") for n in range(3)]
        session.add_all(written)
        session.flush()
        ids = [message.id for message in written]
    assert etag(uma) != before
    assert (unread(uma), history(uma, "thea")) == (4, [first, *ids])
    assert inbox(uma)["conversations"][0]["last_message"] == "row 2"

    before = etag(uma)
    with orm_session(host_path) as session:
        session.get_one(Message, ids[0]).is_read = 1
        session.get_one(Message, ids[2]).content = "changed"
    assert etag(uma) != before
    assert (unread(uma), inbox(uma)["conversations"][0]["last_message"]) == (3, "changed")

    with orm_session(host_path) as session:
        session.delete(session.get_one(Message, ids[2]))
        session.execute(sqlalchemy.delete(Message).where(Message.id == first))
    assert (unread(uma), texts(uma, "thea")) == (1, ["row 0", "row 1"])
    assert faults(host_path) == []


def test_a_host_writes_in_any_number_of_conversations_in_one_transaction(client: Client, host_path: str) -> None:
    thea = client.as_user("thea")
    people = "SELECT 'u' || n, 'user', '', '' FROM generate_series(1, 65) AS n"
    rows(host_path, f"INSERT INTO users (username, role, email, password_hash) {people}")
    with orm_session(host_path) as session:
        session.execute(
            sqlalchemy.text(
                "INSERT INTO messages (sender_username, recipient_username, content)"
                " SELECT a.username, b.username, 'Hello' FROM users AS a, users AS b WHERE a.username <> b.username"
            )
        )
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert session.scalar(sqlalchemy.text(locks)) <= 4096
    assert inbox(thea)["total_conversations"] == 65 + len(hosts.ROLES) - 1
    assert faults(host_path) == []


def test_rows_that_the_host_rolls_back_count_for_nobody(client: Client, host_path: str) -> None:
    uma = client.as_user("uma")
    before = etag(uma)
    with orm_session(host_path) as session, session.begin_nested() as savepoint:
        session.add(Message(sender_username="thea", recipient_username="uma", content="never"))
        session.flush()
        savepoint.rollback()
    assert (unread(uma), etag(uma)) == (0, before)


def test_people_renamed_and_removed_by_sqlalchemy_take_along_what_is_theirs(client: Client, host_path: str) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma")
    assert uma.put(f"{API}/blocks/zoë").status_code == 204
    with orm_session(host_path) as session:
        _account(session, "uma").username = "ulla"
        session.delete(_account(session, "clara"))
    assert refusal(thea.post(f"{API}/send", json={"recipient": "clara", "content": "Hi"})) == (
        404,
        "recipient_not_found",
    )
    assert texts(thea, "ulla") == ["Hello"]
    assert [row["with_user"] for row in inbox(thea)["conversations"]] == ["ulla"]
    ulla = client.as_user("ulla")
    assert [row["username"] for row in ulla.get(f"{API}/blocks").json["blocks"]] == ["zoë"]
    with pytest.raises(sqlalchemy.exc.IntegrityError, match="foreign key"), orm_session(host_path) as session:
        session.delete(_account(session, "ulla"))
    assert unread(ulla) == 1
    assert faults(host_path) == []


def _account(session: Session, username: str) -> User:
    return session.scalars(sqlalchemy.select(User).where(User.username == username)).one()


def test_a_column_of_users_that_the_host_demands_refuses_a_new_account(host_path: str) -> None:
    client = Client(msgsvc.create_app(msgsvc.Settings(database=host_path)))
    body = {"username": "vic", "role": "user", "password": "a long password"}
    assert refusal(client.as_user("adam").post("/api/users", json=body)) == (403, "refused_by_host")
    assert rows(host_path, "SELECT count(*) FROM users") == [(len(hosts.ROLES),)]
    client.close()


def test_a_trigger_of_the_host_refuses_its_own_calls_alone(client: Client, host_path: str) -> None:
    thea, clara = client.as_user("thea"), client.as_user("clara")
    rows(
        host_path,
        "CREATE FUNCTION ward() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF new.sender_username = ''thea'' THEN RAISE EXCEPTION ''closed''; END IF; RETURN new; END'",
    )
    rows(host_path, "CREATE TRIGGER ward BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION ward()")
    assert refusal(thea.post(f"{API}/send", json={"recipient": "uma", "content": "x"})) == (403, "refused_by_host")
    send(clara, "uma")
    assert unread(client.as_user("uma")) == 1


ACCOUNT_TYPES = {
    "enum": ("varchar(80)", "account_role"),
    "padded": ("char(30)", "char(20)"),
}


@pytest.mark.parametrize(("name_type", "role_type"), ACCOUNT_TYPES.values(), ids=ACCOUNT_TYPES)
def test_names_and_roles_may_have_any_type_of_text(name_type: str, role_type: str) -> None:
    uri = postgresql_server.new_database(empty=True)
    roles = ", ".join(f"'{role}'" for role in ("therapist", "clinician", "user", "admin"))
    rows(uri, f"CREATE TYPE account_role AS ENUM ({roles})")
    rows(uri, f"CREATE TABLE users (username {name_type} UNIQUE NOT NULL, role {role_type} NOT NULL)")
    people = [*hosts.ROLES.items(), ("Zoë", "user")]
    for username, role in people:
        rows(uri, f"INSERT INTO users VALUES ('{username}', '{role}')")
    client = Client(msgsvc.create_app(msgsvc.Settings(database=uri, page="")))
    thea, uma, adam = (client.as_user(name) for name in ("thea", "uma", "adam"))
    send(thea, "uma")
    found = thea.get(f"{API}/recipients?q=z").json["recipients"], uma.get(f"{API}/recipients?q=t").json["recipients"]
    assert found == ([{"username": "zoë", "role": "user"}], [{"username": "thea", "role": "therapist"}])
    assert inbox(uma)["conversations"][0]["with_role"] == "therapist"
    listed = adam.get("/api/users").json["users"]
    assert [(row["username"], row["role"]) for row in listed] == sorted(people)
    assert [row["username"] for row in adam.get("/api/users?role=user").json["users"]] == ["Zoë", "uma", "zoë"]
    assert refusal(adam.patch("/api/users/adam", json={"role": "user"})) == (409, "last_admin")
    assert adam.patch("/api/users/thea", json={"role": "clinician"}).json["role"] == "clinician"
    assert inbox(uma)["conversations"][0]["with_role"] == "clinician"
    rows(uri, "UPDATE users SET username = 'ulla' WHERE username = 'uma'")
    assert texts(client.as_user("ulla"), "thea") == ["Hello"]
    assert faults(uri) == []
    client.close()
    postgresql_server.drop_database(uri)


def test_a_change_of_another_column_of_users_writes_nothing_of_ours(client: Client, host_path: str) -> None:
    send(client.as_user("thea"), "uma")
    ours = "SELECT xmin::text, role, word, username FROM msgsvc_people_words ORDER BY role, word, username"
    before = rows(host_path, ours)
    rows(host_path, "UPDATE users SET theme = 'light'")
    assert rows(host_path, ours) == before != []


def test_truncated_accounts_leave_nothing_to_the_next_owner_of_a_name(client: Client, host_path: str) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma")
    before = etag(uma)
    rows(host_path, "TRUNCATE users CASCADE")
    assert rows(host_path, "SELECT count(*) FROM msgsvc_sessions") == [(0,)]
    assert rows(host_path, "SELECT count(*) FROM msgsvc_people_words") == [(0,)]
    rows(host_path, "INSERT INTO users (email, username, password_hash, role) VALUES ('', 'uma', '', 'user')")
    assert inbox(uma)["conversations"] == []
    assert etag(uma) != before
    assert faults(host_path) == []


OLDER = {
    "few columns": """
        CREATE TABLE messages (
            id serial PRIMARY KEY, sender_username varchar(80) REFERENCES users (username),
            recipient_username varchar(80) REFERENCES users (username), content text, created_at timestamp
        )
    """,
    "flags and times of its own": """
        CREATE TABLE messages (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sender_username text NOT NULL,
            recipient_username text NOT NULL, content text NOT NULL, is_read boolean NOT NULL DEFAULT false,
            created_at timestamptz, is_deleted_by_sender boolean DEFAULT false, ward text
        )
    """,
}

FLAGS_OF_DJANGO = """
    CREATE TABLE messages (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, sender_username varchar(80) NOT NULL,
        recipient_username varchar(80) NOT NULL, content text NOT NULL, is_read boolean NOT NULL,
        is_deleted_by_sender boolean NOT NULL, is_deleted_by_recipient boolean NOT NULL,
        sent_at timestamptz NOT NULL, created_at timestamptz NOT NULL
    )
"""


def test_flags_without_a_default_as_django_makes_them_are_filled_by_a_send(
    host_path: str, embed: Callable[..., msgsvc.app.App]
) -> None:
    rows(host_path, FLAGS_OF_DJANGO)
    client = Client(embed())
    send(client.as_user("thea"), "uma")
    assert unread(client.as_user("uma")) == 1


@pytest.mark.parametrize("column", ["created_at", "is_deleted_by_sender", "subject"])
def test_a_column_that_a_migration_of_the_host_dropped_is_added_again(
    client: Client, host_path: str, column: str
) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma", "before")
    rows(host_path, f"ALTER TABLE messages DROP COLUMN {column} CASCADE")
    assert f"restored column {column}" in migrate(host_path)
    send(thea, "uma", "after")
    assert (unread(uma), texts(uma, "thea")) == (2, ["before", "after"])
    assert (faults(host_path), migrate(host_path)) == ([], [])


def test_people_are_found_by_the_beginning_of_the_whole_display_name(
    host_path: str, embed: Callable[..., msgsvc.app.App]
) -> None:
    rows(host_path, "UPDATE users SET theme = 'Dr. Thea Meyer' WHERE username = 'thea'")
    client = Client(embed(display_name_column="theme"))
    found = client.as_user("uma").get(f"{API}/recipients?q=Dr. Thea M").json["recipients"]
    assert [row["username"] for row in found] == ["thea"]


@pytest.mark.parametrize("table", OLDER.values(), ids=OLDER)
def test_an_older_table_keeps_its_rows_and_gets_the_columns_that_it_lacks(
    host_path: str, embed: Callable[..., msgsvc.app.App], table: str
) -> None:
    rows(host_path, table)
    rows(
        host_path,
        "INSERT INTO messages (sender_username, recipient_username, content, created_at)"
        " VALUES ('thea', 'uma', 'old', '2026-01-02 03:04:05'), ('uma', 'thea', 'older', '2026-01-02 03:04:04'),"
        " ('clara', 'uma', 'deleted', '2026-01-02 03:04:05')",
    )
    client = Client(embed())
    thea, uma = client.as_user("thea"), client.as_user("uma")
    assert texts(uma, "thea") == ["old", "older"]
    assert conversation(uma, "thea")["messages"][0]["sent_at"] == "2026-01-02T03:04:05Z"
    send(uma, "clara", "a reply")
    send(thea, "uma", "new")
    assert (unread(uma), texts(thea, "uma")) == (3, ["old", "older", "new"])
    rows(host_path, "DELETE FROM messages WHERE content = 'deleted'")
    assert unread(uma) == 2
    assert faults(host_path) == []
    assert migrate(host_path) == []


def test_a_time_that_the_host_leaves_out_is_utc(host_path: str, embed: Callable[..., msgsvc.app.App]) -> None:
    rows(
        host_path,
        "CREATE TABLE messages (id serial PRIMARY KEY, sender_username text, recipient_username text, content text,"
        " sent_at timestamp)",
    )
    uma = Client(embed()).as_user("uma")
    with psycopg.connect(host_path) as connection:
        connection.execute("SET TimeZone TO 'Asia/Tokyo'")
        connection.execute(
            "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('thea', 'uma', 'Hi')"
        )
        ((sent_at,),) = connection.execute("SELECT now()")
    in_utc = f"{sent_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert conversation(uma, "thea")["messages"][0]["sent_at"] == in_utc


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("thread_id integer NOT NULL", "the column thread_id of the table messages"),
        ("subject text NOT NULL", "the column subject of the table messages"),
    ],
)
def test_a_column_that_a_send_cannot_fill_stops_the_start_with_its_name(
    host_path: str, column: str, words: str
) -> None:
    rows(
        host_path,
        "CREATE TABLE messages (id serial PRIMARY KEY, sender_username text, recipient_username text,"
        f" content text, {column})",
    )
    before = hosts.rows(host_path, "SELECT tablename FROM pg_tables WHERE schemaname = 'site' ORDER BY 1")
    with pytest.raises(MigrationError, match=words):
        migrate(host_path)
    assert hosts.rows(host_path, "SELECT tablename FROM pg_tables WHERE schemaname = 'site' ORDER BY 1") == before


def alembic_alters(uri: str, table: str, recreate: str = "never") -> None:
    with orm_session(uri) as session:
        operations = alembic.operations.Operations(MigrationContext.configure(session.connection()))
        with operations.batch_alter_table(table, recreate=recreate) as batch:
            batch.add_column(sqlalchemy.Column("ward", sqlalchemy.Text()))
            if table == "users":
                batch.alter_column("role", type_=sqlalchemy.Text())


def alembic_remakes(uri: str, table: str) -> None:
    alembic_alters(uri, table, recreate="always")


def django_alters(uri: str, table: str) -> None:
    hosts.configure_django()
    from django.db.migrations import AddField, AlterField
    from django.db.models import CharField

    with hosts.django_database(postgresql_hosts.settings_of_django(uri)):
        from django.db import connection

        state = _django_models()
        operations = [AddField(table, "ward", CharField(max_length=100, null=True))]
        if table == "users":
            operations.append(AlterField(table, "role", CharField(max_length=30)))
        with connection.schema_editor() as editor:
            for operation in operations:
                after = state.clone()
                operation.state_forwards("site", after)
                operation.database_forwards("site", editor, state, after)
                state = after


def _django_models() -> Any:
    """The state of a site that has models of both tables; of messages only what the migration needs."""
    from django.db import migrations, models
    from django.db.migrations.state import ProjectState

    users = [
        ("id", models.AutoField(primary_key=True)),
        ("email", models.CharField()),
        ("username", models.CharField(max_length=80, unique=True)),
        ("role", models.CharField(max_length=20)),
    ]
    state = ProjectState()
    for name, fields in (("users", users), ("messages", [("id", models.BigAutoField(primary_key=True))])):
        migrations.CreateModel(name, fields, options={"db_table": name}).state_forwards("site", state)
    return state


ALTERING = {"alembic": alembic_alters, "django": django_alters}


@pytest.mark.parametrize("alter", ALTERING.values(), ids=ALTERING)
@pytest.mark.parametrize("table", ["messages", "users"])
def test_an_altered_table_goes_on_without_a_restart(
    client: Client, host_path: str, alter: Callable[[str, str], None], table: str
) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma", "before")
    alter(host_path, table)
    assert rows(host_path, f"SELECT count(*) FROM {table} WHERE ward IS NULL")[0][0] > 0
    rows(host_path, "UPDATE users SET role = 'clinician' WHERE username = 'thea'")
    send(thea, "uma", "after")
    assert client.get("/healthz").status_code == 200
    assert (unread(uma), texts(uma, "thea")) == (2, ["before", "after"])
    assert inbox(uma)["conversations"][0]["with_role"] == "clinician"
    assert (faults(host_path), migrate(host_path)) == ([], [])


@pytest.mark.parametrize("table", ["messages", "users"])
def test_a_remade_table_is_refused_until_what_depends_on_it_is_dropped(
    client: Client, host_path: str, table: str
) -> None:
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma", "before")
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        alembic_remakes(host_path, table)
    send(thea, "uma", "in between")
    assert (unread(uma), faults(host_path)) == (2, [])

    dependent = {
        "messages": "DROP VIEW msgsvc_sent_messages, msgsvc_received_messages CASCADE",
        "users": "ALTER TABLE messages DROP CONSTRAINT messages_sender_username_fkey,"
        " DROP CONSTRAINT messages_recipient_username_fkey; DROP TABLE sessions",
    }
    rows(host_path, dependent[table])
    alembic_remakes(host_path, table)
    assert refusal(client.get("/healthz")) == (503, "storage_unavailable")
    assert migrate(host_path) != []
    rows(host_path, "UPDATE users SET role = 'clinician' WHERE username = 'thea'")
    send(thea, "uma", "after")
    assert client.get("/healthz").status_code == 200
    assert (unread(uma), texts(uma, "thea")) == (3, ["before", "in between", "after"])
    assert inbox(uma)["conversations"][0]["with_role"] == "clinician"
    assert faults(host_path) == []


def test_a_column_that_a_view_of_ours_reads_cannot_change_its_type(client: Client, host_path: str) -> None:
    send(client.as_user("thea"), "uma")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="used by a view"):
        rows(host_path, "ALTER TABLE messages ALTER COLUMN subject TYPE varchar(500)")
    rows(host_path, "DROP VIEW msgsvc_sent_messages, msgsvc_received_messages CASCADE")
    rows(host_path, "ALTER TABLE messages ALTER COLUMN subject TYPE varchar(500)")
    assert "restored msgsvc_visible_messages" in migrate(host_path)
    assert unread(client.as_user("uma")) == 1
    assert faults(host_path) == []
