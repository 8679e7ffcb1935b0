"""The schemas of the answers and of their rows, by name. They stay open: a later version may add fields."""

from msgsvc.errors import ERRORS
from msgsvc.openapi.parts import (
    COUNT,
    FLAG,
    FOUND_ROLE,
    FOUND_TIME,
    NAME,
    PARTNER_ROLE,
    ROW_ID,
    STRING_OR_NULL,
    TIME,
    TIME_OR_NULL,
    Json,
    answer_of,
    integer,
    list_of,
    ref,
)

_AT = "2026-02-05T10:30:45Z"
_EXPIRES_AT = "2026-02-05T22:30:45Z"
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
_SUMMARY: Json = {
    "with_user": "thea",
    "with_role": "therapist",
    "last_message": "How are you feeling today?",
    "last_message_time": _AT,
    "unread_count": 3,
    "is_latest_from_them": True,
}
_RECIPIENT: Json = {"username": "thea", "role": "therapist"}
_BLOCK: Json = {"username": "ugo", "blocked_at": _AT}
_MONITORED_SUMMARY: Json = {"participants": ["thea", "uma"], "last_message_time": _AT}
_AUDIT_ROW: Json = {
    "id": 7,
    "actor": "adam",
    "source": "api",
    "action": "conversation_viewed",
    "subject": None,
    "participants": ["thea", "uma"],
    "reason": "complaint of 3 February",
    "request_id": "5f2c9c6ab0c84a1c",
    "at": _AT,
}
_USER: Json = {"username": "uma", "role": "user", "suspended": False}

