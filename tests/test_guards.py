"""Conventions of the code: routes, imports, SQL, and what the README must name."""

import argparse
import ast
import dataclasses
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import msgsvc
from msgsvc import Settings
from msgsvc import routes as routes_module
from msgsvc.authorization import Access
from msgsvc.cli.parser import build_parser
from msgsvc.routes import Lane, Route, routes
from msgsvc.storage.sql_files import load_statements, sql_directory
from msgsvc.storage.sqlite.migrations import migrate
from msgsvc.testing import Client

PACKAGE = Path(msgsvc.__file__).parent
README = PACKAGE.parent / "README.md"
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
STATEMENTS = load_statements("sqlite")
SQL_FILES = sorted(sql_directory("sqlite").rglob("*.sql"))
ROUTES = routes("/api/messages", standalone=True)

# Routes


def shown_path(route: Route) -> str:
    """The path as documents write it: ``/api/messages/<id>/read``."""
    return re.sub(r"<(\w+):\w+>", r"<\1>", route.path)


def route_id(route: Route) -> str:
    return f"{route.method} {shown_path(route)}"


def test_route_must_name_who_may_call_it() -> None:
    assert Route._field_defaults == {}
    with pytest.raises(TypeError):
        Route("GET", "/open", msgsvc.remote_user)


def test_every_declared_route_is_in_the_table() -> None:
    tree = TREES[Path(routes_module.__file__)]
    written = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Route"]
    assert len(written) == len(ROUTES)


def test_only_listed_calls_are_public() -> None:
    calls = {route_id(route) for route in ROUTES if route.access is Access.ANYONE}
    assert calls - {"GET /api/openapi.json"} == {"GET /healthz", "POST /api/auth/login"}


def test_embedded_application_has_no_account_routes() -> None:
    embedded = routes("/chat", standalone=False)
    assert [route.path for route in embedded if not route.path.startswith(("/chat/", "/healthz", "/api/openapi"))] == []


@pytest.mark.parametrize("route", ROUTES, ids=route_id)
def test_every_route_says_who_may_call_it_and_its_handler_is_documented(route: Route) -> None:
    assert isinstance(route.access, Access)
    assert isinstance(route.lane, Lane)
    assert (route.handler.__doc__ or "").startswith(f"{route_id(route)}: ")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.access is not Access.ANYONE], ids=route_id)
def test_calls_require_a_session_and_the_role_of_the_route(client: Client, route: Route) -> None:
    path = re.sub(r"<[^>]+>", "1", route.path)
    assert client.open(path, method=route.method).status_code == 401
    if route.access is Access.ADMIN:
        for role in ("therapist", "clinician", "user"):
            assert client.as_user(role, role).open(path, method=route.method).status_code == 403


# Imports

