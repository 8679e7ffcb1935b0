"""THE table of all calls: method, path, handler, who may make them, and which thread answers them.

Nothing is public by omission, and nothing is scheduled by the look of its URL.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from werkzeug.routing import BaseConverter, Map, Rule, ValidationError

from msgsvc.authorization import Access
from msgsvc.fields import HIGHEST_ID
from msgsvc.handlers import blocks, conversations, messages, monitoring, recipients, sessions, system, users
from msgsvc.json_http import Response

Handler = Callable[..., Response]


class Lane(Enum):
    """Which thread of ``msgsvc serve`` answers a call. Other servers answer every call in one of their own threads."""

    INLINE_READ = "the event loop: only where an answer takes a few local microseconds"
    BATCHED_WRITE = "the write batcher: many calls share one commit"
    WORKER = "a worker thread"


class Route(NamedTuple):
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    access: Access
    lane: Lane

    @property
    def is_public(self) -> bool:
        """Whether the call shows the same to everybody and changes nothing, so that any site may link to it."""
        return self.access is Access.ANYONE and self.method == "GET"


ANYONE, OWN_SESSION, MEMBER, ADMIN = Access
INLINE_READ, BATCHED_WRITE, WORKER = Lane

MESSAGE_ROUTES = [
    Route("POST", "/send", messages.send, MEMBER, BATCHED_WRITE),
    Route("GET", "/inbox", conversations.inbox, MEMBER, INLINE_READ),
    Route("GET", "/unread", conversations.unread, MEMBER, INLINE_READ),
    Route("GET", "/conversation/<username>", conversations.conversation, MEMBER, INLINE_READ),
    Route("PATCH", "/conversation/<username>/read", conversations.mark_conversation_read, MEMBER, BATCHED_WRITE),
    Route("DELETE", "/conversation/<username>", conversations.hide_conversation, MEMBER, WORKER),
    Route("PATCH", "/<id:message_id>/read", messages.mark_read, MEMBER, BATCHED_WRITE),
    Route("DELETE", "/<id:message_id>", messages.delete, MEMBER, BATCHED_WRITE),
    Route("GET", "/recipients", recipients.recipients, MEMBER, WORKER),
    Route("GET", "/blocks", blocks.blocks, MEMBER, WORKER),
    Route("PUT", "/blocks/<username>", blocks.block, MEMBER, BATCHED_WRITE),
    Route("DELETE", "/blocks/<username>", blocks.unblock, MEMBER, BATCHED_WRITE),
    Route("GET", "/admin/conversations", monitoring.conversations, ADMIN, WORKER),
    Route("GET", "/admin/conversation/<a>/<b>", monitoring.conversation, ADMIN, WORKER),
    Route("GET", "/admin/audit", monitoring.audit_rows, ADMIN, WORKER),
]

SYSTEM_ROUTES = [
    Route("GET", "/healthz", system.health, ANYONE, INLINE_READ),
    Route("GET", "/api/openapi.json", system.openapi, ANYONE, INLINE_READ),
]

ACCOUNT_ROUTES = [
    Route("POST", "/api/auth/login", sessions.login, ANYONE, WORKER),
    Route("GET", "/api/auth/session", sessions.session, OWN_SESSION, WORKER),
    Route("POST", "/api/auth/logout", sessions.logout, OWN_SESSION, WORKER),
    Route("POST", "/api/auth/logout-all", sessions.logout_all, MEMBER, WORKER),
    Route("PUT", "/api/auth/password", sessions.change_password, OWN_SESSION, WORKER),
    Route("GET", "/api/users", users.users, ADMIN, WORKER),
    Route("POST", "/api/users", users.create, ADMIN, WORKER),
    Route("PATCH", "/api/users/<username>", users.change, ADMIN, WORKER),
]


class IdConverter(BaseConverter):
    """The id of a message in canonical decimal digits; anything else is no such path."""

    regex = "[1-9][0-9]{0,18}"
    weight = 150
    """In a host's URL map it comes after the host's own rules for one segment (100), before those for a path (200)."""

    def to_python(self, value: str) -> int:
        """Raises ValidationError beyond the largest integer of a database."""
        if int(value) > HIGHEST_ID:
            raise ValidationError
        return int(value)


def routes(prefix: str, *, standalone: bool) -> list[Route]:
    """The table for an application: an embedding host keeps the account paths for itself."""
    mounted = [route._replace(path=prefix + route.path) for route in MESSAGE_ROUTES]
    return mounted + SYSTEM_ROUTES + (ACCOUNT_ROUTES if standalone else [])


def host_paths(id_converter: str) -> list[str]:
    """The paths of the message calls beneath the prefix, as Flask and Django write them."""
    return list(dict.fromkeys(route.path.replace("<id:", f"<{id_converter}:") for route in MESSAGE_ROUTES))


def url_map(table: list[Route]) -> Map:
    """The table as a Werkzeug URL map whose endpoints are its rows."""
    rules = [Rule(route.path, methods=[route.method], endpoint=route) for route in table]
    return Map(rules, converters={"id": IdConverter}, strict_slashes=True, merge_slashes=False, redirect_defaults=False)
