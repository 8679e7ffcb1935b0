"""The OpenAPI 3.1 document: what every call takes and answers. Built once for an application, from its table of routes.

``OPERATIONS`` has a line for every handler; what follows from the table (path, session, role) is not said again there.
"""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from msgsvc import fields
from msgsvc.errors import ERRORS
from msgsvc.json_http import BODY_LIMIT
from msgsvc.roles import ROLES

if TYPE_CHECKING:
    from msgsvc.routes import Route

Json = dict[str, Any]

API_VERSION = "1.0.0"

CONVENTIONS = f"""\
Private one-to-one messages. JSON in, JSON out, in UTF-8; times are UTC in whole seconds.

An error is one sentence for people and a `code` for programs. The checks run in this order: path (404) and method
(405), session (401), role and suspension (403), the request itself (400, 413, 415), what it names (404), what the
caller may do to it (403), a reused key (422), a limit (429). Before any of them the server refuses what is no proper
HTTP (400 `bad_request`, 431 `headers_too_large`), and `internal_error` (500) is a fault of ours.

Unknown body fields are refused; unknown query parameters are ignored. A query parameter that is given twice or left
empty is refused. A body is at most {BODY_LIMIT} bytes long. Every GET answers HEAD as well. Where browser clients of
other origins are let in, OPTIONS answers their preflight, and answers carry the headers of CORS.
"""

SENTENCES = {
    "invalid_field": f"content must have 1 to {fields.CONTENT_LIMIT} characters, not 5001",
    "invalid_header": "Idempotency-Key must have 1 to 255 visible ASCII characters",
    "invalid_json": "The body must be a JSON object",
    "invalid_parameter": "limit must be a whole number from 10 to 50",
    "missing_field": f"content is required: 1 to {fields.CONTENT_LIMIT} characters",
    "unknown_field": "Unknown field 'colour': known are recipient, subject, content",
    "method_not_allowed": "This path knows only GET, HEAD",
    "body_too_large": f"The body is longer than {BODY_LIMIT} bytes",
    "too_many_messages": "At most 60 messages a minute may be sent",
    "headers_too_large": "The headers are longer than 16384 bytes",
}
"""An example for each code that has no usual sentence."""

STORAGE_ERRORS = ("storage_busy", "storage_full", "storage_unavailable")
BODY_ERRORS = ("invalid_body", "invalid_json", "unknown_field", "body_too_large", "unsupported_media_type")
WHO_ERRORS: dict[str, tuple[str, ...]] = {
    "ANYONE": (),
    "MEMBER": ("unauthorized", "account_suspended"),
    "ADMIN": ("unauthorized", "account_suspended", "admin_only"),
}
PARAMETER_ERRORS = {"path": ("not_found",), "query": ("invalid_parameter",), "header": ()}
SHARED_ERRORS: dict[int, tuple[str, ...]] = {
    401: ("unauthorized",),
    403: ("account_suspended",),
    404: ("not_found",),
    405: ("method_not_allowed",),
    413: ("body_too_large",),
    415: ("unsupported_media_type",),
    503: STORAGE_ERRORS,
}
"""The error responses that calls share; the others are written out where they belong.

404 is also the answer of every other path, and 405 that of every other method.
"""


