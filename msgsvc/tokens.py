"""Session tokens and password hashing."""

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.security import check_password_hash, generate_password_hash

from msgsvc.errors import ApiError

HASH_METHOD = "scrypt:32768:8:1"
"""werkzeug's own default."""

HASHES_EACH_ADDRESS = 2
"""At most this many passwords are hashed at once for one address."""


def new_token() -> str:
    """256 random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


class PasswordHasher:
    """Hashes passwords with werkzeug's scrypt, never in more than half of the server's threads at once.

    Hashing is slow by design, so without the bound a flood of logins would take every thread from messaging.
    """

    def __init__(self, threads: int) -> None:
        self._limit = max(1, threads // 2)
        self._address_limit = max(1, self._limit - 1)
        self._names: set[str] = set()
        self._queues: dict[str, list[object]] = {}
        self._has_left = threading.Condition()

    @contextmanager
    def turn(self, name: str, address: str) -> Iterator[None]:
        """Allows hashing inside the block; entering waits for those of the same address who came before.

        A name has one place, and an address can take all places but one, so that no client can block the login of
        others. Raises ApiError 503 at once where no place is free.
        """
        with self._has_left:
            queue = self._queues.get(address, [])
            if name in self._names or len(self._names) >= self._limit or len(queue) >= self._address_limit:
                raise ApiError("too_many_logins")
            self._names.add(name)
            self._queues[address] = queue
            me = object()
            queue.append(me)
        try:
            with self._has_left:
                self._has_left.wait_for(lambda: me in queue[:HASHES_EACH_ADDRESS])
            yield
        finally:
            with self._has_left:
                self._names.remove(name)
                queue.remove(me)
                if not queue:
                    del self._queues[address]
                self._has_left.notify_all()

    def hash(self, password: str) -> str:
        """The salted hash to store."""
        return generate_password_hash(password, HASH_METHOD)

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has this hash. None, for an unknown account, takes the same time."""
        return check_password_hash(password_hash or f"{HASH_METHOD}$salt$no password has this hash", password)
