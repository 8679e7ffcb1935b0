"""The schemas of the request bodies, by name. They are strict: a field that they do not name is refused."""

from typing import Any

from msgsvc import fields
from msgsvc.openapi.parts import FLAG, ID, NOT_ONLY_BLANKS, Json, body_of, ref, text


def _secret(minimum: int, **more: Any) -> Json:
    """A password. It has no ``format: password``: clients made by some generators would send asterisks for it."""
    return text(fields.PASSWORD_LIMIT, minimum, writeOnly=True, **more)


_NEW_NAME = text(
    fields.NEW_NAME_LIMIT,
    pattern=r"^([^/]{3,}|[^/.][^/]?|[.][^/.])$",
    description="visible characters in NFC, without '/' and without a blank at either end; neither '.' nor '..'",
)
_NEW_PASSWORD = _secret(
    fields.PASSWORD_MINIMUM,
    description="not a common one, the name, one character repeated or a plain sequence",
)
_MUST_CHANGE: Json = {
    "must_change_password": {
        **FLAG,
        "description": "with a password: nothing but session, password and logout is open before it is changed",
    }
}
_PASSWORD = _secret(1)

BODIES: Json = {
    "NoFields": {**body_of({}, example={}), "description": "There is nothing to say; the body may be left out."},
    "NewMessage": body_of(
        {
            "recipient": text(fields.NAME_LIMIT),
            "subject": text(fields.SUBJECT_LIMIT, 0, type=["string", "null"], description="empty is the same as null"),
            "content": text(
                fields.CONTENT_LIMIT,
                pattern=NOT_ONLY_BLANKS,
                description="counted in Unicode code points; not only blanks",
            ),
        },
        optional=("subject",),
        example={"recipient": "uma", "subject": "Check-in", "content": "How are you feeling today?"},
    ),
    "UpTo": body_of(
        {"up_to": {**ID, "description": "the id of the last message to mark; all without it"}},
        optional=("up_to",),
        example={"up_to": 42},
    ),
    "Login": body_of(
        {"username": text(fields.NAME_LIMIT), "password": _PASSWORD},
        example={"username": "uma", "password": "correct horse battery"},
    ),
    "PasswordChange": body_of(
        {"current_password": _PASSWORD, "new_password": _NEW_PASSWORD},
        example={"current_password": "correct horse battery", "new_password": "staple of seven lamps"},
    ),
    "NewUser": body_of(
        {"username": _NEW_NAME, "role": ref("schemas", "Role"), "password": _NEW_PASSWORD, **_MUST_CHANGE},
        optional=("must_change_password",),
        example={"username": "clara", "role": "clinician", "password": "correct horse battery"},
    ),
    "UserChange": {
        **body_of(
            {"role": ref("schemas", "Role"), "suspended": FLAG, "password": _NEW_PASSWORD, **_MUST_CHANGE},
            optional=("role", "suspended", "password", "must_change_password"),
            example={"suspended": True},
        ),
        "minProperties": 1,
    },
}
