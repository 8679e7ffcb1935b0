"""Sessions: login, logout, the session itself, and one's own password. Only where the accounts are msgsvc's own."""

from functools import partial

from msgsvc import fields, logins
from msgsvc.accounts import change_own_password
from msgsvc.audit import Actor
from msgsvc.client_address import network_of
from msgsvc.errors import ApiError
from msgsvc.json_http import NO_CONTENT, Response
from msgsvc.passwords import new_password
from msgsvc.request import Request
from msgsvc.sessions import open_session
from msgsvc.storage.base import Transaction
from msgsvc.times import rfc3339
from msgsvc.tokens import new_token


def login(request: Request) -> Response:
    """POST /api/auth/login: a session token for a name and password."""
    body = request.body("username", "password")
    username = fields.username("username", body.get("username"))
    password = fields.text("password", body.get("password"), limit=fields.PASSWORD_LIMIT)
    address = request.login_address = request.client_address()
    by = Actor("login", request.now(), request_id=request.id)
    with request.services.passwords.turn(username, network_of(address)):
        attempt = request.write(
            lambda transaction: logins.count_login(transaction, request.services.settings, by, username, address)
        )
        if isinstance(attempt, int):
            raise ApiError("too_many_attempts", retry_after=attempt)
        request.login_name = username if attempt.is_account else None
        password_hash = _right_password_hash(request, username, password)
    try:
        return Response(request.write(partial(_admit, request=request, by=by, attempt=attempt, hash=password_hash)))
    except ApiError:
        request.write(lambda transaction: logins.record_failure(transaction, by, attempt))
        raise


def _admit(
    transaction: Transaction, request: Request, by: Actor, attempt: logins.Attempt, hash: str | None
) -> dict[str, object]:
    """Opens the session. Raises ApiError for a password that is wrong or has changed since, or a suspended account."""
    username = attempt.username
    credentials = transaction.first("select_password_hash", username=username)
    if hash is None or credentials is None or credentials[0] != hash:
        raise ApiError("wrong_credentials")
    _, role, suspended = transaction.one("select_account", username=username)
    if suspended:
        raise ApiError("account_suspended")
    logins.record_success(transaction, by, attempt)
    token = new_token()
    expires_at = open_session(transaction, request.services.settings, username, token, request.now())
    return {
        "token": token,
        "token_type": "Bearer",
        "expires_at": rfc3339(expires_at),
        "username": username,
        "role": request.services.roles.meaning(role),
        "must_change_password": credentials[1] == 1,
    }


def _right_password_hash(request: Request, username: str, password: str) -> str | None:
    """The stored hash where the password is right, else None. An unknown account takes the same time."""
    with request.read() as snapshot:
        row = snapshot.first("select_password_hash", username=username)
    password_hash: str | None = row[0] if row else None
    return password_hash if request.services.passwords.verify(password_hash, password) else None


def session(request: Request) -> Response:
    """GET /api/auth/session: whose session this is, and when it ends at the latest."""
    request.authorize()
    caller = request.caller
    return Response(
        {
            "username": caller.username,
            "role": caller.role,
            "expires_at": rfc3339(caller.session_expires_at),
            "must_change_password": caller.must_change_password == 1,
        }
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
    request.authorize()
    username = request.caller.username
    new = new_password("new_password", body.get("new_password"), username)
    if new == current:
        raise ApiError("invalid_field", "new_password must differ from current_password")
    with request.services.passwords.turn(username, network_of(request.client_address())):
        _count_guess(request, username)
        current_hash = _right_password_hash(request, username, current)
        request.authorize()
        if current_hash is None:
            raise ApiError("wrong_password")
        new_hash = request.services.passwords.hash(new)

    def change(transaction: Transaction) -> None:
        credentials = transaction.first("select_password_hash", username=username)
        if credentials is None or credentials[0] != current_hash:
            raise ApiError("wrong_password")
        change_own_password(transaction, request.actor(), username, request.caller.session_id, new_hash)

    request.write(change)
    return NO_CONTENT


def _count_guess(request: Request, username: str) -> None:
    """A guess of the current password counts like one at login. Raises ApiError 429."""
    settings = request.services.settings
    limits = {logins.account_subject(username): settings.login_attempts_name}
    closed = request.write(lambda transaction: logins.count_attempt(transaction, settings, request.actor(), limits))
    if closed:
        raise ApiError("too_many_attempts", retry_after=closed[1])
