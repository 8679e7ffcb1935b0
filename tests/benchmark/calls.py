"""The calls that are measured: the requests of each, as the bytes that travel."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice, repeat

from .load import Address, ask
from .seed import HUB, Seed

API = "/api/messages"


@dataclass(frozen=True)
class Call:
    """One call: the status that it must answer with, and how its requests are made."""

    name: str
    status: int
    requests: Callable[["Workload"], Iterator[bytes]]
    uses_up_messages: bool = False
    is_always_the_same: bool = False
    """Whether all its requests are one and the same, so that wrk can send them too."""


class Workload:
    """The requests for one server. Those that use up a message never name it twice."""

    def __init__(self, seed: Seed, tokens: dict[str, str], address: Address, rounds: int) -> None:
        """The messages are shared out evenly among so many rounds."""
        self.seed = seed
        self.address = address
        self._tokens = tokens
        self._rounds = rounds
        self._streams: dict[str, Iterator[bytes]] = {}

    def take(self, call: Call) -> Iterator[bytes]:
        """The requests of one round."""
        stream = self._streams.setdefault(call.name, call.requests(self))
        if not call.uses_up_messages:
            return stream
        return islice(stream, min(len(self.seed.unread), len(self.seed.read)) // self._rounds)

    def request(self, method: str, path: str, username: str = HUB, body: object = None, tag: bytes = b"") -> bytes:
        """An HTTP request with the person's session."""
        payload = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {API}{path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self._tokens[username]}"]
        if payload:
            lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
        head = "\r\n".join(lines).encode() + (b"\r\nIf-None-Match: " + tag if tag else b"")
        return head + b"\r\n\r\n" + payload


def same_sized(request: bytes, body_bytes: int) -> bytes:
    """The request for an answer of that size from the bare application: all the same but for the path."""
    method, _, rest = request.split(b" ", 2)
    return b"%s /body/%d %s" % (method, body_bytes, rest)


def _inbox(work: Workload) -> Iterator[bytes]:
    return repeat(work.request("GET", "/inbox?page=1&limit=20"))


def _inbox_late_page(work: Workload) -> Iterator[bytes]:
    """Full in every database: some of the 2,000 have hidden all that they wrote."""
    return repeat(work.request("GET", f"/inbox?page={max(1, len(work.seed.partners) * 9 // 200)}&limit=20"))


def _conversation(work: Workload) -> Iterator[bytes]:
    return repeat(work.request("GET", f"/conversation/{work.seed.partners[0]}?limit=50"))


def _conversation_deep(work: Workload) -> Iterator[bytes]:
    """At depths all over the conversation."""
    path = f"/conversation/{work.seed.partners[0]}?limit=50&before="
    return cycle([work.request("GET", f"{path}{work.seed.messages * part // 20}") for part in range(5, 20)])


def _badge(work: Workload) -> Iterator[bytes]:
    return repeat(work.request("GET", "/unread"))


def _badge_unchanged(work: Workload) -> Iterator[bytes]:
    head, _ = ask(work.address, work.request("GET", "/unread"))
    (tag,) = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"etag:")]
    return repeat(work.request("GET", "/unread", tag=tag))


def _send(work: Workload) -> Iterator[bytes]:
    people = work.seed.active
    for number in count():
        sender, recipient = people[number % len(people)], people[(number + 1) % len(people)]
        body = {"recipient": recipient, "content": f"Message {number}: shall we talk about it tomorrow?"}
        yield work.request("POST", "/send", sender, body)


def _mark_read(work: Workload) -> Iterator[bytes]:
    for message_id, recipient in work.seed.unread:
        yield work.request("PATCH", f"/{message_id}/read", recipient, {})


def _delete(work: Workload) -> Iterator[bytes]:
    for message_id, recipient in work.seed.read:
        yield work.request("DELETE", f"/{message_id}", recipient)


INBOX = Call("inbox", 200, _inbox, is_always_the_same=True)
CONVERSATION = Call("conversation", 200, _conversation, is_always_the_same=True)
UNREAD = Call("unread", 200, _badge, is_always_the_same=True)
UNREAD_304 = Call("unread-304", 304, _badge_unchanged, is_always_the_same=True)
WRITES = [
    Call("send", 201, _send),
    Call("read", 200, _mark_read, uses_up_messages=True),
    Call("delete", 204, _delete, uses_up_messages=True),
]

CALLS = [INBOX, CONVERSATION, UNREAD_304, UNREAD, *WRITES]
"""What a client does all day, as the person with the most partners."""

GROWTH_CALLS = [
    INBOX,
    Call("inbox-page-90", 200, _inbox_late_page),
    CONVERSATION,
    Call("conversation-deep", 200, _conversation_deep),
    UNREAD,
    *WRITES,
]
"""What must not cost more when the history grows."""
