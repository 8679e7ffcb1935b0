"""Recipients: only the people the caller may write to."""

import sqlite3

import pytest
from support import API, send

from msgsvc.testing import Client


def found(caller: Client, query: str = "") -> list[str]:
    response = caller.get(f"{API}/recipients{query}")
    assert response.status_code == 200, response.text
    return [recipient["username"] for recipient in response.json["recipients"]]


@pytest.mark.parametrize("caller", ["thea", "clara", "adam"])
def test_staff_find_everyone_but_themselves(people: dict[str, Client], caller: str) -> None:
    assert found(people[caller]) == sorted(people.keys() - {caller})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["adam", "thea"]),
        ("?q=t", ["thea"]),
        ("?q=thea", ["thea"]),
        ("?q=theas", []),
        ("?q=T", []),
        ("?q=hea", []),
        ("?q=u", []),
        ("?q=ug", []),
        ("?q=ugo", ["ugo"]),
        ("?q=Ugo", []),
        ("?q=uma", []),
        ("?q=clara", []),
        ("?q=%25", []),
        ("?q=_hea", []),
        ("?q=*", []),
    ],
)
def test_a_user_finds_staff_by_prefix_and_users_by_exact_name(
    people: dict[str, Client], query: str, expected: list[str]
) -> None:
    assert found(people["uma"], query) == expected


def test_a_user_finds_a_clinician_who_wrote_first(people: dict[str, Client]) -> None:
    send(people["clara"], "uma")

    assert found(people["uma"], "?q=cl") == ["clara"]
    assert found(people["ugo"], "?q=cl") == []


def test_recipients_are_shown_with_their_role(people: dict[str, Client]) -> None:
    assert people["uma"].get(f"{API}/recipients?q=th").json == {
        "recipients": [{"username": "thea", "role": "therapist"}]
    }


def test_limit_counts_only_permitted_recipients(people: dict[str, Client]) -> None:
    assert found(people["uma"], "?limit=2") == ["adam", "thea"]
    assert found(people["thea"], "?limit=3") == ["adam", "clara", "ugo"]
    assert found(people["thea"], "?limit=1&q=u") == ["ugo"]


def test_default_limit_is_twenty(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.executemany("INSERT INTO users (username, role) VALUES (?, 'user')", [(f"p{n:02}",) for n in range(25)])

    assert found(people["thea"], "?q=p") == [f"p{number:02}" for number in range(20)]
    assert len(found(people["thea"], "?q=p&limit=100")) == 25


@pytest.mark.parametrize("name", ["a%b", "a_b", "a*b", "O'Neil", "\u00c5sa", "\U0001f642", "a b"])
def test_a_prefix_is_taken_literally(client: Client, people: dict[str, Client], name: str) -> None:
    client.as_user(name)
    client.as_user("axb")

    assert [row["username"] for row in _search(people["thea"], name[:2])] == [name]
    assert [row["username"] for row in _search(people["uma"], name)] == [name]


def _search(caller: Client, prefix: str) -> list[dict[str, str]]:
    return caller.get(f"{API}/recipients", query_string={"q": prefix}).json["recipients"]


def test_recipients_exclude_unknown_roles(people: dict[str, Client], host: sqlite3.Connection) -> None:
    host.execute("UPDATE users SET role = 'guest' WHERE username = 'ugo'")

    assert found(people["ugo"]) == []
    assert "ugo" not in found(people["thea"])


def test_everyone_found_can_be_written_to(people: dict[str, Client]) -> None:
    for name, caller in people.items():
        can_be_written_to = [
            other
            for other in sorted(people.keys() - {name})
            if caller.post(f"{API}/send", json={"recipient": other, "content": "x"}).status_code == 201
        ]
        exact = [other for other in sorted(people) if found(caller, f"?q={other}") == [other]]
        assert exact == can_be_written_to
