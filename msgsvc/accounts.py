"""What is done to accounts, by admins over HTTP and by the command line alike; every change leaves an audit row."""

from typing import NamedTuple

from msgsvc import fields
from msgsvc.database import Connection
from msgsvc.json_http import ApiError, Request, Services
from msgsvc.settings import SettingsError
from msgsvc.times import stored


class Actor(NamedTuple):
    """Who acts, when (epoch seconds), and in which request."""

    name: str
    now: float
    request_id: str | None = None


def actor(request: Request) -> Actor:
    """The caller of a request as the one who acts."""
    return Actor(request.caller.username, request.now(), request.id)


def audit(transaction: Connection, by: Actor, action: str, subject: str | None, reason: str | None = None) -> None:
    """Writes the audit row in the transaction of what it tells of."""
    transaction.run(
        "insert_audit",
        actor=by.name,
        action=action,
        subject=subject,
        reason=reason,
        request_id=by.request_id,
        at=stored(by.now),
    )


def audit_denial(transaction: Connection, by: Actor, subject: str) -> None:
    """Records that a call for admins was refused, at most once a minute for the same actor and call."""
    transaction.run(
        "insert_audit_of_denial",
        actor=by.name,
        action="admin_denied",
        subject=subject,
        request_id=by.request_id,
        at=stored(by.now),
        minute_ago=stored(by.now - 60),
    )


def create(transaction: Connection, by: Actor, username: str, role: str, password_hash: str) -> None:
    """Raises ApiError 409 where the name is taken."""
    if not transaction.run("insert_user", username=username, role=role):
        raise ApiError(409, "user_exists", "This username is taken")
    transaction.run("upsert_password", username=username, password_hash=password_hash)
    audit(transaction, by, "user_created", username, role)


def create_first_admin(services: Services) -> None:
    """The admin that the settings name, in a database that has no account yet; an existing account is never touched.

    Raises SettingsError naming what is wrong with the name or the password.
    """
    settings, database = services.settings, services.database
    if not settings.admin_username:
        return
    if database.first("count_users", role=None) != (0,):
        return
    try:
        username = fields.new_username("admin_username (MSGSVC_ADMIN_USERNAME)", settings.admin_username)
        password = fields.password("admin_password (MSGSVC_ADMIN_PASSWORD)", settings.admin_password)
    except ApiError as error:
        raise SettingsError(error.sentence) from None
    password_hash = services.passwords.hash(password)
    with database.transaction() as transaction:
        if transaction.one("count_users", role=None) == (0,):
            create(transaction, Actor("settings", services.clock()), username, "admin", password_hash)


def change_role(transaction: Connection, by: Actor, username: str, role: str) -> None:
    """Raises ApiError 404 without such an account, 409 for the last active admin."""
    old_role, _ = _role_and_suspension(transaction, username)
    if role == old_role:
        return
    _keep_an_admin(transaction, username, old_role)
    transaction.run("update_role", username=username, role=role)
    audit(transaction, by, "role_changed", username, f"{old_role} to {role}")


def reset_password(transaction: Connection, by: Actor, username: str, password_hash: str) -> None:
    """Ends every session of the account. Raises ApiError 404 without such an account."""
    _role_and_suspension(transaction, username)
    _set_password(transaction, username, password_hash, kept_session_id=None)
    audit(transaction, by, "password_reset", username)


def change_own_password(transaction: Connection, by: Actor, session_id: int | None, password_hash: str) -> None:
    """Ends every session of the account but this one."""
    _set_password(transaction, by.name, password_hash, kept_session_id=session_id)
    audit(transaction, by, "password_changed", by.name)


def login_subject(username: str) -> str:
    """Under which name the login throttle counts the attempts for an account."""
    return f"user:{username}"


def _set_password(transaction: Connection, username: str, password_hash: str, *, kept_session_id: int | None) -> None:
    transaction.run("upsert_password", username=username, password_hash=password_hash)
    transaction.run("delete_sessions_by_username", username=username, kept_id=kept_session_id)
    transaction.run("delete_login_attempts", subject=login_subject(username))


def suspend(transaction: Connection, by: Actor, username: str) -> None:
    """Closes the account at once. Raises ApiError 404 without such an account, 409 for the last active admin.

    Its sessions stay recorded, so that its calls are told why they are refused; they end for good at reinstatement.
    """
    role, suspended = _role_and_suspension(transaction, username)
    if suspended:
        return
    _keep_an_admin(transaction, username, role)
    transaction.run("insert_suspension", username=username, at=stored(by.now))
    audit(transaction, by, "user_suspended", username)


def reinstate(transaction: Connection, by: Actor, username: str) -> None:
    """Opens a suspended account again, without its old sessions. Raises ApiError 404 without such an account."""
    _role_and_suspension(transaction, username)
    if transaction.run("delete_suspension", username=username):
        transaction.run("delete_sessions_by_username", username=username, kept_id=None)
        audit(transaction, by, "user_reinstated", username)


def require_active(transaction: Connection, username: str) -> None:
    """Raises ApiError 404 without such an account, 403 for a suspended one."""
    _, suspended = _role_and_suspension(transaction, username)
    if suspended:
        raise ApiError(403, "account_suspended", "This account is suspended")


def _role_and_suspension(transaction: Connection, username: str) -> tuple[str, bool]:
    account = transaction.first("select_account", username=username)
    if account is None:
        raise ApiError(404, "user_not_found", "No such user")
    return account[1], bool(account[2])


def _keep_an_admin(transaction: Connection, username: str, role: str) -> None:
    if role == "admin" and transaction.one("count_other_active_admins", username=username) == (0,):
        raise ApiError(409, "last_admin", "The last active admin can be neither suspended nor demoted")
