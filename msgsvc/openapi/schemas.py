"""The schemas of all request bodies and answers, by name."""

from msgsvc import fields
from msgsvc.openapi.errors import ERRORS
from msgsvc.openapi.parts import (
    COUNT,
    FLAG,
    FOUND_ROLE,
    FOUND_TIME,
    ID,
    NAME,
    NOT_ONLY_BLANKS,
    ROW_ID,
    STRING_OR_NULL,
    TIME,
    TIME_OR_NULL,
    Json,
    integer,
    list_of,
    object_of,
    ref,
    text,
)
from msgsvc.roles import ROLES

_CONTENT: Json = {"pattern": NOT_ONLY_BLANKS, "description": "counted in Unicode code points; not only blanks"}
_NEW_NAME = text(
    fields.NEW_NAME_LIMIT,
    pattern=r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u00a0]*$",
    format="printable",
    description="printable characters without '/'; neither '.' nor '..'",
)
_NEW_PASSWORD = text(fields.PASSWORD_LIMIT, fields.PASSWORD_MINIMUM, format="password")
_PASSWORD = text(fields.PASSWORD_LIMIT, format="password")

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
        **object_of(
            {"error": {"type": "string", "minLength": 1}, "code": {"type": "string", "enum": list(ERRORS)}},
            example={"error": "A valid session is required", "code": "unauthorized"},
        ),
        "description": "One plain sentence for people, and a code for programs.",
    },
    "Role": {"type": "string", "enum": list(ROLES)},
    "NoFields": {**object_of({}), "description": "There is nothing to say; the body may be left out."},
    "NewMessage": object_of(
        {
            "recipient": text(fields.NAME_LIMIT),
            "subject": text(fields.SUBJECT_LIMIT, 0, type=["string", "null"], description="empty is the same as null"),
            "content": text(fields.CONTENT_LIMIT, **_CONTENT),
        },
        optional=("subject",),
        example={"recipient": "uma", "subject": "Check-in", "content": "How are you feeling today?"},
    ),
    "Sent": {
        **object_of(
            {"message_id": ROW_ID, "sent_at": TIME, "status": {"const": "sent"}},
            example={"message_id": 42, "sent_at": _AT, "status": "sent"},
        ),
        "additionalProperties": True,
    },
    "Message": object_of(
        {
            "id": ROW_ID,
            "sender": NAME,
            "recipient": NAME,
            "content": {"type": "string"},
            "subject": STRING_OR_NULL,
            "is_read": FLAG,
            "read_at": TIME_OR_NULL,
            "sent_at": FOUND_TIME,
        },
        example=_MESSAGE,
    ),
    "Inbox": object_of(
        {
            "conversations": list_of(
                object_of(
                    {
                        "with_user": NAME,
                        "last_message": {"type": "string", "maxLength": 100},
                        "last_message_time": FOUND_TIME,
                        "unread_count": COUNT,
                        "is_latest_from_them": FLAG,
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
            "total_unread": {**COUNT, "description": "over the whole inbox"},
            "page": integer(1),
            "page_size": integer(1),
            "total_conversations": {**COUNT, "description": "follows the filter"},
        },
        example={"conversations": [], "total_unread": 0, "page": 1, "page_size": 20, "total_conversations": 0},
    ),
    "Unread": object_of({"total_unread": COUNT}, example={"total_unread": 3}),
    "Conversation": object_of(
        {
            "messages": {**list_of(ref("schemas", "Message")), "description": "oldest first"},
            "participant_count": {"const": 2},
            "has_more": {**FLAG, "description": "whether older messages remain; with `after`, newer ones"},
            "can_reply": {**FLAG, "description": "whether the caller may write to that user now"},
        },
        example={"messages": [_MESSAGE], "participant_count": 2, "has_more": False, "can_reply": True},
    ),
    "UpTo": object_of(
        {"up_to": {**ID, "description": "the id of the last message to mark; all without it"}},
        optional=("up_to",),
        example={"up_to": 42},
    ),
    "Marked": object_of({"with_user": NAME, "marked": COUNT}, example={"with_user": "thea", "marked": 3}),
    "ReadReceipt": object_of(
        {"message_id": ROW_ID, "is_read": {"const": True}, "read_at": FOUND_TIME},
        example={"message_id": 42, "is_read": True, "read_at": _AT},
    ),
    "Recipients": object_of(
        {
            "recipients": list_of(
                object_of(
                    {"username": NAME, "role": ref("schemas", "Role")},
                    example={"username": "thea", "role": "therapist"},
                )
            )
        },
        example={"recipients": [{"username": "thea", "role": "therapist"}]},
    ),
    "Blocks": object_of(
        {
            "blocks": list_of(
                object_of({"username": NAME, "blocked_at": TIME}, example={"username": "ugo", "blocked_at": _AT})
            )
        },
        example={"blocks": [{"username": "ugo", "blocked_at": _AT}]},
    ),
    "MonitoredConversations": object_of(
        {
            "conversations": list_of(
                object_of(
                    {"participants": list_of(NAME), "last_message_time": FOUND_TIME},
                    example={"participants": ["thea", "uma"], "last_message_time": _AT},
                )
            ),
            "page": integer(1),
            "page_size": integer(1),
            "has_more": FLAG,
        },
        example={
            "conversations": [{"participants": ["thea", "uma"], "last_message_time": _AT}],
            "page": 1,
            "page_size": 20,
            "has_more": False,
        },
    ),
    "MonitoredConversation": object_of(
        {"messages": list_of(ref("schemas", "Message")), "participants": list_of(NAME), "has_more": FLAG},
        example={"messages": [_MESSAGE], "participants": ["thea", "uma"], "has_more": False},
    ),
    "Audit": object_of(
        {
            "audit": list_of(
                object_of(
                    {
                        "id": ROW_ID,
                        "actor": NAME,
                        "action": {"type": "string"},
                        "subject": STRING_OR_NULL,
                        "reason": STRING_OR_NULL,
                        "request_id": STRING_OR_NULL,
                        "at": TIME,
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
            "has_more": FLAG,
        },
        example={"audit": [], "has_more": False},
    ),
    "Health": object_of({"status": {"const": "ok"}}, example={"status": "ok"}),
    "OpenAPI": {"type": "object", "required": ["openapi", "info", "paths"], "description": "this document"},
    "Login": object_of(
        {"username": text(fields.NAME_LIMIT), "password": _PASSWORD},
        example={"username": "uma", "password": "correct horse battery"},
    ),
    "LoggedIn": object_of(
        {
            "token": {"type": "string", "minLength": 1},
            "token_type": {"const": "Bearer"},
            "expires_at": TIME,
            "username": NAME,
            "role": FOUND_ROLE,
        },
        example={
            "token": "bTfvXNJpMkY2oZ1qPzR4c8dWgUe0aHsL6tKiV3nBxQ5",
            "token_type": "Bearer",
            "expires_at": "2026-02-05T22:30:45Z",
            "username": "uma",
            "role": "user",
        },
    ),
    "Session": object_of(
        {"username": NAME, "role": FOUND_ROLE, "expires_at": TIME},
        example={"username": "uma", "role": "user", "expires_at": "2026-02-05T22:30:45Z"},
    ),
    "PasswordChange": object_of(
        {"current_password": _PASSWORD, "new_password": _NEW_PASSWORD},
        example={"current_password": "correct horse battery", "new_password": "staple of seven lamps"},
    ),
    "User": object_of({"username": NAME, "role": FOUND_ROLE, "suspended": FLAG}, example=_USER),
    "Users": object_of(
        {
            "users": list_of(ref("schemas", "User")),
            "page": integer(1),
            "page_size": integer(1),
            "total_users": {**COUNT, "description": "follows the filter"},
        },
        example={"users": [_USER], "page": 1, "page_size": 20, "total_users": 1},
    ),
    "NewUser": object_of(
        {"username": _NEW_NAME, "role": ref("schemas", "Role"), "password": _NEW_PASSWORD},
        example={"username": "clara", "role": "clinician", "password": "correct horse battery"},
    ),
    "UserChange": {
        **object_of(
            {"role": ref("schemas", "Role"), "suspended": FLAG, "password": _NEW_PASSWORD},
            optional=("role", "suspended", "password"),
            example={"suspended": True},
        ),
        "minProperties": 1,
    },
}
