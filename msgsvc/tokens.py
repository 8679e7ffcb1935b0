"""Session tokens and password hashing."""

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.security import check_password_hash, generate_password_hash

from msgsvc.errors import ApiError
from msgsvc.settings import Settings

_METHOD = "scrypt:32768:8:1"
"""werkzeug's own default."""

_DECOY = f"{_METHOD}$salt$no password has this hash"


def new_token() -> str:
    """256 random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


class PasswordHasher:
    """Hashes passwords with werkzeug's scrypt, never in more than half of the server's threads at once.

    Hashing is slow by design, so without the bound a flood of logins would take every thread from messaging.
    Every method raises ApiError 503 beyond the bound.
    """

    def __init__(self, threads: int) -> None:
        self._places = threading.BoundedSemaphore(max(1, threads // 2))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise ApiError("too_many_logins", retry_after=1)
        try:
            yield
        finally:
            self._places.release()

    def hash(self, password: str) -> str:
        """The salted hash to store."""
        with self._place():
            return generate_password_hash(password, _METHOD)

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one hashed; None, for an unknown account, costs the same time."""
        with self._place():
            return check_password_hash(password_hash or _DECOY, password)


def session_limits(settings: Settings, now: float) -> dict[str, int]:
    """The epoch seconds after which a live session must have been used, and must have begun."""
    return {
        "idle_since": int(now) - settings.session_idle_seconds,
        "started_since": int(now) - settings.session_max_seconds,
    }
