"""Recipients: the people the caller may write to."""

from msgsvc import fields
from msgsvc.json_http import Response
from msgsvc.request import Request
from msgsvc.roles import ONLY_AS_A_REPLY, ROLES, SENDING_MATRIX, SendingFacts, decide_sending, may_be_blocked_by
from msgsvc.storage.base import Row, Snapshot


def recipients(request: Request) -> Response:
    """GET /api/messages/recipients: by the beginning of a word of the name; a user finds users only by exact name."""
    query = request.query("q", "limit")
    prefix = fields.text("q", query["q"], limit=fields.NAME_LIMIT, code="invalid_parameter") if "q" in query else ""
    limit = fields.limit(query, highest=100, default=20)

    with request.read() as snapshot:
        found = _found(request, snapshot, prefix, limit)
    role_of = request.services.roles.known
    return Response({"recipients": [{"username": username, "role": role_of(role)} for username, role, _ in found]})


def _found(request: Request, snapshot: Snapshot, prefix: str, limit: int) -> list[Row]:
    """Sorted by the word that was found, then by username. The cost grows with the rows found, not with all people."""
    caller, names = request.caller, request.services.roles.names
    people: list[Row] = []
    for role in ROLES if caller.role in ROLES else ():
        if caller.role == role == "user":
            people += _user_of_name(request, snapshot, prefix)
            continue
        search = {
            "sender": caller.username,
            "prefix": prefix,
            "a_block_counts": may_be_blocked_by(caller.role, role),
        }
        for name in names(role):
            if SENDING_MATRIX[caller.role][role] == ONLY_AS_A_REPLY:
                people += snapshot.all("select_writers_by_word", role=name, **search)
            else:
                people += snapshot.all("select_people_by_word", role=name, limit=limit, **search)
    return sorted(people, key=lambda row: (row[2], row[0]))[:limit]


def _user_of_name(request: Request, snapshot: Snapshot, username: str) -> list[Row]:
    caller, roles = request.caller.username, request.services.roles
    row = snapshot.first("select_sending_facts", sender=caller, recipient=username)
    facts = SendingFacts.of(row, roles) if row else None
    if not facts or facts.recipient_role != "user" or username == caller or not decide_sending(facts).allowed:
        return []
    return [(username, "user", username)]