LAYERS = [
    ["msgsvc.__main__", "msgsvc.pytest_plugin"],
    ["msgsvc.cli"],
    ["msgsvc.serving", "msgsvc.testing", "msgsvc.flask", "msgsvc.django", "msgsvc"],
    ["msgsvc.app"],
    ["msgsvc.page"],
    ["msgsvc.middleware", "msgsvc.cors"],
    ["msgsvc.routes", "msgsvc.openapi"],
    ["msgsvc.handlers"],
    [
        "msgsvc.accounts",
        "msgsvc.request",
        "msgsvc.authorization",
        "msgsvc.sessions",
        "msgsvc.audit",
        "msgsvc.shapes",
        "msgsvc.logins",
    ],
    ["msgsvc.storage.engines"],
    ["msgsvc.storage.sqlite", "msgsvc.storage.postgresql"],
    ["msgsvc.storage"],
    ["msgsvc.json_http", "msgsvc.tokens", "msgsvc.fields", "msgsvc.passwords", "msgsvc.client_address"],
    ["msgsvc.errors", "msgsvc.roles", "msgsvc.times", "msgsvc.settings", "msgsvc.logs", "msgsvc.visible_text"],
]
"""From top to bottom: a module or package imports only from its own layer or from those below."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported when the program runs, anywhere in the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & MODULES.keys()
            yield from modules
            if len(modules) < len(inner):
                yield str(node.module)
        else:
            yield from imported_names(node)


MODULES: dict[str, ast.AST] = {module_name(path): tree for path, tree in TREES.items()}
IMPORTS = {name: set(imported_names(tree)) for name, tree in MODULES.items()}


def layer(module: str) -> int:
    """The layer that names the module, or else the package it is in."""
    while True:
        for number, modules in enumerate(LAYERS):
            if module in modules:
                return number
        module = module.rpartition(".")[0]
        assert module != "msgsvc", "name the module in LAYERS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    upward = {name for name in IMPORTS[module] & MODULES.keys() if layer(name) < layer(module)}
    assert upward == set()


def test_imports_make_no_circle() -> None:
    own = {module: names & MODULES.keys() for module, names in IMPORTS.items()}
    assert list(TopologicalSorter(own).static_order())


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("msgsvc.handlers.")])
def test_handlers_import_neither_each_other_nor_sqlite3(module: str) -> None:
    assert {name for name in IMPORTS[module] if name.startswith(("msgsvc.handlers", "sqlite3"))} == set()


def test_only_the_sqlite_engine_imports_sqlite3() -> None:
    importing = {module for module, names in IMPORTS.items() if "sqlite3" in names}
    assert importing
    assert {module for module in importing if not module.startswith("msgsvc.storage.sqlite.")} == set()


ENGINES = ("msgsvc.storage.sqlite", "msgsvc.storage.postgresql")


def test_engines_do_not_import_each_other() -> None:
    for engine, other in (ENGINES, ENGINES[::-1]):
        modules = [module for module in IMPORTS if module.startswith(engine)]
        assert modules
        assert [module for module in modules for name in IMPORTS[module] if name.startswith(other)] == []


def test_only_the_postgresql_engine_imports_psycopg() -> None:
    importing = {module for module, names in IMPORTS.items() if any(name.startswith("psycopg") for name in names)}
    assert importing
    assert {module for module in importing if not module.startswith("msgsvc.storage.postgresql.")} == set()


def test_only_the_engines_module_imports_an_engine() -> None:
    importing = {
        module
        for module, names in IMPORTS.items()
        if any(name.startswith(ENGINES) for name in names) and not module.startswith(ENGINES)
    }
    assert importing == {"msgsvc.storage.engines"}


def test_only_the_waitress_adapter_imports_waitress() -> None:
    using = {module for module, names in IMPORTS.items() if any(name.startswith("waitress") for name in names)}
    assert {module.rpartition(".")[0] for module in using} == {"msgsvc.serving.waitress_adapter"}


def test_nothing_is_imported_but_the_standard_library_werkzeug_and_waitress() -> None:
    """Besides the PostgreSQL engine, the plugin and the modules for a framework: what they need is optional."""
    engine = {module for module in IMPORTS if module.startswith("msgsvc.storage.postgresql.")}
    optional = {"msgsvc.flask", "msgsvc.django", "msgsvc.pytest_plugin"}
    imports = {name for module, names in IMPORTS.items() for name in names if module not in optional | engine}
    assert not optional & imports
    tops = {name.partition(".")[0] for name in imports}
    assert tops - sys.stdlib_module_names <= {"msgsvc", "werkzeug", "waitress"}


# Statements


def used_names(tree: ast.AST) -> Iterator[str]:
    """The statement names that are given to a connection as string constants."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("all", "first", "one", "each", "run", "enqueue")
            and node.args
        ):
            constants = (part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant))
            yield from (value for value in constants if isinstance(value, str))


def test_every_statement_is_used_and_every_used_name_exists() -> None:
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    constants = {node.value for node in nodes if isinstance(node, ast.Constant)}
    assert {name for tree in TREES.values() for name in used_names(tree)} <= STATEMENTS.keys() <= constants


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_named_verb_first_and_says_its_rule(name: str) -> None:
    assert re.match(r"(select|insert|update|upsert|delete|count)_", name)
    assert re.match(r"-- [A-Z].*\.\n", STATEMENTS[name])


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_parameter_of_a_statement_has_a_name(name: str) -> None:
    code = re.sub(r"--.*|'[^']*'", "", STATEMENTS[name])
    assert not re.search(r"[?@$]", code)
    assert code.strip().endswith(";")
    assert sqlite3.complete_statement(code)
    assert code.count(";") == 1


