"""JSON Schema parts that bodies, answers and parameters are made of.

Generators for many languages read them: patterns use no lookaround and no NUL, `const` comes with `type`, and integers
say their format. The service itself refuses NUL in every text.
"""

from typing import Any

from msgsvc import fields

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def body_of(properties: Json, *, example: Json, optional: tuple[str, ...] = ()) -> Json:
    """A request body: these fields and no others, required unless optional."""
    required = [name for name in properties if name not in optional]
    return {**_object(properties, required, example), "additionalProperties": False}


def answer_of(properties: Json, *, example: Json) -> Json:
    """An answer: all of these fields. It stays open: clients made today must take what a later version adds."""
    return _object(properties, list(properties), example)


def _object(properties: Json, required: list[str], example: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "examples": [example],
    }


def text(limit: int, minimum: int = 1, **more: Any) -> Json:
    """What ``fields.text`` takes."""
    return {"type": "string", "minLength": minimum, "maxLength": limit, **more}


def integer(minimum: int, maximum: int | None = None, **more: Any) -> Json:
    limits = {"minimum": minimum, **({} if maximum is None else {"maximum": maximum})}
    return {"type": "integer", "format": "int64", **limits, **more}


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


NOT_ONLY_BLANKS = r"\S"
TIME: Json = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
TIME_OR_NULL: Json = {**TIME, "type": ["string", "null"]}
FOUND_TIME: Json = {**TIME_OR_NULL, "description": "null where a host stored no readable time"}
COUNT = integer(0)
ID = integer(1, fields.HIGHEST_ID)
ROW_ID: Json = {"type": "integer", "format": "int64"}
NAME: Json = {"type": "string"}
STRING_OR_NULL: Json = {"type": ["string", "null"]}
FLAG: Json = {"type": "boolean"}
PARTNER_ROLE: Json = {**STRING_OR_NULL, "description": "null for an account that is gone or outside the four roles"}
FOUND_ROLE: Json = {"type": "string", "description": "a host's accounts may have roles beyond the four"}
