"""Single messages: send, mark read, delete."""

import hashlib
import json
import math

from msgsvc import fields
from msgsvc.database import Connection
from msgsvc.json_http import NO_CONTENT, ApiError, Request, Response
from msgsvc.roles import SendingFacts, decide_sending
from msgsvc.times import rfc3339, stored

IDEMPOTENCY_SECONDS = 24 * 3600
SEND_BURST = 20


def send(request: Request) -> Response:
    """POST /api/messages/send: 201 once the message is stored for good."""
    body = request.body("recipient", "subject", "content")
    sender = request.caller.username
    recipient = fields.username("recipient", body.get("recipient"))
    subject = fields.subject(body)
    content = fields.content(body)
    key = fields.idempotency_key(request.environ.get("HTTP_IDEMPOTENCY_KEY"))
    if recipient == sender:
        raise ApiError(400, "self_message", "recipient must not be yourself")
    digest = hashlib.sha256(json.dumps([recipient, subject, content]).encode()).digest() if key else b""
    now = request.now()
    sent_at = stored(now)

    with request.transaction() as transaction:
        expired_at = int(now) - IDEMPOTENCY_SECONDS
        first = key and transaction.first("select_idempotency_key", sender=sender, key=key, expired_at=expired_at)
        if first and first[0] == digest:
            return _sent(first[1], first[2], replayed=True)
        facts = transaction.first("select_sending_facts", sender=sender, recipient=recipient)
        if facts is None:
            raise ApiError(404, "recipient_not_found", "No such recipient")
        decision = decide_sending(SendingFacts(*facts))
        if not decision.allowed:
            raise ApiError(403, decision.code, decision.sentence)
        if first:
            raise ApiError(422, "idempotency_key_reused", "This Idempotency-Key was used for another body")
        _count_send(request, transaction, now)
        (message_id,) = transaction.one(
            "insert_message", sender=sender, recipient=recipient, subject=subject, content=content, now=sent_at
        )
        if key:
            transaction.run("delete_expired_idempotency_keys", expired_at=expired_at)
            transaction.run(
                "insert_idempotency_key",
                sender=sender,
                key=key,
                body_digest=digest,
                message_id=message_id,
                sent_at=sent_at,
                created_at=int(now),
            )
    return _sent(message_id, sent_at)


def _count_send(request: Request, transaction: Connection, now: float) -> None:
    """Raises ApiError 429 for a sender who has spent the burst and is ahead of the rate."""
    rate = request.services.settings.send_rate
    if not rate:
        return
    sender = request.caller.username
    interval = 60 / rate
    rounding = 0.001
    tolerance = (SEND_BURST - 1 + rounding) * interval
    if transaction.first("upsert_send_limit", sender=sender, now=now, interval=interval, tolerance=tolerance) is None:
        (used_up_to,) = transaction.one("select_send_limit", sender=sender)
        wait = math.ceil(used_up_to - tolerance - now)
        raise ApiError(429, "too_many_messages", f"At most {rate} messages a minute may be sent", Retry_After=str(wait))


def _sent(message_id: int, sent_at: str, *, replayed: bool = False) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response({"message_id": message_id, "sent_at": rfc3339(sent_at), "status": "sent"}, 201, headers)


def mark_read(request: Request, message_id: int) -> Response:
    """PATCH /api/messages/<id>/read: only the recipient; a repeat answers the first read_at."""
    request.body()
    caller = request.caller.username
    now = stored(request.now())

    with request.transaction() as transaction:
        updated = transaction.first("update_message_read", id=message_id, caller=caller, now=now)
        is_recipient, read_at = (True, updated[0]) if updated else _standing(transaction, message_id, caller)
        if not is_recipient:
            raise ApiError(403, "not_recipient", "Only the recipient may mark a message as read")
    return Response({"message_id": message_id, "is_read": True, "read_at": rfc3339(read_at)})


def delete(request: Request, message_id: int) -> Response:
    """DELETE /api/messages/<id>: hides the caller's side."""
    request.body()
    caller = request.caller.username
    now = stored(request.now())

    with request.transaction() as transaction:
        if not transaction.run("update_message_hidden", id=message_id, caller=caller, now=now):
            _standing(transaction, message_id, caller)
    return NO_CONTENT


def _standing(transaction: Connection, message_id: int, caller: str) -> tuple[bool, object]:
    """Whether the caller received the message, and its read_at.

    Raises ApiError 404 for one that is missing or hidden on the caller's side, 403 for one between others.
    """
    standing = transaction.first("select_message_standing", id=message_id, caller=caller)
    if standing is None:
        raise ApiError(404, "message_not_found", "No such message")
    takes_part, sees_it, is_recipient, read_at = standing
    if not takes_part:
        raise ApiError(403, "not_participant", "You take no part in this message")
    if not sees_it:
        raise ApiError(404, "message_not_found", "No such message")
    return is_recipient, read_at
