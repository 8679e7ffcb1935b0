"""Sessions: login, logout, the session itself, and one's own password. Only where the accounts are msgsvc's own."""

import ipaddress

from msgsvc import fields
from msgsvc.accounts import change_own_password, login_subject
from msgsvc.audit import Actor, audit
from msgsvc.errors import ApiError
from msgsvc.json_http import NO_CONTENT, Response
from msgsvc.request import Request
from msgsvc.sessions import open_session
from msgsvc.storage.base import Transaction
from msgsvc.times import rfc3339

LOGIN_WINDOW_SECONDS = 15 * 60
LOGIN_ATTEMPTS_EACH_USER = 10
LOGIN_ATTEMPTS_EACH_ADDRESS = 30


def login(request: Request) -> Response:
    """POST /api/auth/login: a session token for a name and password."""
    body = request.body("username", "password")
    username = fields.username("username", body.get("username"))
    password = fields.text("password", body.get("password"), limit=fields.PASSWORD_LIMIT)
    address = f"address:{_client_network(request)}"
    _count_attempt(request, {address: LOGIN_ATTEMPTS_EACH_ADDRESS, login_subject(username): LOGIN_ATTEMPTS_EACH_USER})
    password_hash = _verify(request, username, password, address, login_subject(username))
    if password_hash is None:
        raise ApiError("wrong_credentials")

    def admit(transaction: Transaction) -> tuple[str, str, int]:
        if transaction.first("select_password_hash", username=username) != (password_hash,):
            raise ApiError("wrong_credentials")
        _, role, suspended = transaction.one("select_account", username=username)
        if suspended:
            raise ApiError("account_suspended")
        transaction.run("delete_login_attempts", subject=login_subject(username))
        transaction.run("update_login_attempt_taken_back", subject=address)
        return role, *open_session(transaction, request.services.settings, username, request.now())

    role, token, expires_at = request.write(admit)
    return Response(
        {
            "token": token,
            "token_type": "Bearer",
            "expires_at": rfc3339(expires_at),
            "username": username,
            "role": role,
        }
    )


def _client_network(request: Request) -> str:
    """Where the client is, as far as a trusted proxy or the connection says.

    An IPv6 client commands a whole /64, so that counts as one address.
    """
    peer: str = request.environ.get("REMOTE_ADDR", "")
    forwarded: str = request.environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    is_trusted = request.services.settings.trusted_proxy in ("*", peer or None)
    for address in (forwarded, peer) if is_trusted else (peer,):
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            continue
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return str(ipaddress.ip_network((ip, 64 if ip.version == 6 else 32), strict=False).network_address)
    return peer


def _count_attempt(request: Request, limits: dict[str, int]) -> None:
    """Counts before the password is looked at, so that no number of attempts at once can slip through.

    Raises ApiError 429 while the window of one of the subjects is closed.
    """
    now = int(request.now())
    window_since = now - LOGIN_WINDOW_SECONDS

    def count(transaction: Transaction) -> int | None:
        transaction.run("delete_ended_login_windows", window_since=window_since)
        for subject, limit in limits.items():
            counted = transaction.first(
                "insert_login_attempt", subject=subject, limit=limit, now=now, window_since=window_since
            )
            if counted is None:
                (closed_at,) = transaction.one("select_login_window", subject=subject)
                if transaction.run("update_login_window_closed", subject=subject):
                    audit(transaction, Actor("login", now, request.id), "login_throttled", subject)
                return int(closed_at)
        return None

    closed_at = request.write(count)
    if closed_at is not None:
        wait = max(1, closed_at + LOGIN_WINDOW_SECONDS - now)
        raise ApiError("too_many_attempts", retry_after=wait)


def _verify(request: Request, username: str, password: str, *subjects: str) -> str | None:
    """The stored hash where the password is right, else None, in the same time for an unknown account.

    Raises ApiError 503 where nobody can look at the password now; the attempt of the subjects does not count then.
    """
    with request.read() as snapshot:
        row = snapshot.first("select_password_hash", username=username)
    password_hash: str | None = row[0] if row else None
    try:
        return password_hash if request.services.passwords.verify(password_hash, password) else None
    except ApiError:

        def take_back(transaction: Transaction) -> None:
            for subject in subjects:
                transaction.run("update_login_attempt_taken_back", subject=subject)

        request.write(take_back)
        raise


def session(request: Request) -> Response:
    """GET /api/auth/session: whose session this is, and when it ends at the latest."""
    request.authorize()
    caller = request.caller
    return Response(
        {"username": caller.username, "role": caller.role, "expires_at": rfc3339(caller.session_expires_at)}
    )


def logout(request: Request) -> Response:
    """POST /api/auth/logout: ends this session."""
    request.body()
    request.write(lambda transaction: transaction.run("delete_session", id=request.caller.session_id))
    return NO_CONTENT


def logout_all(request: Request) -> Response:
    """POST /api/auth/logout-all: ends every session of the account."""
    request.body()

    def end_all(transaction: Transaction) -> None:
        transaction.run("delete_sessions_by_username", username=request.caller.username, kept_id=None)

    request.write(end_all)
    return NO_CONTENT


def change_password(request: Request) -> Response:
    """PUT /api/auth/password: every other session of the account ends."""
    body = request.body("current_password", "new_password")
    current = fields.text("current_password", body.get("current_password"), limit=fields.PASSWORD_LIMIT)
    new = fields.password("new_password", body.get("new_password"))
    request.authorize()
    username = request.caller.username
    _count_attempt(request, {login_subject(username): LOGIN_ATTEMPTS_EACH_USER})
    current_hash = _verify(request, username, current, login_subject(username))
    if current_hash is None:
        raise ApiError("wrong_password")
    new_hash = request.services.passwords.hash(new)

    def change(transaction: Transaction) -> None:
        if transaction.first("select_password_hash", username=username) != (current_hash,):
            raise ApiError("wrong_password")
        change_own_password(transaction, request.actor(), request.caller.session_id, new_hash)

    request.write(change)
    return NO_CONTENT