def test_columns_are_always_named() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in SQL_FILES}
    for path, tree in TREES.items():
        constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        texts[path.name] = "\n".join(value for value in constants if isinstance(value, str))
    star = re.compile(r"\b(select|returning)\s+(distinct\s+)?(\w+\.)?\*|,\s*\w+\.\*", re.IGNORECASE)
    assert [name for name, text in texts.items() if star.search(text)] == []


# Plans

WHERE_READING_ALL_IS_RIGHT = {
    "select_users": (r"SCAN u\b", "pages over all accounts, in the order of an index"),
    "count_users": (r"SCAN users\b", "counts all accounts for the page beside it"),
    "count_other_active_admins": (r"SCAN u\b", "a host's users need no index on role; asked once for a change of role"),
    "select_all_conversations": (r"SCAN c USING", "pages over the conversations of all, in the order of an index"),
    "select_all_conversations_by_username": (r"USE TEMP", "sorts what the partners of one person see alone"),
    "select_longer_sessions": (r"SCAN msgsvc_sessions", "asked once at each start"),
    "update_longer_sessions": (r"SCAN msgsvc_sessions", "only at a start with shorter limits than before"),
    "select_conversation_faults": (r"", "the check recounts everything"),
    "select_mailbox_faults": (r"", "the check recounts everything"),
}
"""Plan lines (by their beginning) that may scan or sort, and why. Each entry must be needed."""

HARMLESS = ("SCAN CONSTANT ROW", "SCAN (subquery", "SCAN CTE", "SCAN json_each")


class AnyParameters(dict[str, object]):
    """Gives a value for any parameter of a statement."""

    def __missing__(self, name: str) -> object:
        return 20 if name in ("limit", "offset", "before", "after", "id", "up_to", "cap") else "u1"


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", AnyParameters())]


def scans(plan_lines: list[str]) -> list[str]:
    return [line for line in plan_lines if ("SCAN" in line or "TEMP B-TREE" in line) and not line.startswith(HARMLESS)]