ANSWERS: Json = {
    "Error": {
        **answer_of(
            {
                "error": {"type": "string", "minLength": 1},
                "code": {
                    "type": "string",
                    "description": "An open list: a later version may add codes. Treat an unknown one by its status.",
                    "examples": list(ERRORS),
                },
            },
            example={"error": "A valid session is required", "code": "unauthorized"},
        ),
        "description": "One plain sentence for people, and a code for programs.",
    },
    "Sent": answer_of(
        {"message_id": ROW_ID, "sent_at": TIME, "status": {"type": "string", "const": "sent"}, "recipient": NAME},
        example={"message_id": 42, "sent_at": _AT, "status": "sent", "recipient": "uma"},
    ),
    "Message": answer_of(
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
    "ConversationSummary": answer_of(
        {
            "with_user": NAME,
            "with_role": PARTNER_ROLE,
            "last_message": {"type": "string", "maxLength": 100},
            "last_message_time": FOUND_TIME,
            "unread_count": COUNT,
            "is_latest_from_them": FLAG,
        },
        example=_SUMMARY,
    ),
    "Inbox": answer_of(
        {
            "conversations": list_of(ref("schemas", "ConversationSummary")),
            "total_unread": {**COUNT, "description": "over the whole inbox"},
            "page": integer(1),
            "page_size": integer(1),
            "total_conversations": {**COUNT, "description": "follows the filter"},
        },
        example={
            "conversations": [_SUMMARY],
            "total_unread": 3,
            "page": 1,
            "page_size": 20,
            "total_conversations": 1,
        },
    ),
    "Unread": answer_of({"total_unread": COUNT}, example={"total_unread": 3}),
    "Conversation": answer_of(
        {
            "messages": {**list_of(ref("schemas", "Message")), "description": "oldest first"},
            "participant_count": {"type": "integer", "format": "int64", "const": 2},
            "has_more": {**FLAG, "description": "whether older messages remain; with `after`, newer ones"},
            "can_reply": {**FLAG, "description": "whether the caller may write to that user now"},
            "reply_refusal": {**STRING_OR_NULL, "description": "the code that a send would be refused with, else null"},
            "with_role": PARTNER_ROLE,
        },
        example={
            "messages": [_MESSAGE],
            "participant_count": 2,
            "has_more": False,
            "can_reply": True,
            "reply_refusal": None,
            "with_role": "therapist",
        },
    ),
    "Marked": answer_of({"with_user": NAME, "marked": COUNT}, example={"with_user": "thea", "marked": 3}),
    "ReadReceipt": answer_of(
        {"message_id": ROW_ID, "is_read": {**FLAG, "const": True}, "read_at": FOUND_TIME},
        example={"message_id": 42, "is_read": True, "read_at": _AT},
    ),
    "Recipient": answer_of({"username": NAME, "role": ref("schemas", "Role")}, example=_RECIPIENT),
    "RecipientList": answer_of(
        {"recipients": list_of(ref("schemas", "Recipient"))}, example={"recipients": [_RECIPIENT]}
    ),
    "Block": answer_of({"username": NAME, "blocked_at": TIME}, example=_BLOCK),
    "BlockList": answer_of({"blocks": list_of(ref("schemas", "Block"))}, example={"blocks": [_BLOCK]}),
    "MonitoredConversationSummary": answer_of(
        {"participants": list_of(NAME), "last_message_time": FOUND_TIME}, example=_MONITORED_SUMMARY
    ),
    "MonitoredConversationList": answer_of(
        {
            "conversations": list_of(ref("schemas", "MonitoredConversationSummary")),
            "page": integer(1),
            "page_size": integer(1),
            "has_more": FLAG,
        },
        example={"conversations": [_MONITORED_SUMMARY], "page": 1, "page_size": 20, "has_more": False},
    ),
    "MonitoredConversation": answer_of(
        {"messages": list_of(ref("schemas", "Message")), "participants": list_of(NAME), "has_more": FLAG},
        example={"messages": [_MESSAGE], "participants": ["thea", "uma"], "has_more": False},
    ),
    "AuditRow": answer_of(
        {
            "id": ROW_ID,
            "actor": {**STRING_OR_NULL, "description": "the account that acted, where there is one"},
            "source": {"type": "string", "description": "one of: api, command line, settings, login"},
            "action": {"type": "string"},
            "subject": {**STRING_OR_NULL, "description": "whom or what the row is about"},
            "participants": {
                "type": ["array", "null"],
                "items": NAME,
                "description": "the two people whose conversation was looked at",
            },
            "reason": STRING_OR_NULL,
            "request_id": STRING_OR_NULL,
            "at": TIME,
        },
        example=_AUDIT_ROW,
    ),
    "AuditList": answer_of(
        {"audit": list_of(ref("schemas", "AuditRow")), "has_more": FLAG},
        example={"audit": [_AUDIT_ROW], "has_more": False},
    ),
    "Health": answer_of({"status": {"type": "string", "const": "ok"}}, example={"status": "ok"}),
    "OpenAPI": {
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "description": "this document",
        "examples": [{"openapi": "3.1.0", "info": {"title": "msgsvc", "version": "1.0.0"}, "paths": {}}],
    },
    "LoggedIn": answer_of(
        {
            "token": {"type": "string", "minLength": 1},
            "token_type": {"type": "string", "const": "Bearer"},
            "expires_at": TIME,
            "username": NAME,
            "role": FOUND_ROLE,
            "must_change_password": {**FLAG, "description": "whether nothing but session, password and logout is open"},
        },
        example={
            "token": "bTfvXNJpMkY2oZ1qPzR4c8dWgUe0aHsL6tKiV3nBxQ5",
            "token_type": "Bearer",
            "expires_at": _EXPIRES_AT,
            "username": "uma",
            "role": "user",
            "must_change_password": False,
        },
    ),
    "Session": answer_of(
        {"username": NAME, "role": FOUND_ROLE, "expires_at": TIME, "must_change_password": FLAG},
        example={"username": "uma", "role": "user", "expires_at": _EXPIRES_AT, "must_change_password": False},
    ),
    "User": answer_of({"username": NAME, "role": FOUND_ROLE, "suspended": FLAG}, example=_USER),
    "UserList": answer_of(
        {
            "users": list_of(ref("schemas", "User")),
            "page": integer(1),
            "page_size": integer(1),
            "total_users": {**COUNT, "description": "follows the filter"},
        },
        example={"users": [_USER], "page": 1, "page_size": 20, "total_users": 1},
    ),
}
