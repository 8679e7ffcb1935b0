"""Settings(roles=…): what a host's own role names mean, everywhere roles are read."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from support import API, conversation, inbox, refusal, send

from msgsvc import Settings, create_app
from msgsvc.settings import SettingsError
from msgsvc.testing import Client

PEOPLE = {"dev": "developer", "doc": "physician", "pat": "patient", "ada": "admin", "kim": "visitor"}
MEANINGS = {"developer": "admin", "physician": "clinician", "patient": "user"}


@pytest.fixture
def named(database: str) -> Iterator[dict[str, Client]]:
    client = Client(create_app(Settings(database=database, send_rate=0, roles=MEANINGS)))
    yield {name: client.as_user(name, role) for name, role in PEOPLE.items()}
    client.close()


def test_a_role_of_the_host_s_own_sends_and_is_shown_as_what_it_means(named: dict[str, Client]) -> None:
    answer = named["pat"].post(f"{API}/send", json={"recipient": "doc", "content": "x"})
    assert refusal(answer) == (403, "reply_only")
    send(named["doc"], "pat")
    send(named["pat"], "doc")
    assert inbox(named["pat"])["conversations"][0]["with_role"] == "clinician"
    assert conversation(named["doc"], "pat")["with_role"] == "user"
    assert named["pat"].get("/api/auth/session").json["role"] == "user"


def test_login_and_session_say_the_same_role(named: dict[str, Client]) -> None:
    body = {"password": "correct horse battery"}
    assert named["dev"].patch("/api/users/pat", json=body).status_code == 200
    login = named["dev"].post("/api/auth/login", json={"username": "pat", **body})
    assert login.json["role"] == "user"


def test_a_role_that_means_admin_monitors_and_manages(named: dict[str, Client]) -> None:
    assert named["dev"].get(f"{API}/admin/conversations").status_code == 200
    users = named["dev"].get("/api/users?role=admin").json
    assert [(user["username"], user["role"]) for user in users["users"]] == [("ada", "admin"), ("dev", "admin")]
    assert users["total_users"] == 2


def test_the_last_admin_is_counted_by_what_roles_mean(named: dict[str, Client]) -> None:
    assert named["dev"].patch("/api/users/ada", json={"role": "user"}).status_code == 200
    assert refusal(named["dev"].patch("/api/users/dev", json={"role": "user"})) == (409, "last_admin")
    assert refusal(named["dev"].patch("/api/users/dev", json={"suspended": True})) == (409, "last_admin")


def test_recipients_are_found_by_what_their_role_means(named: dict[str, Client]) -> None:
    def found(name: str) -> list[tuple[str, str]]:
        rows = named[name].get(f"{API}/recipients").json["recipients"]
        return [(row["username"], row["role"]) for row in rows]

    assert found("pat") == [("ada", "admin"), ("dev", "admin")]
    assert found("doc") == [("ada", "admin"), ("dev", "admin"), ("pat", "user")]
    assert found("kim") == []


def test_a_role_that_is_not_named_stays_outside(named: dict[str, Client]) -> None:
    assert refusal(named["kim"].post(f"{API}/send", json={"recipient": "dev", "content": "x"})) == (403, "not_allowed")
    assert conversation(named["dev"], "kim")["with_role"] is None


def test_another_mapping_is_another_etag(database: str) -> None:
    tags = set()
    for roles in ({}, {"physician": "clinician"}):
        with closing(create_app(Settings(database=database, roles=roles))) as app:
            client = Client(app)
            client.as_user("doc", "physician")
            tags.add(client.as_user("pat").get(f"{API}/inbox").headers["ETag"])
    assert len(tags) == 2


@pytest.mark.parametrize("roles", ["developer", "developer=root", "=admin", "admin=user", {"": "admin"}, 5])
def test_a_bad_mapping_stops_the_start_in_one_line(roles: object) -> None:
    with pytest.raises(SettingsError, match=r"^roles must [^\n]*$"):
        Settings(roles=roles)  # type: ignore[arg-type]


def test_the_mapping_is_read_from_the_environment() -> None:
    settings = Settings.from_environ({"MSGSVC_ROLES": "developer=admin, patient=user"})
    assert settings.roles == {"developer": "admin", "patient": "user"}
