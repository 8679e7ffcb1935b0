"""What each handler takes and answers. Path, session and role come from the table of routes."""

from typing import NamedTuple


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
