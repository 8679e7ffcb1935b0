"""Monitoring: what admins may look at. A look writes nothing but its audit row, which is stored before the answer."""

from contextlib import closing

from msgsvc import fields
from msgsvc.audit import Look, audit_look
from msgsvc.errors import ApiError
from msgsvc.json_http import Response, encode_list
from msgsvc.request import Request
from msgsvc.shapes import messages
from msgsvc.storage.base import Row, Snapshot
from msgsvc.times import rfc3339


def conversations(request: Request) -> Response:
    """GET /api/messages/admin/conversations: who talks with whom, newest first; no content."""
    query = request.query("page", "limit", "username")
    page = fields.page(query)
    limit = fields.limit(query, highest=100, default=20)
    username = fields.username("username", query["username"], "invalid_parameter") if "username" in query else None

    with request.read() as snapshot:
        rows = snapshot.all(
            "select_all_conversations_by_username" if username else "select_all_conversations",
            limit=limit + 1,
            offset=(page - 1) * limit,
            **({"username": username} if username else {}),
        )
    _record(request, Look("conversations_listed", subject=username))
    answer = {
        "conversations": [
            {"participants": sorted((owner, partner)), "last_message_time": rfc3339(sent_at)}
            for owner, partner, sent_at, _ in rows[:limit]
        ],
        "page": page,
        "page_size": limit,
        "has_more": len(rows) > limit,
    }
    return Response(answer)


def conversation(request: Request, a: str, b: str) -> Response:
    """GET /api/messages/admin/conversation/<a>/<b>: what at least one of the two still sees, oldest first."""
    query = request.query("reason", "limit", "before")
    reason = fields.reason(query.get("reason"))
    limit = fields.limit(query, highest=200, default=50)
    up_to = fields.before(query)
    participants = first, second = sorted((fields.username("a", a), fields.username("b", b)))
    if a == b:
        raise ApiError("self_conversation", "There is no conversation of one person")

    with request.read() as snapshot:
        are_accounts = all(snapshot.first("select_account", username=name) for name in participants)
        if not are_accounts and not _is_seen(snapshot, a, b):
            raise ApiError("user_not_found")
        with closing(snapshot.each("select_monitored_messages", a=a, b=b, up_to=up_to, limit=limit + 1)) as rows:
            page, has_more = messages(rows, a, b, limit)
    _record(request, Look("conversation_viewed", participants=(first, second), reason=reason))
    others = {"participants": participants, "has_more": has_more}
    return Response(encode_list("messages", reversed(page), others))


def _is_seen(snapshot: Snapshot, a: str, b: str) -> bool:
    """Whether one of the two still sees a message of their conversation."""
    sides = ({"owner": a, "partner": b}, {"owner": b, "partner": a})
    return any(snapshot.one("select_conversation_exists", **side) == (1,) for side in sides)


def _record(request: Request, look: Look) -> None:
    """Writes the audit row after the snapshot has ended, so that writers never wait for a long list."""
    request.write(lambda transaction: audit_look(transaction, request.actor(), look))


def audit_rows(request: Request) -> Response:
    """GET /api/messages/admin/audit: who looked at or changed what, newest first."""
    query = request.query("limit", "before", "actor", "action", "username")
    limit = fields.limit(query, highest=200, default=50)
    page = {"up_to": fields.before(query), "limit": limit + 1}
    actor, action, username = (
        fields.username(name, query[name], "invalid_parameter") if name in query else None
        for name in ("actor", "action", "username")
    )

    with request.read() as snapshot:
        if username:
            rows = snapshot.all("select_audit_by_username", username=username, actor=actor, action=action, **page)
        elif actor:
            rows = snapshot.all("select_audit_by_actor", actor=actor, action=action, **page)
        elif action:
            rows = snapshot.all("select_audit_by_action", action=action, **page)
        else:
            rows = snapshot.all("select_audit", **page)
    return Response({"audit": [_audit_row(row) for row in rows[:limit]], "has_more": len(rows) > limit})


def _audit_row(row: Row) -> dict[str, object]:
    row_id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at = row
    return {
        "id": row_id,
        "actor": actor,
        "source": source,
        "action": action,
        "subject": subject,
        "participants": None if participant_a is None else [participant_a, participant_b],
        "reason": reason,
        "request_id": request_id,
        "at": rfc3339(at),
    }