# Schemas


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(properties: Json, *, example: Json | None = None, optional: tuple[str, ...] = ()) -> Json:
    """An object with these fields and no others, required unless optional."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        "examples": [{} if example is None else example],
    }


def _text(limit: int, minimum: int = 1, **more: Any) -> Json:
    """What ``fields.text`` takes."""
    return {"type": "string", "minLength": minimum, "maxLength": limit, "pattern": r"^[^\u0000]*$", **more}


def _integer(minimum: int, maximum: int | None = None, **more: Any) -> Json:
    return {"type": "integer", "minimum": minimum, **({} if maximum is None else {"maximum": maximum}), **more}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_NOT_ONLY_BLANKS = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"
_TIME: Json = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_TIME_OR_NULL: Json = {**_TIME, "type": ["string", "null"]}
_FOUND_TIME: Json = {**_TIME_OR_NULL, "description": "null where a host stored no readable time"}
_COUNT = _integer(0)
_ID = _integer(1, fields.HIGHEST_ID)
_ROW_ID: Json = {"type": "integer"}
_NAME: Json = {"type": "string"}
_STRING_OR_NULL: Json = {"type": ["string", "null"]}
_FLAG: Json = {"type": "boolean"}
_FOUND_ROLE: Json = {"type": "string", "description": "a host's accounts may have roles beyond the four"}

_CONTENT: Json = {"pattern": _NOT_ONLY_BLANKS, "description": "counted in Unicode code points; not only blanks"}
_NEW_NAME = _text(
    fields.NEW_NAME_LIMIT,
    pattern=r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u00a0]*$",
    format="printable",
    description="printable characters without '/'; neither '.' nor '..'",
)
_NEW_PASSWORD = _text(fields.PASSWORD_LIMIT, fields.PASSWORD_MINIMUM, format="password")
_PASSWORD = _text(fields.PASSWORD_LIMIT, format="password")

_AT = "2026-02-05T10:30:45Z"
_MESSAGE: Json = {
    "id": 42,
    "sender": "thea",
    "recipient": "uma",
    "content": "How are you feeling today?",
    "subject": None,
    "is_read": True,
    "read_at": "2026-02-05T10:31:00Z",
    "sent_at": _AT,
}
_USER: Json = {"username": "uma", "role": "user", "suspended": False}

SCHEMAS: Json = {
    "Error": {
        **_object(
            {"error": {"type": "string", "minLength": 1}, "code": {"type": "string", "enum": list(ERRORS)}},
            example={"error": "A valid session is required", "code": "unauthorized"},
        ),
        "description": "One plain sentence for people, and a code for programs.",
    },
    "Role": {"type": "string", "enum": list(ROLES)},
    "NoFields": {**_object({}), "description": "There is nothing to say; the body may be left out."},
    "NewMessage": _object(
        {
            "recipient": _text(fields.NAME_LIMIT),
            "subject": _text(fields.SUBJECT_LIMIT, 0, type=["string", "null"], description="empty is the same as null"),
            "content": _text(fields.CONTENT_LIMIT, **_CONTENT),
        },
        optional=("subject",),
        example={"recipient": "uma", "subject": "Check-in", "content": "How are you feeling today?"},
    ),
    "Sent": {
        **_object(
            {"message_id": _ROW_ID, "sent_at": _TIME, "status": {"const": "sent"}},
            example={"message_id": 42, "sent_at": _AT, "status": "sent"},
        ),
        "additionalProperties": True,
    },
    "Message": _object(
        {
            "id": _ROW_ID,
            "sender": _NAME,
            "recipient": _NAME,
            "content": {"type": "string"},
            "subject": _STRING_OR_NULL,
            "is_read": _FLAG,
            "read_at": _TIME_OR_NULL,
            "sent_at": _FOUND_TIME,
        },
        example=_MESSAGE,
    ),
    "Inbox": _object(
        {
            "conversations": _list(
                _object(
                    {
                        "with_user": _NAME,
                        "last_message": {"type": "string", "maxLength": 100},
                        "last_message_time": _FOUND_TIME,
                        "unread_count": _COUNT,
                        "is_latest_from_them": _FLAG,
                    },
                    example={
                        "with_user": "thea",
                        "last_message": "How are you feeling today?",
                        "last_message_time": _AT,
                        "unread_count": 3,
                        "is_latest_from_them": True,
                    },
                )
            ),
            "total_unread": {**_COUNT, "description": "over the whole inbox"},
            "page": _integer(1),
            "page_size": _integer(1),
            "total_conversations": {**_COUNT, "description": "follows the filter"},
        },
        example={"conversations": [], "total_unread": 0, "page": 1, "page_size": 20, "total_conversations": 0},
    ),
    "Unread": _object({"total_unread": _COUNT}, example={"total_unread": 3}),
    "Conversation": _object(
        {
            "messages": {**_list(_ref("schemas", "Message")), "description": "oldest first"},
            "participant_count": {"const": 2},
            "has_more": {**_FLAG, "description": "whether older messages remain; with `after`, newer ones"},
            "can_reply": {**_FLAG, "description": "whether the caller may write to that user now"},
        },
        example={"messages": [_MESSAGE], "participant_count": 2, "has_more": False, "can_reply": True},
    ),
    "UpTo": _object(
        {"up_to": {**_ID, "description": "the id of the last message to mark; all without it"}},
        optional=("up_to",),
        example={"up_to": 42},
    ),
    "Marked": _object({"with_user": _NAME, "marked": _COUNT}, example={"with_user": "thea", "marked": 3}),
    "ReadReceipt": _object(
        {"message_id": _ROW_ID, "is_read": {"const": True}, "read_at": _FOUND_TIME},
        example={"message_id": 42, "is_read": True, "read_at": _AT},
    ),
    "Recipients": _object(
        {
            "recipients": _list(
                _object(
                    {"username": _NAME, "role": _ref("schemas", "Role")},
                    example={"username": "thea", "role": "therapist"},
                )
            )
        },
        example={"recipients": [{"username": "thea", "role": "therapist"}]},
    ),
    "Blocks": _object(
        {
            "blocks": _list(
                _object({"username": _NAME, "blocked_at": _TIME}, example={"username": "ugo", "blocked_at": _AT})
            )
        },
        example={"blocks": [{"username": "ugo", "blocked_at": _AT}]},
    ),
    "MonitoredConversations": _object(
        {
            "conversations": _list(
                _object(
                    {"participants": _list(_NAME), "last_message_time": _FOUND_TIME},
                    example={"participants": ["thea", "uma"], "last_message_time": _AT},
                )
            ),
            "page": _integer(1),
            "page_size": _integer(1),
            "has_more": _FLAG,
        },
        example={
            "conversations": [{"participants": ["thea", "uma"], "last_message_time": _AT}],
            "page": 1,
            "page_size": 20,
            "has_more": False,
        },
    ),
    "MonitoredConversation": _object(
        {"messages": _list(_ref("schemas", "Message")), "participants": _list(_NAME), "has_more": _FLAG},
        example={"messages": [_MESSAGE], "participants": ["thea", "uma"], "has_more": False},
    ),
    "Audit": _object(
        {
            "audit": _list(
                _object(
                    {
                        "id": _ROW_ID,
                        "actor": _NAME,
                        "action": {"type": "string"},
                        "subject": _STRING_OR_NULL,
                        "reason": _STRING_OR_NULL,
                        "request_id": _STRING_OR_NULL,
                        "at": _TIME,
                    },
                    example={
                        "id": 7,
                        "actor": "adam",
                        "action": "conversation_viewed",
                        "subject": "thea and uma",
                        "reason": "complaint of 3 February",
                        "request_id": "5f2c9c6ab0c84a1c",
                        "at": _AT,
                    },
                )
            ),
            "has_more": _FLAG,
        },
        example={"audit": [], "has_more": False},
    ),
    "Health": _object({"status": {"const": "ok"}}, example={"status": "ok"}),
    "OpenAPI": {"type": "object", "required": ["openapi", "info", "paths"], "description": "this document"},
    "Login": _object(
        {"username": _text(fields.NAME_LIMIT), "password": _PASSWORD},
        example={"username": "uma", "password": "correct horse battery"},
    ),
    "LoggedIn": _object(
        {
            "token": {"type": "string", "minLength": 1},
            "token_type": {"const": "Bearer"},
            "expires_at": _TIME,
            "username": _NAME,
            "role": _FOUND_ROLE,
        },
        example={
            "token": "bTfvXNJpMkY2oZ1qPzR4c8dWgUe0aHsL6tKiV3nBxQ5",
            "token_type": "Bearer",
            "expires_at": "2026-02-05T22:30:45Z",
            "username": "uma",
            "role": "user",
        },
    ),
    "Session": _object(
        {"username": _NAME, "role": _FOUND_ROLE, "expires_at": _TIME},
        example={"username": "uma", "role": "user", "expires_at": "2026-02-05T22:30:45Z"},
    ),
    "PasswordChange": _object(
        {"current_password": _PASSWORD, "new_password": _NEW_PASSWORD},
        example={"current_password": "correct horse battery", "new_password": "staple of seven lamps"},
    ),
    "User": _object({"username": _NAME, "role": _FOUND_ROLE, "suspended": _FLAG}, example=_USER),
    "Users": _object(
        {
            "users": _list(_ref("schemas", "User")),
            "page": _integer(1),
            "page_size": _integer(1),
            "total_users": {**_COUNT, "description": "follows the filter"},
        },
        example={"users": [_USER], "page": 1, "page_size": 20, "total_users": 1},
    ),
    "NewUser": _object(
        {"username": _NEW_NAME, "role": _ref("schemas", "Role"), "password": _NEW_PASSWORD},
        example={"username": "clara", "role": "clinician", "password": "correct horse battery"},
    ),
    "UserChange": {
        **_object(
            {"role": _ref("schemas", "Role"), "suspended": _FLAG, "password": _NEW_PASSWORD},
            optional=("role", "suspended", "password"),
            example={"suspended": True},
        ),
        "minProperties": 1,
    },
}


# Parameters and headers


def _parameter(where: str, name: str, schema: Json, example: object, description: str = "") -> Json:
    return {
        "name": name,
        "in": where,
        "schema": schema,
        "example": example,
        **({"required": True} if where == "path" else {}),
        **({"description": description} if description else {}),
    }


def _in_path(name: str, description: str = "compared exactly") -> Json:
    return _parameter("path", name, _text(fields.NAME_LIMIT, pattern=r"^[^/\u0000]+$"), "uma", description)


def _limit(highest: int, default: int, lowest: int = 1) -> Json:
    return _parameter("query", "limit", _integer(lowest, highest, default=default), default)


PARAMETERS: Json = {
    "username": _in_path("username"),
    "a": _in_path("a", "one of the two participants"),
    "b": {**_in_path("b", "the other"), "example": "thea"},
    "message_id": _parameter("path", "message_id", _ID, 42, "in plain digits; anything else is no such path"),
    "page": _parameter("query", "page", _integer(1, fields.HIGHEST_PAGE, default=1), 1, "a page past the end is empty"),
    "inbox_limit": _limit(50, 20, lowest=10),
    "history_limit": _limit(200, 50),
    "list_limit": _limit(100, 20),
    "unread_only": _parameter("query", "unread_only", {**_FLAG, "default": False}, False),
    "before": _parameter("query", "before", _integer(0, fields.HIGHEST_ID), 42, "only what has a lower id"),
    "after": _parameter(
        "query", "after", _integer(0, fields.HIGHEST_ID), 42, "only what has a higher id; not together with before"
    ),
    "q": _parameter("query", "q", _text(fields.NAME_LIMIT), "th", "how the name begins"),
    "with_username": _parameter("query", "username", _text(fields.NAME_LIMIT), "uma", "only conversations of this one"),
    "role": _parameter("query", "role", _ref("schemas", "Role"), "user"),
    "reason": {
        **_parameter(
            "query", "reason", _text(fields.REASON_LIMIT, pattern=_NOT_ONLY_BLANKS), "complaint of 3 February"
        ),
        "required": True,
        "description": "why the admin looks; kept in the audit",
    },
    "IdempotencyKey": _parameter(
        "header",
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "6f1c2f0e-check-in",
        "the same sender, key and body within 24 hours get the first answer again, and nothing is stored",
    ),
    "IfNoneMatch": _parameter(
        "header", "If-None-Match", {"type": "string"}, '"0123abcd"', "the ETag of an earlier answer"
    ),
    "RequestId": _parameter(
        "header",
        "X-Request-ID",
        {"type": "string"},
        "5f2c9c6ab0c84a1c",
        "kept when it is 1 to 128 of A-Z a-z 0-9 . _ -, replaced otherwise",
    ),
}


def _header(schema: Json, description: str, *, required: bool = True) -> Json:
    return {"schema": {"type": "string", **schema}, "description": description, "required": required}


HEADERS: Json = {
    "X-Request-ID": _header({"pattern": "^[A-Za-z0-9._-]{1,128}$"}, "the id of this request in the logs"),
    "Cache-Control": _header({"const": "no-store"}, "messages belong in no cache"),
    "X-Content-Type-Options": _header({"const": "nosniff"}, "the answer is what its Content-Type says"),
    "ETag": _header({"pattern": '^"[0-9a-f]+"$'}, "changes with the answer; send it back as If-None-Match"),
    "Idempotency-Replayed": _header({"const": "true"}, "this is the answer to an earlier request", required=False),
    "Retry-After": _header({"pattern": "^[1-9][0-9]*$"}, "seconds to wait"),
    "WWW-Authenticate": _header({"const": "Bearer"}, "how to identify oneself"),
    "Allow": _header({"pattern": "^[A-Z]+(, [A-Z]+)*$"}, "the methods that the path knows"),
}
EVERY_RESPONSE = ("X-Request-ID", "Cache-Control", "X-Content-Type-Options")
STATUS_HEADERS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}


# Operations


class Operation(NamedTuple):
    """What one handler takes and answers. ``errors`` are the codes beyond those that follow from the rest."""

    summary: str
    status: int
    answer: str | None = None
    parameters: tuple[str, ...] = ()
    body: str | None = None
    body_required: bool = False
    errors: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    revalidates: bool = False
    stores: bool = True


_WITH_PERSON = ("invalid_field", "self_conversation", "user_not_found")
_WITH_MESSAGE = ("message_not_found", "not_participant")
_WITH_INPUT = ("invalid_field", "missing_field")
_WITH_HASHING = ("too_many_logins",)

OPERATIONS = {
    "messages.send": Operation(
        "Send a message",
        201,
        "Sent",
        ("IdempotencyKey",),
        body="NewMessage",
        body_required=True,
        headers=("Idempotency-Replayed",),
        errors=(
            *_WITH_INPUT,
            "invalid_header",
            "self_message",
            "recipient_not_found",
            "not_allowed",
            "reply_only",
            "idempotency_key_reused",
            "too_many_messages",
        ),
    ),
    "messages.mark_read": Operation(
        "Mark a message as read; the first time stands",
        200,
        "ReadReceipt",
        body="NoFields",
        errors=(*_WITH_MESSAGE, "not_recipient"),
    ),
    "messages.delete": Operation("Hide the caller's side of a message", 204, body="NoFields", errors=_WITH_MESSAGE),
    "conversations.inbox": Operation(
        "The newest message of each conversation, newest first",
        200,
        "Inbox",
        ("page", "inbox_limit", "unread_only"),
        revalidates=True,
    ),
    "conversations.unread": Operation("The number of unread messages", 200, "Unread", revalidates=True),
    "conversations.conversation": Operation(
        "The messages with one person; reading marks nothing as read",
        200,
        "Conversation",
        ("history_limit", "before", "after"),
        errors=_WITH_PERSON,
    ),
    "conversations.mark_conversation_read": Operation(
        "Mark what one person wrote as read", 200, "Marked", body="UpTo", errors=_WITH_PERSON
    ),
    "conversations.hide_conversation": Operation(
        "Hide the caller's side of a whole conversation", 204, body="NoFields", errors=_WITH_PERSON
    ),
    "recipients.recipients": Operation(
        "People whom the caller may write to; role user finds other users only by exact name",
        200,
        "Recipients",
        ("q", "list_limit"),
    ),
    "blocks.blocks": Operation("Everyone whom the caller has blocked", 200, "Blocks"),
    "blocks.block": Operation(
        "Block a person from writing to the caller",
        204,
        body="NoFields",
        errors=("invalid_field", "self_block", "staff_not_blockable", "user_not_found"),
    ),
    "blocks.unblock": Operation(
        "Lift a block, where there is one",
        204,
        body="NoFields",
        errors=("invalid_field", "self_block", "user_not_found"),
    ),
    "monitoring.conversations": Operation(
        "Who talks with whom; audited",
        200,
        "MonitoredConversations",
        ("page", "list_limit", "with_username"),
    ),
    "monitoring.conversation": Operation(
        "What at least one of two people still sees; audited with the reason",
        200,
        "MonitoredConversation",
        ("reason", "history_limit", "before"),
        errors=(*_WITH_PERSON, "missing_field"),
    ),
    "monitoring.audit_rows": Operation(
        "Who looked at or changed what, newest first", 200, "Audit", ("history_limit", "before")
    ),
    "system.health": Operation("Whether the database answers", 200, "Health"),
    "system.openapi": Operation("This document", 200, "OpenAPI", stores=False),
    "sessions.login": Operation(
        "A session token for a name and password",
        200,
        "LoggedIn",
        body="Login",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "wrong_credentials", "account_suspended", "too_many_attempts"),
    ),
    "sessions.session": Operation("Whose session this is", 200, "Session"),
    "sessions.logout": Operation("End this session", 204, body="NoFields"),
    "sessions.logout_all": Operation("End every session of the caller", 204, body="NoFields"),
    "sessions.change_password": Operation(
        "Change one's own password; every other session ends",
        204,
        body="PasswordChange",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "wrong_password", "too_many_attempts"),
    ),
    "users.users": Operation("A page of the accounts", 200, "Users", ("page", "list_limit", "role")),
    "users.create": Operation(
        "Create an account",
        201,
        "User",
        body="NewUser",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "user_exists"),
    ),
    "users.change": Operation(
        "Change role, suspension or password; all of it or nothing",
        200,
        "User",
        body="UserChange",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "user_not_found", "last_admin"),
    ),
}
"""By module and name of the handler."""


def document(table: "list[Route]", *, standalone: bool) -> Json:
    """The document of an application with these routes. Where the accounts are a host's, so is the way to log in."""
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
        "info": {"title": "msgsvc", "version": API_VERSION, "description": CONVENTIONS},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": {f"Error{status}": _error_response(status, codes) for status, codes in SHARED_ERRORS.items()},
            "examples": {
                code: {"value": {"error": sentence or SENTENCES[code], "code": code}}
                for code, (_, sentence) in ERRORS.items()
            },
            **({"securitySchemes": {"session": bearer}} if standalone else {}),
        },
    }


