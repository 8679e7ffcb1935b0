"""The table of all calls: method, path, handler, who may make them, and which thread answers."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from werkzeug.routing import BaseConverter, Map, Rule, ValidationError

from msgsvc.fields import HIGHEST_ID
from msgsvc.handlers import blocks, conversations, messages, monitoring, recipients, sessions, system, users
from msgsvc.json_http import Response

Handler = Callable[..., Response]


class Who(Enum):
    """Who may make a call."""

    ANYONE = "anyone"
    MEMBER = "anyone with a session"
    ADMIN = "admins"


class Lane(Enum):
    """Which thread of ``msgsvc serve`` answers a call, where the database allows it; otherwise a worker does."""

    INLINE_READ = "the event loop, within a time budget"
    BATCHED_WRITE = "the write batcher, with one commit for many calls"
    WORKER = "a worker thread"


class Route(NamedTuple):
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    who: Who
    lane: Lane


MESSAGE_ROUTES = [
    Route("POST", "/send", messages.send, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("GET", "/inbox", conversations.inbox, Who.MEMBER, Lane.INLINE_READ),
    Route("GET", "/unread", conversations.unread, Who.MEMBER, Lane.INLINE_READ),
    Route("GET", "/conversation/<username>", conversations.conversation, Who.MEMBER, Lane.INLINE_READ),
    Route(
        "PATCH", "/conversation/<username>/read", conversations.mark_conversation_read, Who.MEMBER, Lane.BATCHED_WRITE
    ),
    Route("DELETE", "/conversation/<username>", conversations.hide_conversation, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("PATCH", "/<id:message_id>/read", messages.mark_read, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("DELETE", "/<id:message_id>", messages.delete, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("GET", "/recipients", recipients.recipients, Who.MEMBER, Lane.WORKER),
    Route("GET", "/blocks", blocks.blocks, Who.MEMBER, Lane.WORKER),
    Route("PUT", "/blocks/<username>", blocks.block, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("DELETE", "/blocks/<username>", blocks.unblock, Who.MEMBER, Lane.BATCHED_WRITE),
    Route("GET", "/admin/conversations", monitoring.conversations, Who.ADMIN, Lane.WORKER),
    Route("GET", "/admin/conversation/<a>/<b>", monitoring.conversation, Who.ADMIN, Lane.WORKER),
    Route("GET", "/admin/audit", monitoring.audit_rows, Who.ADMIN, Lane.WORKER),
]

SYSTEM_ROUTES = [
    Route("GET", "/healthz", system.health, Who.ANYONE, Lane.WORKER),
    Route("GET", "/api/openapi.json", system.openapi, Who.ANYONE, Lane.WORKER),
]

ACCOUNT_ROUTES = [
    Route("POST", "/api/auth/login", sessions.login, Who.ANYONE, Lane.WORKER),
    Route("GET", "/api/auth/session", sessions.session, Who.MEMBER, Lane.WORKER),
    Route("POST", "/api/auth/logout", sessions.logout, Who.MEMBER, Lane.WORKER),
    Route("POST", "/api/auth/logout-all", sessions.logout_all, Who.MEMBER, Lane.WORKER),
    Route("PUT", "/api/auth/password", sessions.change_password, Who.MEMBER, Lane.WORKER),
    Route("GET", "/api/users", users.users, Who.ADMIN, Lane.WORKER),
    Route("POST", "/api/users", users.create, Who.ADMIN, Lane.WORKER),
    Route("PATCH", "/api/users/<username>", users.change, Who.ADMIN, Lane.WORKER),
]


class IdConverter(BaseConverter):
    """The id of a message in canonical decimal digits; anything else is no such path."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        """Raises ValidationError beyond SQLite's largest integer."""
        if int(value) > HIGHEST_ID:
            raise ValidationError
        return int(value)


def routes(prefix: str, *, standalone: bool) -> list[Route]:
    """The table for an application: an embedding host keeps the account paths for itself."""
    mounted = [route._replace(path=prefix + route.path) for route in MESSAGE_ROUTES]
    return mounted + SYSTEM_ROUTES + (ACCOUNT_ROUTES if standalone else [])


def url_map(table: list[Route]) -> Map:
    """The table as a Werkzeug URL map whose endpoints are its rows."""
    rules = [Rule(route.path, methods=[route.method], endpoint=route) for route in table]
    return Map(rules, converters={"id": IdConverter}, strict_slashes=True, merge_slashes=False, redirect_defaults=False)