def seed(path: str, messages: int) -> None:
    """Many short conversations between many people, and a long one between u1 and u2.

    u1 has hidden all of the long one but its beginning and its end.
    """
    rows = []
    for number in range(messages):
        one, other = number % 53, (number + number // 53 % 20 + 1) % 53
        pair = ("u1", "u2") if number % 2 else (f"u{one + 3}", f"u{other + 3}")
        sender, recipient = pair if number % 3 else pair[::-1]
        is_hidden = 100 < number < messages - 1
        rows.append((sender, recipient, number % 5 > 0, is_hidden and sender == "u1", is_hidden and recipient == "u1"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO users (username, role) VALUES (?, 'therapist')", [(f"u{number}",) for number in range(1, 61)]
        )
        connection.executemany(
            "INSERT INTO messages (sender_username, recipient_username, content, is_read, is_deleted_by_sender,"
            " is_deleted_by_recipient) VALUES (?, ?, 'Hello', ?, ?, ?)",
            [*rows, ("u1", "u2", 0, 0, 0)],
        )


@pytest.fixture(scope="module", params=[False, True], ids=["never-analyzed", "analyzed"])
def short_and_long(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Databases with 400 and 4,000 messages, before and after ANALYZE."""
    connections = []
    for messages in (400, 4000):
        path = str(tmp_path_factory.mktemp("plans") / "messages.db")
        migrate(path)
        seed(path, messages)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        if request.param:
            connection.execute("ANALYZE")
        connections.append(connection)
    yield connections[0], connections[1]
    for connection in connections:
        connection.close()


@pytest.fixture(scope="module")
def planner(short_and_long: tuple[sqlite3.Connection, sqlite3.Connection]) -> sqlite3.Connection:
    return short_and_long[1]


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_uses_an_index_and_sorts_nothing(planner: sqlite3.Connection, name: str) -> None:
    lines = plan(planner, STATEMENTS[name])
    reads_all = scans(lines)
    if name in WHERE_READING_ALL_IS_RIGHT:
        allowed, _reason = WHERE_READING_ALL_IS_RIGHT[name]
        assert reads_all, "needs no exception any more"
        reads_all = [line for line in reads_all if not re.match(allowed, line)]
    assert reads_all == [], lines


def trigger_statements(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each statement inside a trigger, with parameters in place of NEW and OLD."""
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall():
        body = sql[re.search(r"\bBEGIN\b", sql).end() : sql.rindex("END")]
        for statement in filter(str.strip, body.split(";")):
            if "raise(" not in statement:
                yield name, re.sub(r"\b(new|old)\.(\w+)", r":\1_\2", statement)


def test_every_statement_inside_a_trigger_uses_an_index(planner: sqlite3.Connection) -> None:
    found = list(trigger_statements(planner))
    assert len(found) > 10
    assert [(name, line) for name, statement in found for line in scans(plan(planner, statement))] == []


HOT_CALLS = [
    ("insert_message", {"sender": "u1", "recipient": "u2", "content": "Hello", "subject": None}),
    ("update_message_read", {"caller": "u2", "id": "newest"}),
    ("update_message_read_again", {"caller": "u2", "id": "newest"}),
    ("update_message_hidden", {"caller": "u1", "id": "newest"}),
    ("update_message_hidden", {"caller": "u2", "id": "newest"}),
    ("select_people_by_word", {"role": "therapist", "sender": "u1", "prefix": "u", "a_block_counts": 1, "limit": 20}),
    ("select_mailbox", {"caller": "u1"}),
    ("select_inbox", {"caller": "u1", "limit": 10, "offset": 0}),
    ("select_unread_inbox", {"caller": "u1", "limit": 10, "offset": 0}),
    ("select_messages_up_to", {"caller": "u1", "partner": "u2", "up_to": 2**62, "limit": 20}),
    ("select_messages_after", {"caller": "u1", "partner": "u2", "after": 90, "limit": 20}),
    ("select_sending_facts", {"sender": "u1", "recipient": "u2"}),
    ("select_message_access", {"caller": "u2", "id": "newest"}),
]


def work(connection: sqlite3.Connection, statement: str, parameters: dict[str, object]) -> int:
    """The number of SQLite virtual machine steps of the statement and its triggers, rolled back afterwards."""
    (newest,) = connection.execute("SELECT max(id) FROM messages").fetchone()
    given = AnyParameters({name: newest if value == "newest" else value for name, value in parameters.items()})
    steps: list[int] = []
    connection.set_progress_handler(lambda: steps.append(1), 1)
    connection.execute("BEGIN")
    connection.execute(statement, given).fetchall()
    connection.execute("ROLLBACK")
    connection.set_progress_handler(None, 1)
    return len(steps)


@pytest.mark.parametrize(("name", "parameters"), HOT_CALLS, ids=[name for name, _ in HOT_CALLS])
def test_the_work_of_a_hot_call_does_not_grow_with_the_history(
    short_and_long: tuple[sqlite3.Connection, sqlite3.Connection], name: str, parameters: dict[str, object]
) -> None:
    short, long = (work(connection, STATEMENTS[name], parameters) for connection in short_and_long)
    assert 0 < long < 1.2 * short + 50


# README


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield words
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, (*words, name))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_the_readme_names_every_setting_with_its_default(field: str) -> None:
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if f"`MSGSVC_{field.upper()}`" in line]
    assert rows, field
    value = getattr(Settings(), field)
    default = "false" if value is False else value
    assert any(f"| `{default}` |" in row or (not default and "| none |" in row) for row in rows)


def test_the_readme_names_no_setting_that_does_not_exist() -> None:
    named = set(re.findall(r"MSGSVC_[A-Z_]*[A-Z]", README.read_text(encoding="utf-8")))
    assert named == {f"MSGSVC_{field.name.upper()}" for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize("route", ROUTES, ids=route_id)
def test_the_readme_names_every_route(route: Route) -> None:
    text = README.read_text(encoding="utf-8")
    assert re.search(rf"\b{route.method}\b[^\n]*{re.escape(shown_path(route))}(?![\w/<])", text)


@pytest.mark.parametrize("words", list(commands(build_parser())), ids=" ".join)
def test_the_readme_names_every_command(words: tuple[str, ...]) -> None:
    assert re.search(rf"msgsvc {' '.join(words)}\b", README.read_text(encoding="utf-8"))
