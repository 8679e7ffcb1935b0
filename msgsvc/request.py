"""One request: its environ, read strictly; and the database, read and written as its caller."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from msgsvc.audit import Actor
from msgsvc.authorization import Access, Authentication, Caller, Credentials, check_access
from msgsvc.client_address import ClientAddresses
from msgsvc.errors import ApiError
from msgsvc.json_http import read_json
from msgsvc.roles import RoleNames
from msgsvc.settings import Settings
from msgsvc.storage.base import Ahead, Commit, Result, Snapshot, Storage, Transaction
from msgsvc.tokens import PasswordHasher

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


Expected = tuple[str, str, Mapping[str, object]]
"""A reading statement that will follow the one that authorizes: name, the parameter for the caller, the others."""


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with; one for each application."""

    settings: Settings
    database: Storage
    authentication: Authentication
    clock: Callable[[], float]
    passwords: PasswordHasher
    addresses: ClientAddresses
    roles: RoleNames
    openapi: bytes


class Request:
    """One request of a call that is open to ``access``.

    A background request does not prolong its session. The login name (where the account exists) and the login address
    are for the log line.
    """

    __slots__ = (
        "_credentials",
        "access",
        "access_was_checked",
        "commits",
        "environ",
        "id",
        "is_background",
        "known_caller",
        "login_address",
        "login_name",
        "services",
    )

    def __init__(self, environ: "WSGIEnvironment", services: Services, request_id: str, access: Access) -> None:
        self.environ = environ
        self.services = services
        self.id = request_id
        self.access = access
        self.access_was_checked = False
        self.commits: list[Commit] | None = []
        self.known_caller: Caller | None = None
        self.is_background = environ.get("HTTP_MSGSVC_BACKGROUND") == "1"
        self.login_name: str | None = None
        self.login_address: str | None = None
        self._credentials: Credentials | None = None

    @property
    def caller(self) -> Caller:
        """Who calls, inside read() and write() and after authorize()."""
        if self.known_caller is None:
            raise LookupError("the caller is known inside read() and write()")
        return self.known_caller

    def read(self, expected: Sequence[Expected] = ()) -> AbstractContextManager[Snapshot]:
        """A snapshot in which the caller has been authorized. Raises ApiError 401 and 403, StorageError.

        A process remembers for whom a session stood, so an engine that sends ahead sends what is ``expected`` with the
        statement that authorizes.
        """
        return AuthorizedReading(self.services.database.read(self._ahead(expected)), self._authorize)

    def write(self, work: Callable[[Transaction], Result], expected: Sequence[Expected] = ()) -> Result:
        """Runs the work in a transaction in which the caller has been authorized; see Storage.write and read().

        The response waits for the commit; where ``commits`` is None, this waits.
        Raises ApiError 401 and 403, StorageError, or what the work raises.
        """

        def authorized_work(transaction: Transaction) -> Result:
            self._authorize(transaction)
            return work(transaction)

        return self.services.database.write(authorized_work, self.commits, self._ahead(expected))

    def authorize(self) -> None:
        """Authorizes the caller before slow work such as hashing, which must not run in a transaction."""
        if self.access is not Access.ANYONE:
            with self.read():
                pass

    def _ahead(self, expected: Sequence[Expected]) -> Ahead:
        """What is expected, for the likely caller; nothing where the engine has no use for it."""
        if not expected or not self.services.database.sends_ahead:
            return ()
        credentials = self._find_credentials()
        username = credentials and self.services.authentication.likely_username(credentials)
        return [(name, {parameter: username, **others}) for name, parameter, others in expected if username]

    def _find_credentials(self) -> Credentials | None:
        self.access_was_checked = True
        if self._credentials is None:
            self._credentials = self.services.authentication.credentials(self.environ, self.id)
        return self._credentials

    def _authorize(self, snapshot: Snapshot) -> None:
        if self.access is Access.ANYONE:
            self.access_was_checked = True
            return
        credentials = self._find_credentials()
        authentication = self.services.authentication
        caller = credentials and authentication.caller(snapshot, credentials, self.now(), self.id)
        self.known_caller = caller or self.known_caller
        check_access(self.access, caller or None)

    def actor(self) -> Actor:
        """The caller, as the audit names who acts."""
        return Actor("api", self.now(), self.caller.username, self.id)

    def client_address(self) -> str:
        """The client's address, by the connection and the trusted proxies."""
        return self.services.addresses.find(self.environ)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.services.clock()

    def query(self, *names: str) -> dict[str, str]:
        """The named query parameters that were given; others are ignored.

        Raises ApiError 400 for one that is malformed or given twice.
        """
        raw: str = self.environ.get("QUERY_STRING", "")
        if not raw:
            return {}
        try:
            pairs = parse_qsl(
                raw.encode("latin-1").decode(), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError:
            raise ApiError("invalid_parameter", "The query string is not valid UTF-8 or too long") from None
        given: dict[str, str] = {}
        for name, value in pairs:
            if name not in names:
                continue
            if name in given:
                raise ApiError("invalid_parameter", f"The query parameter {name} is given twice")
            given[name] = value
        return given

    def body(self, *names: str) -> dict[str, Any]:
        """The fields of the JSON object in the body; empty where there is no body.

        Raises ApiError 400 for anything but an object with the named fields, 411, 413 and 415.
        """
        return read_json(self.environ, names)


class AuthorizedReading:
    """A snapshot that begins with authorizing. A class costs each read 1 % less than a generator."""

    def __init__(self, reading: AbstractContextManager[Snapshot], authorize: Callable[[Snapshot], None]) -> None:
        self._reading = reading
        self._authorize = authorize

    def __enter__(self) -> Snapshot:
        snapshot = self._reading.__enter__()
        try:
            self._authorize(snapshot)
        except BaseException as error:
            self._reading.__exit__(type(error), error, error.__traceback__)
            raise
        return snapshot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reading.__exit__(kind, error, traceback)


def public_path(environ: "WSGIEnvironment") -> str:
    """The path, wherever a host has mounted the application; an empty one means ``/``, as in ``GET http://host``.

    Raises UnicodeDecodeError (a ValueError).
    """
    raw: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") or "/"
    return raw if raw.isascii() else raw.encode("latin-1").decode()
