"""Single messages: send, mark read, delete."""

import hashlib
import json
import math

from msgsvc import fields
from msgsvc.errors import ApiError
from msgsvc.json_http import NO_CONTENT, Response
from msgsvc.request import Expected, Request
from msgsvc.roles import SendingFacts, decide_sending
from msgsvc.storage.base import Transaction
from msgsvc.times import rfc3339, stored

IDEMPOTENCY_SECONDS = 24 * 3600
SEND_BURST = 20


def send(request: Request) -> Response:
    """POST /api/messages/send: 201 once the message is stored for good."""
    body = request.body("recipient", "subject", "content")
    recipient = fields.username("recipient", body.get("recipient"))
    subject = fields.subject(body)
    content = fields.content(body)
    key = fields.idempotency_key(request.environ.get("HTTP_IDEMPOTENCY_KEY"))
    digest = hashlib.sha256(json.dumps([recipient, subject, content]).encode()).digest() if key else b""
    now = request.now()
    sent_at = stored(now)
    expired_at = int(now) - IDEMPOTENCY_SECONDS
    key_use = {"key": key, "expired_at": expired_at, "believed_until": int(now) + IDEMPOTENCY_SECONDS}
    expected: tuple[Expected, ...] = (("select_sending_facts", "sender", {"recipient": recipient}),)
    if key:
        expected = ("select_idempotency_key", "sender", key_use), *expected

    def store(transaction: Transaction) -> Response:
        sender = request.caller.username
        if recipient == sender:
            raise ApiError("self_message")
        first = key and transaction.first("select_idempotency_key", sender=sender, **key_use)
        if first and first[0] == digest:
            return _sent(first[1], first[2], recipient, replayed=True)
        facts = transaction.first("select_sending_facts", sender=sender, recipient=recipient)
        if facts is None or not fields.is_addressable(recipient):
            raise ApiError("recipient_not_found")
        decision = decide_sending(SendingFacts.of(facts, request.services.roles))
        if not decision.allowed:
            raise ApiError(decision.code)
        if first:
            raise ApiError("idempotency_key_reused")
        _count_send(request, transaction, now)
        message_id = transaction.insert(
            "insert_message", sender=sender, recipient=recipient, subject=subject, content=content, now=sent_at
        )
        if key:
            transaction.enqueue("delete_expired_idempotency_keys", expired_at=expired_at)
            transaction.enqueue(
                "insert_idempotency_key",
                sender=sender,
                key=key,
                body_digest=digest,
                message_id=message_id,
                sent_at=sent_at,
                created_at=int(now),
            )
        return _sent(message_id, sent_at, recipient)

    return request.write(store, expected)


def _count_send(request: Request, transaction: Transaction, now: float) -> None:
    """Counts a message against the sender's allowance. Raises ApiError 429 where that is used up."""
    rate = request.services.settings.send_rate
    if not rate:
        return
    sender = request.caller.username
    interval = 60 / rate
    rounding = 0.001
    tolerance = (SEND_BURST - 1 + rounding) * interval
    burst = tolerance + interval
    if not transaction.first(
        "upsert_send_limit", sender=sender, now=now, interval=interval, tolerance=tolerance, burst=burst
    ):
        (used_up_to,) = transaction.one("select_send_limit", sender=sender)
        wait = math.ceil(used_up_to - tolerance - now)
        raise ApiError("too_many_messages", f"At most {rate} messages a minute may be sent", retry_after=wait)


def _sent(message_id: int, sent_at: str, recipient: str, *, replayed: bool = False) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    answer = {"message_id": message_id, "sent_at": rfc3339(sent_at), "status": "sent", "recipient": recipient}
    return Response(answer, 201, headers)


def mark_read(request: Request, message_id: int) -> Response:
    """PATCH /api/messages/<id>/read: only the recipient; a repeat answers the first read_at."""
    request.body()
    now = stored(request.now())

    def mark(transaction: Transaction) -> object:
        caller = request.caller.username
        if transaction.run("update_message_read", id=message_id, caller=caller, now=now):
            return now
        is_recipient, read_at = _require_access(transaction, message_id, caller)
        if not is_recipient:
            raise ApiError("not_recipient")
        transaction.run("update_message_read_again", id=message_id, caller=caller)
        return read_at

    read_at = request.write(mark)
    return Response({"message_id": message_id, "is_read": True, "read_at": rfc3339(read_at)})


def delete(request: Request, message_id: int) -> Response:
    """DELETE /api/messages/<id>: hides the caller's side."""
    request.body()
    now = stored(request.now())

    def hide(transaction: Transaction) -> None:
        caller = request.caller.username
        if not transaction.run("update_message_hidden", id=message_id, caller=caller, now=now):
            _require_access(transaction, message_id, caller)

    request.write(hide)
    return NO_CONTENT


def _require_access(transaction: Transaction, message_id: int, caller: str) -> tuple[bool, object]:
    """Whether the caller received the message, and its read_at.

    Raises ApiError 404 for one that is missing or hidden on the caller's side, 403 for one between others.
    """
    access = transaction.first("select_message_access", id=message_id, caller=caller)
    if access is None:
        raise ApiError("message_not_found")
    is_participant, is_visible, is_recipient, read_at = access
    if not is_participant:
        raise ApiError("not_participant")
    if not is_visible:
        raise ApiError("message_not_found")
    return is_recipient, read_at
