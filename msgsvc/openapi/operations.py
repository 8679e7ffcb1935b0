"""What each handler takes and answers. Path, session and role come from the table of routes."""

from typing import NamedTuple


class Operation(NamedTuple):
    """What one handler takes and answers. ``errors`` are the codes beyond those that follow from the rest."""

    id: str
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
_REFUSED_LOGIN = ("wrong_credentials", "account_suspended", "cross_site", "too_many_attempts")

OPERATIONS = {
    "messages.send": Operation(
        "sendMessage",
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
        "markMessageRead",
        "Mark a message as read; the first time stands",
        200,
        "ReadReceipt",
        body="NoFields",
        errors=(*_WITH_MESSAGE, "not_recipient"),
    ),
    "messages.delete": Operation(
        "deleteMessage", "Hide the caller's side of a message", 204, body="NoFields", errors=_WITH_MESSAGE
    ),
    "conversations.inbox": Operation(
        "listConversations",
        "The newest message of each conversation, newest first",
        200,
        "Inbox",
        ("page", "inbox_limit", "unread_only"),
        revalidates=True,
    ),
    "conversations.unread": Operation(
        "getUnreadCount", "The number of unread messages", 200, "Unread", revalidates=True
    ),
    "conversations.conversation": Operation(
        "getConversation",
        "The messages with one person; reading marks nothing as read",
        200,
        "Conversation",
        ("history_limit", "before", "after"),
        errors=_WITH_PERSON,
    ),
    "conversations.mark_conversation_read": Operation(
        "markConversationRead", "Mark what one person wrote as read", 200, "Marked", body="UpTo", errors=_WITH_PERSON
    ),
    "conversations.hide_conversation": Operation(
        "deleteConversation",
        "Hide the caller's side of a conversation, or of what is not newer than an id",
        204,
        parameters=("up_to",),
        body="NoFields",
        errors=_WITH_PERSON,
    ),
    "recipients.recipients": Operation(
        "listRecipients",
        "People whom the caller may write to; role user finds other users only by exact name",
        200,
        "RecipientList",
        ("q", "list_limit"),
    ),
    "blocks.blocks": Operation("listBlocks", "Everyone whom the caller has blocked", 200, "BlockList"),
    "blocks.block": Operation(
        "blockUser",
        "Block a person from writing to the caller",
        204,
        body="NoFields",
        errors=("invalid_field", "self_block", "staff_not_blockable", "user_not_found", "too_many_blocks"),
    ),
    "blocks.unblock": Operation(
        "unblockUser",
        "Lift a block, where there is one",
        204,
        body="NoFields",
        errors=("invalid_field", "self_block", "user_not_found"),
    ),
    "monitoring.conversations": Operation(
        "listAllConversations",
        "Who talks with whom; audited",
        200,
        "MonitoredConversationList",
        ("page", "list_limit", "with_username"),
    ),
    "monitoring.conversation": Operation(
        "viewConversation",
        "What at least one of two people still sees; audited with the reason",
        200,
        "MonitoredConversation",
        ("reason", "history_limit", "before"),
        errors=(*_WITH_PERSON, "missing_field"),
    ),
    "monitoring.audit_rows": Operation(
        "listAuditRows",
        "Who looked at or changed what, and who logged in or tried, newest first",
        200,
        "AuditList",
        ("history_limit", "before", "actor", "action", "about_username"),
    ),
    "system.health": Operation("getHealth", "Whether the database answers", 200, "Health"),
    "system.openapi": Operation("getOpenAPIDocument", "This document", 200, "OpenAPI", stores=False),
    "sessions.login": Operation(
        "logIn",
        "A session token for a name and password",
        200,
        "LoggedIn",
        body="Login",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, *_REFUSED_LOGIN),
    ),
    "sessions.session": Operation("getSession", "Whose session this is", 200, "Session"),
    "sessions.logout": Operation("logOut", "End this session", 204, body="NoFields"),
    "sessions.logout_all": Operation("logOutEverywhere", "End every session of the caller", 204, body="NoFields"),
    "sessions.change_password": Operation(
        "changePassword",
        "Change one's own password; every other session ends",
        204,
        body="PasswordChange",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "wrong_password", "too_many_attempts", "too_many_password_changes"),
    ),
    "users.users": Operation("listUsers", "A page of the accounts", 200, "UserList", ("page", "list_limit", "role")),
    "users.create": Operation(
        "createUser",
        "Create an account",
        201,
        "User",
        body="NewUser",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "user_exists"),
    ),
    "users.change": Operation(
        "changeUser",
        "Change role, suspension or password; all of it or nothing",
        200,
        "User",
        body="UserChange",
        body_required=True,
        errors=(*_WITH_INPUT, *_WITH_HASHING, "user_not_found", "last_admin"),
    ),
}
"""By module and name of the handler."""

TAGS = {
    "messages": "Single messages: send one, mark it as read, delete it.",
    "conversations": "The inbox, the number of unread messages, and all messages with one person.",
    "recipients": "The people whom the caller may write to.",
    "blocks": "The people who may not write to the caller.",
    "monitoring": "Conversations of others and the audit, for admins.",
    "system": "Health, and this document.",
    "sessions": "Log in, log out, change the password.",
    "users": "The accounts, for admins.",
}
"""What each module of handlers is about; the operations are grouped by module."""
