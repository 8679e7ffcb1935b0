"""The OpenAPI document agrees with every route, every limit and every response."""

import ast
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unicodedata import is_normalized

import pytest
import schemathesis
from conformance import Description, closed, description
from jsonschema import ValidationError
from openapi_spec_validator import validate
from processes import CHECKOUT
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support import API, PEOPLE, conversation, send
from werkzeug.test import TestResponse

import msgsvc
from msgsvc import Settings, create_app, openapi
from msgsvc.authorization import Access
from msgsvc.errors import ERRORS
from msgsvc.openapi.operations import OPERATIONS
from msgsvc.openapi.parameters import PARAMETERS
from msgsvc.openapi.schemas import SCHEMAS
from msgsvc.routes import Route, routes
from msgsvc.testing import Client, Clock
from msgsvc.visible_text import is_blank, is_readable

ROUTES = routes(API, standalone=True)


def template(route: Route) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)


def calls(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    return client.get("/api/openapi.json").json


# The document itself


def test_anyone_may_read_the_document_and_it_is_valid(client: Client) -> None:
    response = client.get("/api/openapi.json")
    assert response.status_code == 200
    assert response.json["openapi"].startswith("3.1.")
    validate(response.json)


def test_every_route_is_in_the_document_and_the_reverse(document: dict[str, Any]) -> None:
    assert calls(document) == {(route.method, template(route)) for route in ROUTES}
    assert len(calls(document)) == len(ROUTES)


def test_every_description_belongs_to_a_route() -> None:
    handlers = {f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}" for route in ROUTES}
    assert handlers == OPERATIONS.keys()


def test_embedded_document_has_the_prefix_and_no_account_paths() -> None:
    app = create_app(Settings(database=":memory:", prefix="/team/chat"), authenticate=msgsvc.remote_user)
    client = Client(app)
    document = client.get("/api/openapi.json").json
    client.close()
    validate(document)
    assert calls(document) == {(route.method, template(route)) for route in routes("/team/chat", standalone=False)}
    assert "securitySchemes" not in document["components"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_document_requires_a_session_where_the_route_table_does(document: dict[str, Any], route: Route) -> None:
    operation = document["paths"][template(route)][route.method.lower()]
    assert operation["security"] == ([] if route.access is Access.ANYONE else [{"session": []}])
    assert ("403" in operation["responses"]) == (route.access is not Access.ANYONE or "login" in route.path)


def test_every_component_is_used(document: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/(\w+)/([\w-]+)", str(document)))
    # Responses outside any operation (unknown path, errors of the server itself) and the components only they use.
    used |= {("responses", "Error404"), ("responses", "Error405"), ("securitySchemes", "session")}
    used |= {("examples", code) for code in ("bad_request", "headers_too_large", "authentication_unavailable")}
    components = document["components"]
    assert used == {(kind, name) for kind, named in components.items() for name in named}


# Errors


def code_outside_of_the_table() -> Iterator[ast.AST]:
    """Every node of the package but those of ERRORS itself and of the document."""
    for path in Path(msgsvc.__file__).parent.rglob("*.py"):
        if path.parent.name != "openapi":
            for statement in ast.parse(path.read_text(encoding="utf-8")).body:
                if not (isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ERRORS"):
                    yield from ast.walk(statement)


def test_every_error_is_in_the_table_and_has_a_sentence() -> None:
    calls = [node for node in code_outside_of_the_table() if isinstance(node, ast.Call)]
    errors = [node.args for node in calls if ast.unparse(node.func) == "ApiError"]
    named = {code.value: sentence for code, *sentence in errors if isinstance(code, ast.Constant)}
    assert len(named) > 20
    assert named.keys() <= ERRORS.keys()
    assert [code for code, sentence in named.items() if not sentence and not ERRORS[code][1]] == []


def test_api_page_lists_every_error_code() -> None:
    page = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [code for code in ERRORS if f"`{code}`" not in page] == []


def test_every_error_code_of_the_table_is_used() -> None:
    constants = {node.value for node in code_outside_of_the_table() if isinstance(node, ast.Constant)}
    assert ERRORS.keys() - constants == set()


# Examples


def examples(document: dict[str, Any]) -> Iterator[tuple[object, dict[str, Any]]]:
    """Every example with its schema."""
    for schema in document["components"]["schemas"].values():
        yield from ((example, schema) for example in schema.get("examples", []))
    for parameter in document["components"]["parameters"].values():
        yield parameter["example"], parameter["schema"]
    for example in document["components"]["examples"].values():
        yield example["value"], {"$ref": "#/components/schemas/Error"}


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    judge = Description(document)
    for example, schema in examples(document):
        judge.validate(example, schema)


# Limits: the service accepts the documented extreme values and refuses the next value beyond them

QUERIES = [
    (route, name)
    for route in ROUTES
    for name in OPERATIONS[f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}"].parameters
    if PARAMETERS[name]["in"] == "query"
]


UNCOMMON_TEXT = "Plover7-" * 1000
"""Any part of it is a name, a text and, from 8 characters on, a password that nobody tries first."""


def beyond(schema: dict[str, Any]) -> tuple[list[object], list[object]]:
    """The extreme values that a schema allows, and the next values beyond them."""
    if schema.get("type") == "integer":
        return [schema["minimum"], schema["maximum"]], [schema["minimum"] - 1, schema["maximum"] + 1]
    if "maxLength" in schema:
        shortest, longest = schema["minLength"], schema["maxLength"]
        shorter = [UNCOMMON_TEXT[: shortest - 1]] if shortest else []
        return [UNCOMMON_TEXT[:shortest], UNCOMMON_TEXT[:longest]], [UNCOMMON_TEXT[: longest + 1], *shorter]
    if schema.get("type") == "boolean":
        return ["true", "false"], ["1", "True"]
    return list(schema["enum"]), ["nobody"]


@pytest.mark.parametrize(("route", "name"), QUERIES, ids=lambda value: value if isinstance(value, str) else value.path)
def test_a_query_parameter_has_the_limits_of_the_document(people: dict[str, Client], route: Route, name: str) -> None:
    described = PARAMETERS[name]
    allowed, refused = beyond(
        Description({"components": {"schemas": SCHEMAS}, "paths": {}}).resolve(described["schema"])
    )
    path = route.path.replace("<username>", "uma").replace("<a>", "uma").replace("<b>", "thea")
    query = {"reason": "complaint"} if route.path.endswith("<b>") else {}

    def status(value: object) -> int:
        given = {**query, described["name"]: value}
        return people["adam"].open(path, method=route.method, query_string=given).status_code

    success = 204 if route.method == "DELETE" else 200
    assert [status(value) for value in allowed] == [success] * len(allowed)
    assert [status(value) for value in refused] == [400] * len(refused)


@pytest.mark.parametrize(
    ("path", "name"),
    [(f"{API}/inbox", "inbox_limit"), (f"{API}/admin/conversations", "list_limit"), ("/api/users", "list_limit")],
)
def test_a_limit_left_out_is_the_default_of_the_document(people: dict[str, Client], path: str, name: str) -> None:
    assert people["adam"].get(path).json["page_size"] == PARAMETERS[name]["schema"]["default"]


def test_a_history_without_limit_has_the_length_of_the_document(
    people: dict[str, Client], host: sqlite3.Connection
) -> None:
    length = PARAMETERS["history_limit"]["schema"]["default"]
    host.executemany(
        "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('uma', 'adam', ?)",
        [("Hello",)] * (length + 1),
    )
    assert len(conversation(people["adam"], "uma")["messages"]) == length


@pytest.mark.parametrize(("length", "status"), [(1, 201), (255, 201), (256, 400)])
def test_an_idempotency_key_has_the_limits_of_the_document(people: dict[str, Client], length: int, status: int) -> None:
    key, schema = "k" * length, PARAMETERS["IdempotencyKey"]["schema"]
    body = {"recipient": "thea", "content": "Hello"}
    assert people["uma"].post(f"{API}/send", json=body, headers={"Idempotency-Key": key}).status_code == status
    assert bool(re.search(schema["pattern"], key)) == (status == 201)


FIELDS = [
    (f"POST {API}/send", "NewMessage", "recipient", {}, 404),
    (f"POST {API}/send", "NewMessage", "subject", {}, 201),
    (f"POST {API}/send", "NewMessage", "content", {}, 201),
    (f"PATCH {API}/conversation/uma/read", "UpTo", "up_to", {}, 200),
    ("POST /api/auth/login", "Login", "username", {}, 401),
    ("POST /api/auth/login", "Login", "password", {}, 401),
    ("PUT /api/auth/password", "PasswordChange", "current_password", {}, 403),
    ("PUT /api/auth/password", "PasswordChange", "new_password", {}, 403),
    ("POST /api/users", "NewUser", "username", {}, 201),
    ("POST /api/users", "NewUser", "password", {"username": "uma"}, 409),
    ("PATCH /api/users/uma", "UserChange", "password", {}, 200),
]
"""A call, the schema of its body, the field to vary, what else to change, and the status where the field is right."""


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: f"{row[1]}.{row[2]}")
def test_a_field_has_the_limits_of_the_document(
    people: dict[str, Client], row: tuple[str, str, str, dict[str, Any], int]
) -> None:
    call, name, field, rest, status = row
    method, path = call.split()
    schema = SCHEMAS[name]
    allowed, refused = beyond(schema["properties"][field])

    def answer(value: object) -> int:
        body = {**schema["examples"][0], **rest, field: value}
        return people["adam"].open(path, method=method, json=body).status_code

    assert [answer(value) for value in allowed] == [status] * len(allowed)
    assert [answer(value) for value in refused] == [400] * len(refused)


# The check of every response that a test client receives (conftest.py)

LIES: dict[str, Callable[[TestResponse], None]] = {
    "a status that is not documented": lambda response: setattr(response, "status_code", 418),
    "a documented header missing": lambda response: response.headers.remove("ETag"),
    "a common header missing": lambda response: response.headers.remove("X-Request-ID"),
    "a header with another value": lambda response: response.headers.set("Cache-Control", "public"),
    "a header of other responses": lambda response: response.headers.set("Retry-After", "1"),
    "another media type": lambda response: response.headers.set("Content-Type", "text/html"),
    "a field missing": lambda response: response.set_data("{}"),
    "a field too many": lambda response: response.set_data('{"total_unread": 0, "page": 1}'),
    "a field of another type": lambda response: response.set_data('{"total_unread": "0"}'),
    "a body where there is none": lambda response: setattr(response, "status_code", 304),
    "an error of other calls": lambda response: (
        setattr(response, "status_code", 401),
        response.headers.remove("ETag"),
        response.headers.set("WWW-Authenticate", "Bearer"),
        response.set_data('{"error": "No", "code": "wrong_credentials"}'),
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_undocumented_response_fails_its_test(client: Client, lie: Callable[[TestResponse], None]) -> None:
    response = client.as_user("uma").get(f"{API}/unread")
    judge = description(client.app.services.openapi)
    judge.judge(response)
    lie(response)
    with pytest.raises((AssertionError, ValidationError)):
        judge.judge(response)


@pytest.mark.parametrize("status", [200, 401, 404])
def test_undocumented_path_must_be_404(client: Client, status: int) -> None:
    response = client.get("/api/elsewhere")
    response.status_code = status
    with nullcontext() if status == 404 else pytest.raises(AssertionError):
        description(client.app.services.openapi).judge(response)


def test_every_test_client_is_checked_against_the_document(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[TestResponse] = []
    monkeypatch.setattr(Description, "judge", lambda _, response: judged.append(response))
    received = [client.get("/healthz"), client.as_user("uma").get(f"{API}/unread")]
    assert judged == received


# Schemathesis: requests generated from the document and sent to the service


class Service:
    """Calls the current test's application. ADMIN stands for a new session each time, since some cases end theirs."""

    client: Client
    ADMIN = "Bearer in-place-of-an-admins-session"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_AUTHORIZATION") == self.ADMIN:
            environ.update(self.client.as_user("adam", "admin").identity)
        return self.client.app(environ, start_response)


service = Service()
described = schemathesis.openapi.from_dict(closed(openapi.document(ROUTES, standalone=True)))
described.app = service
described.config.generation.update(deterministic=True, max_examples=12, allow_x00=False)


@described.auth()
class AsAdmin:
    def get(self, _case: schemathesis.Case, _context: schemathesis.AuthContext) -> str:
        return Service.ADMIN

    def set(self, case: schemathesis.Case, data: str, _context: schemathesis.AuthContext) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}


@pytest.fixture(scope="module")
def examples_that_exist() -> Iterator[None]:
    """The people, the message and the password that the examples of the document name."""
    service.client = Client(clock=Clock())
    people = {name: service.client.as_user(name, role) for name, role in PEOPLE.items()}
    for _ in range(PARAMETERS["message_id"]["example"]):
        send(people["thea"], "adam")
    password = {"password": SCHEMAS["Login"]["examples"][0]["password"]}
    for name in ("uma", "adam"):
        assert service.client.as_user("adam", "admin").patch(f"/api/users/{name}", json=password).status_code == 200
    yield
    service.client.close()


BEYOND_SCHEMAS = {"self_block", "self_conversation", "self_message", "staff_not_blockable", "idempotency_key_reused"}
"""Refusals that a schema cannot express: rules about two values at once, or about stored data."""


def is_beyond_schemas(case: schemathesis.Case, code: str) -> bool:
    """Whether the code may refuse what is valid by the document; 42.0 is an integer to JSON Schema."""
    body = case.body if isinstance(case.body, dict) else {}
    both_directions = {"before", "after"} <= set(case.query or ())
    fraction = isinstance(body.get("up_to"), float)
    username, content = str(body.get("username", "x")), str(body.get("content", "x"))
    unreadable = not is_readable(username) or not is_normalized("NFC", username) or is_blank(content)
    easy_password = code in ("invalid_field", "missing_field") and not {"password", "new_password"}.isdisjoint(body)
    without_password = "must_change_password" in body
    return code in BEYOND_SCHEMAS or both_directions or fraction or unreadable or easy_password or without_password


@pytest.mark.slow
@pytest.mark.usefixtures("examples_that_exist")
@described.parametrize()
def test_schemathesis_finds_no_difference_between_document_and_service(case: schemathesis.Case) -> None:
    response = case.call()
    refused = response.status_code >= 400 and case.method != "HEAD"
    beyond_schemas = refused and is_beyond_schemas(case, response.json()["code"])
    case.validate_response(response, excluded_checks=[positive_data_acceptance] if beyond_schemas else [])
