"""Recipients: the people the caller may write to."""

from collections.abc import Generator
from contextlib import closing
from itertools import islice

from msgsvc import fields
from msgsvc.authorization import Caller
from msgsvc.json_http import Response
from msgsvc.request import Request
from msgsvc.roles import SendingFacts, decide_sending
from msgsvc.storage.base import Row, Snapshot


def recipients(request: Request) -> Response:
    """GET /api/messages/recipients: by prefix of the name; a user finds other users only by exact name."""
    query = request.query("q", "limit")
    prefix = fields.username("q", query["q"], "invalid_parameter") if "q" in query else ""
    limit = fields.limit(query, highest=100, default=20)

    with (
        request.read() as snapshot,
        closing(_candidates(snapshot, request.caller, prefix)) as candidates,
    ):
        caller = request.caller
        writable = (
            {"username": username, "role": role}
            for username, role, suspended, blocked, wrote_before in candidates
            if decide_sending(SendingFacts(caller.role, role, 0, suspended, blocked, wrote_before)).allowed
        )
        found = list(islice(writable, limit))
    return Response({"recipients": found})


def _candidates(snapshot: Snapshot, caller: Caller, prefix: str) -> Generator[Row, None, None]:
    return snapshot.each("select_recipient_candidates", sender=caller.username, sender_role=caller.role, prefix=prefix)
