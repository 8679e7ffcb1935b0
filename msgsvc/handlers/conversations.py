"""Conversations: the inbox, the unread badge, the history with one person, and what is done to all of it."""

from msgsvc import fields
from msgsvc.database import Connection
from msgsvc.json_http import NO_CONTENT, ApiError, Request, Response, encoded_list, entity_tag, matches
from msgsvc.roles import SendingFacts, decide_sending
from msgsvc.shapes import PREVIEW_LIMIT, inbox_row, messages
from msgsvc.times import stored

_NO_MAILBOX = (0, 0, 0, 0)


def inbox(request: Request) -> Response:
    """GET /api/messages/inbox: one row for each partner, newest first."""
    query = request.query("page", "limit", "unread_only")
    page = fields.page(query)
    limit = fields.limit(query, lowest=10, highest=50, default=20)
    unread_only = fields.boolean(query, "unread_only")
    caller = request.caller.username

    with request.database.read() as snapshot:
        mailbox = snapshot.first("select_mailbox", caller=caller) or _NO_MAILBOX
        total_unread, conversations, unread_conversations, version = mailbox
        tag = entity_tag("inbox", caller, page, limit, unread_only, version)
        if matches(request, tag):
            return Response(status=304, headers={"ETag": tag})
        rows = snapshot.all(
            "select_unread_inbox" if unread_only else "select_inbox",
            caller=caller,
            limit=limit,
            offset=(page - 1) * limit,
            preview=PREVIEW_LIMIT + 1,
        )
    others = {
        "total_unread": total_unread,
        "page": page,
        "page_size": limit,
        "total_conversations": unread_conversations if unread_only else conversations,
    }
    return Response(encoded_list("conversations", map(inbox_row, rows), others), headers={"ETag": tag})


def unread(request: Request) -> Response:
    """GET /api/messages/unread: the badge that clients poll."""
    caller = request.caller.username

    total_unread, *_ = request.database.first("select_mailbox", caller=caller) or _NO_MAILBOX
    tag = entity_tag("unread", caller, total_unread)
    if matches(request, tag):
        return Response(status=304, headers={"ETag": tag})
    return Response({"total_unread": total_unread}, headers={"ETag": tag})


def conversation(request: Request, username: str) -> Response:
    """GET /api/messages/conversation/<username>: the newest messages, oldest first; reading marks nothing as read."""
    query = request.query("limit", "before", "after")
    limit = fields.limit(query, highest=200, default=50)
    up_to = fields.before(query)
    after = fields.integer(query, "after", lowest=0, highest=fields.HIGHEST_ID, default=0)
    if "before" in query and "after" in query:
        raise ApiError(400, "invalid_parameter", "Give before or after, not both")
    partner = _partner(request, username)
    caller = request.caller.username

    with request.database.read() as snapshot:
        facts = _sending_facts(snapshot, caller, partner)
        if "after" in query:
            rows = snapshot.all("select_messages_after", caller=caller, partner=partner, after=after, limit=limit + 1)
        else:
            rows = snapshot.all("select_messages_up_to", caller=caller, partner=partner, up_to=up_to, limit=limit + 1)
    oldest_first = rows[:limit] if "after" in query else rows[:limit][::-1]
    others = {
        "participant_count": 2,
        "has_more": len(rows) > limit,
        "can_reply": decide_sending(facts).allowed,
    }
    return Response(encoded_list("messages", messages(oldest_first, caller, partner), others))


def mark_conversation_read(request: Request, username: str) -> Response:
    """PATCH /api/messages/conversation/<username>/read: everything from them, or up to an id."""
    body = request.body("up_to")
    up_to = fields.message_id("up_to", body["up_to"]) if "up_to" in body else fields.HIGHEST_ID
    partner = _partner(request, username)
    caller = request.caller.username
    now = stored(request.now())

    with request.transaction() as transaction:
        _sending_facts(transaction, caller, partner)
        marked = transaction.run("update_conversation_read", caller=caller, partner=partner, up_to=up_to, now=now)
    return Response({"with_user": partner, "marked": marked})


def hide_conversation(request: Request, username: str) -> Response:
    """DELETE /api/messages/conversation/<username>: hides the caller's side of all of it."""
    request.body()
    partner = _partner(request, username)
    caller = request.caller.username
    now = stored(request.now())

    with request.transaction() as transaction:
        _sending_facts(transaction, caller, partner)
        transaction.run("update_sent_hidden", caller=caller, partner=partner, now=now)
        transaction.run("update_received_hidden", caller=caller, partner=partner, now=now)
    return NO_CONTENT


def _partner(request: Request, username: str) -> str:
    partner = fields.username("username", username)
    if partner == request.caller.username:
        raise ApiError(400, "self_conversation", "There is no conversation with yourself")
    return partner


def _sending_facts(connection: Connection, caller: str, partner: str) -> SendingFacts:
    facts = connection.first("select_sending_facts", sender=caller, recipient=partner)
    if facts is None:
        raise ApiError(404, "user_not_found", "No such user")
    return SendingFacts(*facts)
