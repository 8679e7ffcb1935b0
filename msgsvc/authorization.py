"""Who calls, and whether the call is open to them: read in the snapshot or transaction of the call itself."""

import logging
import traceback
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgsvc import fields
from msgsvc.errors import ApiError
from msgsvc.json_http import bearer_token
from msgsvc.roles import RoleNames
from msgsvc.sessions import live_session
from msgsvc.settings import Settings
from msgsvc.storage.base import Snapshot
from msgsvc.tokens import token_hash

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Authenticate = Callable[["WSGIEnvironment"], str | None]
Credentials = bytes | str
"""How a request names its caller: the hash of a session token, or the username that the host has authenticated."""

REMEMBERED_SESSIONS = 10_000
"""Of so many sessions a process remembers the account, about 2 MB."""

logger = logging.getLogger("msgsvc")


class Access(Enum):
    """Who may make a call."""

    ANYONE = "anyone"
    OWN_SESSION = "anyone with a session, also where the password must be changed first"
    MEMBER = "anyone with a session"
    ADMIN = "admins"


class Caller(NamedTuple):
    """The account that calls. The session is None where the accounts are the host's. Times are epoch seconds."""

    username: str
    role: str
    suspended: int
    must_change_password: int = 0
    session_id: int | None = None
    session_expires_at: int | None = None
    session_used_at: int | None = None


class Authentication(Protocol):
    """How an application authenticates its callers."""

    def credentials(self, environ: "WSGIEnvironment", request_id: str) -> Credentials | None:
        """How the request names its caller; read without our database."""
        ...

    def likely_username(self, credentials: Credentials) -> str | None:
        """Whose account the credentials most likely stand for; nothing may be decided by it."""
        ...

    def caller(self, snapshot: Snapshot, credentials: Credentials, now: float, request_id: str) -> Caller | None:
        """The account behind the credentials."""
        ...


class SessionAuthentication:
    """The accounts and sessions are msgsvc's own."""

    def __init__(self, settings: Settings, roles: RoleNames) -> None:
        self._settings = settings
        self._roles = roles
        self._usernames: dict[Credentials, str] = {}

    def credentials(self, environ: "WSGIEnvironment", request_id: str) -> Credentials | None:  # noqa: ARG002
        """The hash of the session token."""
        token = bearer_token(environ)
        return None if token is None else token_hash(token)

    def likely_username(self, credentials: Credentials) -> str | None:
        """The account that the session stood for when it was last looked up."""
        return self._usernames.get(credentials)

    def caller(
        self,
        snapshot: Snapshot,
        credentials: Credentials,
        now: float,
        request_id: str,  # noqa: ARG002
    ) -> Caller | None:
        """The account of a live session."""
        row = snapshot.first("select_session", token_hash=credentials, **live_session(self._settings, now))
        if row is None:
            return None
        username, role, suspended, must_change, session_id, created_at, used_at = row
        if self._usernames.get(credentials) != username:
            if len(self._usernames) >= REMEMBERED_SESSIONS:
                self._usernames.clear()
            self._usernames[credentials] = username
        ends_at = created_at + self._settings.session_max_seconds
        return Caller(username, self._roles.meaning(role), suspended, must_change, session_id, ends_at, used_at)


class HostAuthentication:
    """The accounts are the host's: its function ``authenticate`` names the caller."""

    def __init__(self, authenticate: Authenticate, roles: RoleNames) -> None:
        self._authenticate = authenticate
        self._roles = roles

    def credentials(self, environ: "WSGIEnvironment", request_id: str) -> Credentials | None:
        """The username that the host has authenticated. Raises ApiError 503 where the host's function fails."""
        try:
            username = self._authenticate(environ)
        except Exception as error:
            logger.error("authenticate failed: %s", place_of(error), extra={"fields": {"request_id": request_id}})
            raise ApiError("authentication_unavailable") from None
        try:
            return None if username is None else fields.addressable_username("username", username)
        except ApiError as error:
            logger.error("authenticate: %s", error.sentence, extra={"fields": {"request_id": request_id}})
            return None

    def likely_username(self, credentials: Credentials) -> str | None:
        """The name itself."""
        return str(credentials)

    def caller(
        self,
        snapshot: Snapshot,
        credentials: Credentials,
        now: float,  # noqa: ARG002
        request_id: str,
    ) -> Caller | None:
        """The account of that name in the table users."""
        row = snapshot.first("select_account", username=credentials)
        if row is None:
            logger.warning("authenticate named nobody in users", extra={"fields": {"request_id": request_id}})
            return None
        username, role, suspended = row
        return Caller(username, self._roles.meaning(role), suspended)


def check_access(access: Access, caller: Caller | None) -> Caller:
    """Raises ApiError 401 without a caller; 403 where the caller is suspended, must change the password first, or has
    not the role.
    """
    if caller is None:
        raise ApiError("unauthorized")
    if caller.suspended:
        raise ApiError("account_suspended")
    if caller.must_change_password and access is not Access.OWN_SESSION:
        raise ApiError("password_change_required")
    if access is Access.ADMIN and caller.role != "admin":
        raise ApiError("admin_only")
    return caller


def place_of(error: Exception) -> str:
    """Type and place of an exception for the log, without its text, which may quote a message."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join([type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))])