def _operation(route: "Route", path: str, *, standalone: bool) -> Json:
    module = route.handler.__module__.rpartition(".")[2]
    name = f"{module}.{route.handler.__name__}"
    operation = OPERATIONS[name]
    parameters = [
        *re.findall(r"{(\w+)}", path),
        *operation.parameters,
        *(["IfNoneMatch"] if operation.revalidates else []),
        "RequestId",
    ]
    body: Json = {"required": operation.body_required, "content": _json(_ref("schemas", operation.body or ""))}
    return {
        "operationId": name.replace(".", "_"),
        "summary": operation.summary,
        "description": f"Open to {route.access.value}.",
        "tags": [module],
        "parameters": [_ref("parameters", parameter) for parameter in parameters],
        **({"requestBody": body} if operation.body else {}),
        "responses": _responses(operation, _codes(route, operation, parameters)),
        **({"security": [{"session": []}] if route.access.name != "ANYONE" else []} if standalone else {}),
    }


def _codes(route: "Route", operation: Operation, parameters: list[str]) -> set[str]:
    """Every error code that the call can answer with."""
    codes = {*operation.errors, *WHO_ERRORS[route.access.name]}
    for parameter in parameters:
        codes.update(PARAMETER_ERRORS[PARAMETERS[parameter]["in"]])
    if operation.body:
        codes.update(BODY_ERRORS)
    if operation.stores:
        codes.update(STORAGE_ERRORS)
    return codes


def _responses(operation: Operation, codes: set[str]) -> Json:
    headers = (*operation.headers, *(("ETag",) if operation.revalidates else ()))
    responses = {str(operation.status): _response(operation.status, headers, operation.answer)}
    if operation.revalidates:
        responses["304"] = _response(304, headers)
    for status in sorted({ERRORS[code][0] for code in codes}):
        of_status = tuple(sorted(code for code in codes if ERRORS[code][0] == status))
        shared = SHARED_ERRORS.get(status) == of_status
        responses[str(status)] = _ref("responses", f"Error{status}") if shared else _error_response(status, of_status)
    return responses


def _response(status: int, headers: tuple[str, ...] = (), answer: str | None = None) -> Json:
    names = (*EVERY_RESPONSE, *STATUS_HEADERS.get(status, ()), *headers)
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: _ref("headers", name) for name in names},
        **({"content": _json(_ref("schemas", answer))} if answer else {}),
    }


def _error_response(status: int, codes: tuple[str, ...]) -> Json:
    """An error whose codes are the names of its examples."""
    response = _response(status, answer="Error")
    response["content"]["application/json"]["examples"] = {code: _ref("examples", code) for code in codes}
    return response


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
