"""What a command prints where PostgreSQL makes the engine run its transaction again."""

import postgresql_server
import psycopg
import pytest
from support import PEOPLE

from msgsvc import Settings, create_app
from msgsvc.cli import main
from msgsvc.testing import Client

pytestmark = pytest.mark.postgresql

CONFLICT_AT_FIRST_COMMIT = """
CREATE SEQUENCE host_commits;
CREATE FUNCTION host_conflict() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF nextval('host_commits') = 1 THEN
        RAISE EXCEPTION 'conflict' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER host_conflict AFTER INSERT ON {} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION host_conflict();
"""


@pytest.mark.parametrize(
    ("command", "table"),
    [("token uma", "msgsvc_sessions"), ("user add zoe --role user", "users"), ("user password uma", "msgsvc_audit")],
)
def test_a_secret_is_printed_once(command: str, table: str, capsys: pytest.CaptureFixture[str]) -> None:
    uri = postgresql_server.new_database()
    client = Client(create_app(Settings(database=uri)))
    client.as_user("uma", PEOPLE["uma"])
    with psycopg.connect(uri, autocommit=True) as host:
        host.execute(CONFLICT_AT_FIRST_COMMIT.format(table).encode())
        main([*command.split(), "--database", uri])
        assert host.execute("SELECT last_value FROM host_commits").fetchone() == (2,)
    (secret,) = capsys.readouterr().out.splitlines()
    if command.startswith("token"):
        session = client.get("/api/auth/session", headers={"Authorization": secret})
        assert session.status_code == 200
    client.close()
    postgresql_server.drop_database(uri)
