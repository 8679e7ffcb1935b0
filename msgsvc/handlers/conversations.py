"""Conversations: the inbox, the unread badge, the history with one person, and what is done to all of it."""

from contextlib import closing

from msgsvc import fields
from msgsvc.errors import ApiError
from msgsvc.json_http import NO_CONTENT, Response, encode_list, entity_tag, matches
from msgsvc.request import Expected, Request
from msgsvc.roles import SendingFacts, decide_sending
from msgsvc.shapes import PREVIEW_LIMIT, inbox_rows, messages
from msgsvc.storage.base import Snapshot, Transaction
from msgsvc.times import stored

HIDDEN_AT_ONCE = 100
"""Messages of a conversation that are hidden in one transaction, so that other writers need not wait for a long one."""

_NO_MAILBOX = (0, 0, 0, 0)
_MAILBOX: tuple[Expected, ...] = (("select_mailbox", "caller", {}),)


def inbox(request: Request) -> Response:
    """GET /api/messages/inbox: one row for each partner, newest first."""
    query = request.query("page", "limit", "unread_only")
    page = fields.page(query)
    limit = fields.limit(query, lowest=10, highest=50, default=20)
    unread_only = fields.boolean(query, "unread_only")
    statement = "select_unread_inbox" if unread_only else "select_inbox"
    bounds = {"limit": limit, "offset": (page - 1) * limit, "preview": PREVIEW_LIMIT + 1}
    # A poll gets 304 most of the time.
    is_poll = "HTTP_IF_NONE_MATCH" in request.environ

    with request.read(_MAILBOX if is_poll else (*_MAILBOX, (statement, "caller", bounds))) as snapshot:
        caller = request.caller.username
        mailbox = snapshot.first("select_mailbox", caller=caller) or _NO_MAILBOX
        total_unread, conversations, unread_conversations, version = mailbox
        tag = entity_tag("inbox", caller, page, limit, unread_only, version, request.services.settings.roles)
        if matches(request.environ, tag):
            return Response(status=304, headers={"ETag": tag})
        rows = snapshot.all(statement, caller=caller, **bounds)
    others = {
        "total_unread": total_unread,
        "page": page,
        "page_size": limit,
        "total_conversations": unread_conversations if unread_only else conversations,
    }
    items = inbox_rows(rows, request.services.roles)
    return Response(encode_list("conversations", items, others), headers={"ETag": tag})


def unread(request: Request) -> Response:
    """GET /api/messages/unread: the badge that clients poll; it never prolongs the session."""
    request.is_background = True
    with request.read(_MAILBOX) as snapshot:
        caller = request.caller.username
        total_unread, *_ = snapshot.first("select_mailbox", caller=caller) or _NO_MAILBOX
    tag = entity_tag("unread", caller, total_unread)
    if matches(request.environ, tag):
        return Response(status=304, headers={"ETag": tag})
    return Response(b'{"total_unread":%d}\n' % total_unread, headers={"ETag": tag})


def conversation(request: Request, username: str) -> Response:
    """GET /api/messages/conversation/<username>: the newest messages, oldest first; reading marks nothing as read."""
    query = request.query("limit", "before", "after")
    limit = fields.limit(query, highest=200, default=50)
    up_to = fields.before(query)
    after = fields.integer(query, "after", lowest=0, highest=fields.HIGHEST_ID, default=0)
    if "before" in query and "after" in query:
        raise ApiError("invalid_parameter", "Give before or after, not both")
    partner = fields.username("username", username)
    bounds = {"partner": partner, "limit": limit + 1}
    if "after" in query:
        statement, bounds["after"] = "select_messages_after", after
    else:
        statement, bounds["up_to"] = "select_messages_up_to", up_to

    with request.read((_facts_about(partner), (statement, "caller", bounds))) as snapshot:
        caller = request.caller.username
        facts = _sending_facts(request, snapshot, partner)
        with closing(snapshot.each(statement, caller=caller, **bounds)) as rows:
            page, has_more = messages(rows, caller, partner, limit)
    decision = facts and decide_sending(facts)
    others = {
        "participant_count": 2,
        "has_more": has_more,
        "can_reply": bool(decision and decision.allowed),
        "reply_refusal": decision.code or None if decision else None,
        "with_role": request.services.roles.known(facts.recipient_role) if facts else None,
    }
    return Response(encode_list("messages", page if "after" in query else reversed(page), others))


def mark_conversation_read(request: Request, username: str) -> Response:
    """PATCH /api/messages/conversation/<username>/read: everything from them, or up to an id."""
    body = request.body("up_to")
    up_to = fields.message_id("up_to", body["up_to"]) if "up_to" in body else fields.HIGHEST_ID
    partner = fields.username("username", username)
    now = stored(request.now())

    def mark(transaction: Transaction) -> int:
        caller = request.caller.username
        _sending_facts(request, transaction, partner)
        return transaction.run("update_conversation_read", caller=caller, partner=partner, up_to=up_to, now=now)

    return Response({"with_user": partner, "marked": request.write(mark, [_facts_about(partner)])})


def hide_conversation(request: Request, username: str) -> Response:
    """DELETE /api/messages/conversation/<username>: hides the caller's side of all of it, or of it up to an id."""
    request.body()
    query = request.query("up_to")
    up_to = fields.integer(query, "up_to", lowest=1, highest=fields.HIGHEST_ID, default=fields.HIGHEST_ID)
    partner = fields.username("username", username)
    now = stored(request.now())

    def hide_some(transaction: Transaction) -> int | None:
        """Hides the newest messages up to an id; returns up to which id others may remain."""
        caller = request.caller.username
        if remaining == up_to:
            _sending_facts(request, transaction, partner)
        newest = {"caller": caller, "partner": partner, "up_to": remaining, "limit": HIDDEN_AT_ONCE}
        ids = [message_id for (message_id,) in transaction.all("select_conversation_ids", **newest)]
        for message_id in ids:
            transaction.run("update_message_hidden", id=message_id, caller=caller, now=now)
        return ids[-1] - 1 if len(ids) == HIDDEN_AT_ONCE else None

    remaining: int | None = up_to
    expected = [_facts_about(partner)]
    while remaining is not None:
        remaining = request.write(hide_some, expected)
        expected = []
    return NO_CONTENT


def _facts_about(partner: str) -> Expected:
    return "select_sending_facts", "sender", {"recipient": partner}


def _sending_facts(request: Request, snapshot: Snapshot, partner: str) -> SendingFacts | None:
    """None where the partner's account is gone and the caller still sees a message of the conversation.

    Raises ApiError 400 for the caller's own name, 404 for one that is neither an account nor such a partner.
    """
    caller = request.caller.username
    if partner == caller:
        raise ApiError("self_conversation")
    row = snapshot.first("select_sending_facts", sender=caller, recipient=partner)
    if row is None and snapshot.one("select_conversation_exists", owner=caller, partner=partner) == (0,):
        raise ApiError("user_not_found")
    return SendingFacts.of(row, request.services.roles) if row else None
