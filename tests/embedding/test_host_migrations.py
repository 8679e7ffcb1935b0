"""A host's tables remade by the migration tools themselves, Alembic's batch mode and Django, beneath an application."""

# ruff: noqa: PLC0415 (most of Django can only be imported once it is configured)

from collections.abc import Callable
from typing import Any

import alembic.operations
import hosts
import pytest
import sqlalchemy
from alembic.runtime.migration import MigrationContext
from django.db import DatabaseError
from hosts import rows
from support import conversation, faults, inbox, refusal, send, unread

import msgsvc
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.testing import Client

# Batch mode leaves out the CHECK of a messages table that msgsvc made, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Unnamed CHECK constraint:UserWarning")


def alembic_remakes(path: str, table: str, pragma: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(pragma)
        operations = alembic.operations.Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table(table, recreate="always") as batch:
            batch.add_column(sqlalchemy.Column("ward", sqlalchemy.Text()))
    engine.dispose()


def django_remakes(path: str, table: str, pragma: str) -> None:
    hosts.configure_django()
    from django.db import connection, connections
    from django.db.migrations import AlterField
    from django.db.models import CharField

    connection.close()
    connection.settings_dict["NAME"] = path
    with connection.cursor() as cursor:
        cursor.execute(pragma)
    column = {"messages": "subject", "users": "theme"}[table]
    before = _django_models()
    after = before.clone()
    migration = AlterField(table, column, CharField(max_length=100, null=True))
    migration.state_forwards("site", after)
    try:
        with connection.schema_editor() as editor:
            migration.database_forwards("site", editor, before, after)
    finally:
        connection.close()
        del connections["default"]  # Django believes it inside a transaction after a refused migration.


def _django_models() -> Any:
    """The state of a site that has models of both tables."""
    from django.db import migrations, models
    from django.db.migrations.state import ProjectState
    from django.db.models.functions import Now

    def person(column: str) -> Any:
        return models.ForeignKey(
            "site.users", models.DO_NOTHING, to_field="username", db_column=column, related_name="+"
        )

    users = [
        ("id", models.AutoField(primary_key=True)),
        ("email", models.TextField()),
        ("username", models.TextField(unique=True)),
        ("password_hash", models.TextField()),
        ("role", models.TextField()),
        ("theme", models.TextField(null=True)),
    ]
    messages = [
        ("id", models.AutoField(primary_key=True)),
        ("sender", person("sender_username")),
        ("recipient", person("recipient_username")),
        ("subject", models.TextField(null=True)),
        ("content", models.TextField()),
        ("is_read", models.IntegerField(null=True, db_default=0)),
        ("read_at", models.DateTimeField(null=True)),
        ("sent_at", models.DateTimeField(null=True, db_default=Now())),
        ("deleted_at", models.DateTimeField(null=True)),
        ("is_deleted_by_sender", models.IntegerField(null=True, db_default=0)),
        ("is_deleted_by_recipient", models.IntegerField(null=True, db_default=0)),
        ("created_at", models.DateTimeField(null=True, db_default=Now())),
    ]
    state = ProjectState()
    for name, fields in (("users", users), ("messages", messages)):
        migrations.CreateModel(name, fields, options={"db_table": name}).state_forwards("site", state)
    return state


def texts(caller: Client, partner: str) -> list[str]:
    return [message["content"] for message in conversation(caller, partner)["messages"]]


def definition(path: str, table: str) -> str:
    ((sql,),) = rows(path, "SELECT sql FROM sqlite_master WHERE name = ?", table)
    return str(sql)


TOOLS = {"alembic": alembic_remakes, "django": django_remakes}
every_tool = pytest.mark.parametrize("remake", TOOLS.values(), ids=TOOLS)
every_table = pytest.mark.parametrize("table", ["messages", "users"])


@every_tool
@every_table
@pytest.mark.parametrize("is_restarted", [True, False], ids=["restart", "migrate"])
def test_messages_arrive_after_a_migration_of_the_host(
    host_path: str, embed: Callable[..., msgsvc.app.App], remake: Callable[..., None], table: str, is_restarted: bool
) -> None:
    client = Client(embed())
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma", "before")
    send(uma, "thea", "answer")
    original = definition(host_path, table)

    remake(host_path, table, "PRAGMA legacy_alter_table = ON")
    assert definition(host_path, table) != original
    assert refusal(client.get("/healthz")) == (503, "storage_unavailable")
    send(thea, "uma", "meanwhile")
    rows(host_path, "UPDATE users SET role = 'clinician' WHERE username = 'thea'")

    expected = ["before", "answer", "meanwhile"]
    if is_restarted:
        applications = [client.app, embed()]
    else:
        assert migrate(host_path) != []
        applications = [client.app]
    for count, application in enumerate(applications, start=3):
        client = Client(application)
        assert client.get("/healthz").status_code == 200
        thea, uma = client.as_user("thea"), client.as_user("uma")
        assert texts(uma, "thea") == texts(thea, "uma") == expected
        send(thea, "uma", "after")
        expected.append("after")
        assert texts(uma, "thea") == texts(thea, "uma") == expected
        assert unread(uma) == count
        (row,) = inbox(uma)["conversations"]
        assert (row["last_message"], row["unread_count"], row["with_role"]) == ("after", count, "clinician")
    assert faults(host_path) == []


@every_tool
@every_table
def test_a_migration_that_sqlite_refuses_loses_nothing(
    host_path: str, embed: Callable[..., msgsvc.app.App], remake: Callable[..., None], table: str
) -> None:
    """SQLite renames no table while views and triggers name one that is away, unless told by the pragma."""
    client = Client(embed())
    thea, uma = client.as_user("thea"), client.as_user("uma")
    send(thea, "uma", "before")
    with pytest.raises((sqlalchemy.exc.OperationalError, DatabaseError)):
        remake(host_path, table, "PRAGMA legacy_alter_table = OFF")
    send(thea, "uma", "after")
    assert (unread(uma), texts(uma, "thea")) == (2, ["before", "after"])
    assert faults(host_path) == []
