"""JSON Schema parts that schemas, parameters and operations are made of."""

from typing import Any

from msgsvc import fields

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def object_of(properties: Json, *, example: Json | None = None, optional: tuple[str, ...] = ()) -> Json:
    """An object with these fields and no others, required unless optional."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        "examples": [{} if example is None else example],
    }


def text(limit: int, minimum: int = 1, **more: Any) -> Json:
    """What ``fields.text`` takes."""
    return {"type": "string", "minLength": minimum, "maxLength": limit, "pattern": r"^[^\u0000]*$", **more}


def integer(minimum: int, maximum: int | None = None, **more: Any) -> Json:
    return {"type": "integer", "minimum": minimum, **({} if maximum is None else {"maximum": maximum}), **more}


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


NOT_ONLY_BLANKS = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"
TIME: Json = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
TIME_OR_NULL: Json = {**TIME, "type": ["string", "null"]}
FOUND_TIME: Json = {**TIME_OR_NULL, "description": "null where a host stored no readable time"}
COUNT = integer(0)
ID = integer(1, fields.HIGHEST_ID)
ROW_ID: Json = {"type": "integer"}
NAME: Json = {"type": "string"}
STRING_OR_NULL: Json = {"type": ["string", "null"]}
FLAG: Json = {"type": "boolean"}
FOUND_ROLE: Json = {"type": "string", "description": "a host's accounts may have roles beyond the four"}
