"""The parameters of requests and the headers of responses."""

from msgsvc import fields
from msgsvc.openapi.parts import FLAG, ID, NOT_ONLY_BLANKS, Json, integer, ref, text


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
    return _parameter("path", name, text(fields.NAME_LIMIT, pattern="^[^/]+$"), "uma", description)


def _limit(highest: int, default: int, lowest: int = 1) -> Json:
    return _parameter("query", "limit", integer(lowest, highest, default=default), default)


PARAMETERS: Json = {
    "username": _in_path("username"),
    "a": _in_path("a", "one of the two participants"),
    "b": {**_in_path("b", "the other"), "example": "thea"},
    "message_id": _parameter("path", "message_id", ID, 42, "in plain digits; anything else is no such path"),
    "page": _parameter("query", "page", integer(1, fields.HIGHEST_PAGE, default=1), 1, "a page past the end is empty"),
    "inbox_limit": _limit(50, 20, lowest=10),
    "history_limit": _limit(200, 50),
    "list_limit": _limit(100, 20),
    "unread_only": _parameter("query", "unread_only", {**FLAG, "default": False}, False),
    "before": _parameter("query", "before", integer(0, fields.HIGHEST_ID), 42, "only what has a lower id"),
    "after": _parameter(
        "query", "after", integer(0, fields.HIGHEST_ID), 42, "only what has a higher id; not together with before"
    ),
    "up_to": _parameter("query", "up_to", ID, 42, "not what has a higher id"),
    "q": _parameter("query", "q", text(fields.NAME_LIMIT), "th", "how a word of the name begins"),
    "with_username": _parameter("query", "username", text(fields.NAME_LIMIT), "uma", "only conversations of this one"),
    "actor": _parameter("query", "actor", text(fields.NAME_LIMIT), "adam", "only what this account did"),
    "action": _parameter("query", "action", text(fields.NAME_LIMIT), "logged_in", "only this action"),
    "about_username": _parameter(
        "query", "username", text(fields.NAME_LIMIT), "uma", "only what is about this one, as subject or participant"
    ),
    "role": _parameter("query", "role", ref("schemas", "Role"), "user"),
    "reason": {
        **_parameter("query", "reason", text(fields.REASON_LIMIT, pattern=NOT_ONLY_BLANKS), "complaint of 3 February"),
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
}


def _header(schema: Json, description: str, *, required: bool = True) -> Json:
    return {"schema": {"type": "string", **schema}, "description": description, "required": required}


HEADERS: Json = {
    "X-Request-ID": _header(
        {"pattern": "^[A-Za-z0-9._-]{1,128}$"},
        "the id of this request in the logs: the one of the request if it has a valid one",
    ),
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
