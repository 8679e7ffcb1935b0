"""Builds the document of an application from its table of routes and the tables of this package."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from msgsvc.errors import ERRORS
from msgsvc.json_http import BODY_LIMIT
from msgsvc.openapi.errors import ACCESS_ERRORS, BODY_ERRORS, EXAMPLES, PARAMETER_ERRORS, SHARED_ERRORS, STORAGE_ERRORS
from msgsvc.openapi.operations import OPERATIONS, TAGS, Operation
from msgsvc.openapi.parameters import EVERY_RESPONSE, HEADERS, PARAMETERS, STATUS_HEADERS
from msgsvc.openapi.parts import Json, ref
from msgsvc.openapi.schemas import SCHEMAS

if TYPE_CHECKING:
    from msgsvc.routes import Route

API_VERSION = "1.0.0"

CONVENTIONS = f"""\
Private one-to-one messages. JSON in, JSON out, in UTF-8; times are UTC in whole seconds.

An error is one sentence for people and a `code` for programs. The checks run in this order: path (404) and method
(405), session (401), role and suspension (403), the request itself (400, 411, 413, 415), what it names (404), what the
caller may do to it (403), a reused key (422), a limit (429). Before any of them the server refuses what is no proper
HTTP (400 `bad_request`, 431 `headers_too_large`), and `internal_error` (500) is a fault of ours.

Request bodies are strict: an unknown field is refused. Answers stay open: a later version may add fields, and codes to
the errors, so a client ignores the fields that it does not know and treats an unknown code by its status. No text may
hold a NUL character.

Every request may carry the header `X-Request-ID`, 1 to 128 of A-Z a-z 0-9 . _ -; the answer and the log lines then
carry the same, and otherwise an id that the service made.

A request that no person caused, such as polling, carries `Msgsvc-Background: 1`; it does not prolong the session, and
neither does the number of unread messages. A call that a browser marks as coming from another site is refused (403
`cross_site`), unless its origin is let in.

Unknown query parameters are ignored. A query parameter that is given twice or left
empty is refused. A body is at most {BODY_LIMIT} bytes long. Every GET answers HEAD as well. Where browser clients of
other origins are let in, OPTIONS answers their preflight, and answers carry the headers of CORS.
"""


def document(table: "list[Route]", *, standalone: bool) -> Json:
    """The document of an application with these routes. An embedded one names no way to log in: that is the host's."""
    paths: dict[str, Json] = {}
    for route in table:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, standalone=standalone)
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a login. `Authorization: TOKEN` without the word Bearer is taken as well.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "msgsvc",
            "version": API_VERSION,
            "description": CONVENTIONS,
            "contact": {"name": "The operators of this service"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": TAGS[name]} for name in dict.fromkeys(map(_tag, table))],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": {
                "Error": {**_error_response(500, ("internal_error",)), "description": "Any other error"},
                **{f"Error{status}": _error_response(status, codes) for status, codes in SHARED_ERRORS.items()},
            },
            "examples": EXAMPLES,
            **({"securitySchemes": {"session": bearer}} if standalone else {}),
        },
    }


def _operation(route: "Route", path: str, *, standalone: bool) -> Json:
    operation = OPERATIONS[f"{_tag(route)}.{route.handler.__name__}"]
    parameters = [
        *re.findall(r"{(\w+)}", path),
        *operation.parameters,
        *(["IfNoneMatch"] if operation.revalidates else []),
    ]
    body: Json = {"required": operation.body_required, "content": _json(ref("schemas", operation.body or ""))}
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": f"Open to {route.access.value}.",
        "tags": [_tag(route)],
        "parameters": [ref("parameters", parameter) for parameter in parameters],
        **({"requestBody": body} if operation.body else {}),
        "responses": _responses(operation, _codes(route, operation, parameters, standalone=standalone)),
        **({"security": [{"session": []}] if route.access.name != "ANYONE" else []} if standalone else {}),
    }


def _tag(route: "Route") -> str:
    """The name of the handler's module."""
    return route.handler.__module__.rpartition(".")[2]


def _codes(route: "Route", operation: Operation, parameters: list[str], *, standalone: bool) -> set[str]:
    """Every error code that the call can answer with."""
    codes = {*operation.errors, *ACCESS_ERRORS[route.access.name]}
    for parameter in parameters:
        codes.update(PARAMETER_ERRORS[PARAMETERS[parameter]["in"]])
    if operation.body:
        codes.update(BODY_ERRORS)
    if not standalone and route.access.name != "ANYONE":
        codes.add("authentication_unavailable")
    if operation.stores:
        codes.update(STORAGE_ERRORS)
    if route.method != "GET" or route.access.name == "ADMIN":
        codes.add("refused_by_host")
    return codes


def _responses(operation: Operation, codes: set[str]) -> Json:
    headers = (*operation.headers, *(("ETag",) if operation.revalidates else ()))
    responses = {str(operation.status): _response(operation.status, headers, operation.answer)}
    if operation.revalidates:
        responses["304"] = _response(304, headers)
    for status in sorted({ERRORS[code][0] for code in codes}):
        of_status = tuple(sorted(code for code in codes if ERRORS[code][0] == status))
        shared = SHARED_ERRORS.get(status) == of_status
        responses[str(status)] = ref("responses", f"Error{status}") if shared else _error_response(status, of_status)
    responses["default"] = ref("responses", "Error")
    return responses


def _response(status: int, headers: tuple[str, ...] = (), answer: str | None = None) -> Json:
    names = (*EVERY_RESPONSE, *STATUS_HEADERS.get(status, ()), *headers)
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: ref("headers", name) for name in names},
        **({"content": _json(ref("schemas", answer), example=SCHEMAS[answer]["examples"][0])} if answer else {}),
    }


def _error_response(status: int, codes: tuple[str, ...]) -> Json:
    """An error whose codes are the names of its examples."""
    examples = {code: ref("examples", code) for code in codes}
    return {**_response(status), "content": _json(ref("schemas", "Error"), examples=examples)}


def _json(schema: Json, **examples: Json) -> Json:
    return {"application/json": {"schema": schema, **examples}}
