"""Recipients: the people the caller may write to."""

from contextlib import closing
from itertools import islice

from msgsvc import fields
from msgsvc.json_http import Request, Response
from msgsvc.roles import SendingFacts, decide_sending


def recipients(request: Request) -> Response:
    """GET /api/messages/recipients: by prefix of the name; a user finds other users only by exact name."""
    query = request.query("q", "limit")
    prefix = fields.username("q", query["q"], "invalid_parameter") if "q" in query else ""
    limit = fields.limit(query, highest=100, default=20)
    caller = request.caller

    with (
        request.database.read() as snapshot,
        closing(
            snapshot.each("select_recipient_candidates", sender=caller.username, sender_role=caller.role, prefix=prefix)
        ) as candidates,
    ):
        writable = (
            {"username": username, "role": role}
            for username, role, suspended, blocked, wrote_before in candidates
            if decide_sending(SendingFacts(caller.role, role, 0, suspended, blocked, wrote_before)).allowed
        )
        found = list(islice(writable, limit))
    return Response({"recipients": found})
