"""Recipients: only the people the caller may write to."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from support import API, connected, faults, send

from msgsvc import Settings, create_app
from msgsvc.storage.base import MigrationError
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


def test_every_word_of_a_name_is_found(client: Client, people: dict[str, Client]) -> None:
    client.as_user("mary.ann-may", "therapist")
    for query in ("mary", "ann", "may", "mary.ann"):
        assert found(people["uma"], f"?q={query}") == ["mary.ann-may"]
    assert found(people["uma"], "?q=ary") == []


DISPLAYED = [
    "CREATE TABLE users (username TEXT PRIMARY KEY, role TEXT, full_name TEXT)",
    "INSERT INTO users VALUES ('u1', 'therapist', 'Thea May'), ('u2', 'user', 'Uma \"the\" Old'),"
    " ('u3', 'clinician', 'Clara May'), ('u4', 'user', NULL), ('u5', 'admin', 'May Ling'),"
    " ('u6', 'visitor', 'May Day')",
]


@pytest.fixture
def displayed(empty_database: str) -> str:
    with closing(connected(empty_database)) as host:
        for statement in DISPLAYED:
            host.execute(statement)
    create_app(Settings(database=empty_database, display_name_column="full_name")).close()
    return empty_database


def test_people_are_found_by_the_words_of_their_display_names(displayed: str) -> None:
    with closing(create_app(Settings(database=displayed))) as app:
        client = Client(app)
        user, staff = client.as_user("u2"), client.as_user("u5")
        assert found(user, "?q=May") == ["u1", "u5"]
        assert found(staff, "?q=May") == ["u1", "u3"]
        assert (found(staff, "?q=Old"), found(user, "?q=Uma"), found(user, "?q=u4")) == (["u2"], [], ["u4"])
        assert found(staff, "?q=Thea Ma") == found(user, "?q=Thea May") == ["u1"]
        assert found(staff, '?q=Uma "th') == ["u2"]
        assert (found(staff, "?q=thea"), found(user, "?q=Uma Old")) == ([], [])
        send(client.as_user("u3"), "u2")
        assert found(user, "?q=May") == ["u1", "u3", "u5"]
        with closing(connected(displayed)) as host:
            host.execute("UPDATE users SET full_name = 'Thea June' WHERE username = 'u1'")
            host.execute("UPDATE users SET role = 'user' WHERE username = 'u5'")
            host.execute("DELETE FROM users WHERE username = 'u6'")
            host.execute("INSERT INTO users VALUES ('u7', 'therapist', 'Ida May')")
        assert found(user, "?q=May") == ["u3", "u7"]
        assert found(user, "?q=June") == ["u1"]
    assert faults(displayed) == []


def test_the_display_name_column_stays_until_another_is_named(displayed: str) -> None:
    for column, expected in (("", ["u1"]), ("username", []), ("", []), ("full_name", ["u1"])):
        with closing(create_app(Settings(database=displayed, display_name_column=column))) as app:
            assert found(Client(app).as_user("u2"), "?q=Thea") == expected
    assert faults(displayed) == []


def test_a_display_name_column_that_users_lacks_stops_the_start(displayed: str) -> None:
    with pytest.raises(MigrationError, match="users has no column nickname"):
        create_app(Settings(database=displayed, display_name_column="nickname"))


@pytest.mark.parametrize("role", ["user", "therapist"])
def test_a_search_among_many_people_costs_what_it_gives(tmp_path: Path, role: str) -> None:
    """Counted in steps of SQLite's virtual machine, which no busy machine changes."""
    steps = []
    for number, people in enumerate((200, 20_000)):
        path = str(tmp_path / f"{number}.db")
        with closing(create_app(Settings(database=path))) as app:
            caller = Client(app).as_user("caller", role)
            with closing(sqlite3.connect(path)) as host, host:
                host.executemany(
                    "INSERT INTO users (username, role) VALUES (?, ?)",
                    ((f"p{n:06}", "user" if n % 5 else "clinician" if n % 10 else "admin") for n in range(people)),
                )
            counted: list[int] = []
            with app.services.database.read() as snapshot:
                snapshot.raw.set_progress_handler(partial(counted.append, 1), 10)  # type: ignore[attr-defined]
            for query in ("?q=p", "?q=p0001", ""):
                assert len(found(caller, query)) >= 10
            steps.append(len(counted))
    assert 0 < steps[1] < 2 * steps[0] + 50
