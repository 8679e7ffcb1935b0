"""What is done to accounts, by admins over HTTP and by the command line alike; every change leaves an audit row."""

import json
import logging

from msgsvc import fields, logins
from msgsvc.audit import Actor, audit
from msgsvc.errors import ApiError
from msgsvc.passwords import StoredPassword, new_password
from msgsvc.request import Services
from msgsvc.roles import RoleNames
from msgsvc.settings import SettingsError
from msgsvc.storage.base import Storage, Transaction
from msgsvc.storage.engines import engine_for
from msgsvc.times import stored

PASSWORD_CHANGES_AN_HOUR = 5
logger = logging.getLogger("msgsvc")


def create(transaction: Transaction, by: Actor, username: str, role: str, password: StoredPassword) -> None:
    """Raises ApiError 409 where the name is taken."""
    if not transaction.run("insert_user", username=username, role=role):
        raise ApiError("user_exists")
    clear_name(transaction, username)
    _store_password(transaction, username, password)
    audit(transaction, by, "user_created", username, role)


def clear_name(transaction: Transaction, username: str) -> None:
    """Removes everything that belongs to the name, except messages and the audit."""
    transaction.run("delete_sessions_by_username", username=username, kept_id=None)
    transaction.run("delete_credentials", username=username)
    transaction.run("delete_login_attempts", subject=logins.account_subject(username))
    transaction.run("delete_login_addresses_by_username", username=username)
    transaction.run("delete_suspension", username=username)
    transaction.run("delete_blocks_of_username", username=username)
    transaction.run("delete_send_limit", username=username)
    transaction.run("delete_idempotency_keys_by_sender", username=username)


def create_first_admin(services: Services) -> None:
    """Creates the admin that the settings name, if the database has no account; an existing one is never changed.

    Raises SettingsError naming what is wrong with the name or the password.
    """
    settings, database = services.settings, services.database
    if not settings.admin_username:
        return
    with database.read() as snapshot:
        if snapshot.one("count_users", roles=None) != (0,):
            return
    try:
        username = fields.new_username("admin_username (MSGSVC_ADMIN_USERNAME)", settings.admin_username)
        text = new_password("admin_password (MSGSVC_ADMIN_PASSWORD)", settings.admin_password, username)
    except ApiError as error:
        raise SettingsError(error.sentence) from None
    password = StoredPassword(services.passwords.hash(text))

    def create_once(transaction: Transaction) -> None:
        if transaction.one("count_users", roles=None) == (0,):
            create(transaction, Actor("settings", services.clock()), username, "admin", password)

    database.write(create_once)


def change_role(transaction: Transaction, by: Actor, username: str, role: str, roles: RoleNames) -> None:
    """Raises ApiError 404 without such an account, 409 for the last active admin."""
    old_role, _ = _role_and_suspension(transaction, username)
    if role == roles.meaning(old_role):
        return
    _keep_an_admin(transaction, username, old_role, roles)
    transaction.run("update_role", username=username, role=role)
    audit(transaction, by, "role_changed", username, f"{old_role} to {role}")


def reset_password(transaction: Transaction, by: Actor, username: str, password: StoredPassword) -> None:
    """Ends every session of the account. Raises ApiError 404 without such an account."""
    _role_and_suspension(transaction, username)
    _set_password(transaction, username, password, kept_session_id=None)
    audit(transaction, by, "password_reset", username)


def change_own_password(
    transaction: Transaction, by: Actor, username: str, session_id: int | None, password_hash: str
) -> None:
    """Ends every session of the account but this one. Raises ApiError 429 beyond the changes of an hour."""
    now = int(by.now)
    hour = {"now": now, "hour_ago": now - 3600}
    if not transaction.first("update_password_changes", username=username, limit=PASSWORD_CHANGES_AN_HOUR, **hour):
        (since,) = transaction.one("select_password_changes", username=username)
        raise ApiError("too_many_password_changes", retry_after=max(1, since + 3600 - now))
    _set_password(transaction, username, StoredPassword(password_hash), kept_session_id=session_id)
    audit(transaction, by, "password_changed", username)


def _set_password(
    transaction: Transaction, username: str, password: StoredPassword, *, kept_session_id: int | None
) -> None:
    _store_password(transaction, username, password)
    transaction.run("delete_sessions_by_username", username=username, kept_id=kept_session_id)
    transaction.run("delete_login_attempts", subject=logins.account_subject(username))


def _store_password(transaction: Transaction, username: str, password: StoredPassword) -> None:
    transaction.run(
        "upsert_password", username=username, password_hash=password.hash, must_change=int(password.must_change)
    )


def suspend(transaction: Transaction, by: Actor, username: str, roles: RoleNames) -> None:
    """Closes the account at once. Raises ApiError 404 without such an account, 409 for the last active admin.

    Its sessions are kept, so that its calls are refused with 403 and not 401; reinstate() deletes them.
    """
    role, suspended = _role_and_suspension(transaction, username)
    if suspended:
        return
    _keep_an_admin(transaction, username, role, roles)
    transaction.run("insert_suspension", username=username, at=stored(by.now))
    audit(transaction, by, "user_suspended", username)


def reinstate(transaction: Transaction, by: Actor, username: str) -> None:
    """Opens a suspended account again, without its old sessions. Raises ApiError 404 without such an account."""
    _role_and_suspension(transaction, username)
    if transaction.run("delete_suspension", username=username):
        transaction.run("delete_sessions_by_username", username=username, kept_id=None)
        audit(transaction, by, "user_reinstated", username)


def require_active(transaction: Transaction, username: str) -> None:
    """Raises ApiError 404 without such an account, 403 for a suspended one."""
    _, suspended = _role_and_suspension(transaction, username)
    if suspended:
        raise ApiError("account_suspended")


def _role_and_suspension(transaction: Transaction, username: str) -> tuple[str, bool]:
    account = transaction.first("select_account", username=username)
    if account is None:
        raise ApiError("user_not_found")
    return account[1], bool(account[2])


def _keep_an_admin(transaction: Transaction, username: str, role: str, roles: RoleNames) -> None:
    admins = json.dumps(roles.names("admin"))
    if roles.meaning(role) == "admin" and transaction.one(
        "count_other_active_admins", username=username, roles=admins
    ) == (0,):
        raise ApiError("last_admin")


def put_account(transaction: Transaction, by: Actor, username: str, role: str) -> None:
    """Creates a host's account, or changes its role, which may be a name of the host's.

    Raises ApiError 409 where the table folds case and holds the name in another case.
    """
    account = transaction.first("select_account", username=username)
    if account is None and transaction.run("insert_user", username=username, role=role):
        clear_name(transaction, username)
        audit(transaction, by, "user_created", username, role)
        return
    # Another process may have created it since the first look.
    account = account or transaction.first("select_account", username=username)
    if account is None:
        raise ApiError("user_exists")
    if account[1] != role:
        transaction.run("update_role", username=username, role=role)
        audit(transaction, by, "role_changed", username, f"{account[1]} to {role}")


FORGOTTEN_AT_ONCE = 500
"""Messages hidden in one transaction of forget(), so that other writers need not wait for a long history."""


def forget(database: Storage, by: Actor, username: str) -> None:
    """Hides the person's side of every message, then removes what belongs to the name, and audits it.

    Raises StorageError; messages hidden by then stay hidden, and another call hides the rest.
    """

    def hide_some(transaction: Transaction) -> int:
        rows = transaction.all("select_ids_of_owner", username=username, limit=FORGOTTEN_AT_ONCE)
        for (message_id,) in rows:
            transaction.run("update_message_hidden", id=message_id, caller=username, now=stored(by.now))
        return len(rows)

    def remove_the_rest(transaction: Transaction) -> None:
        while hide_some(transaction):
            pass
        clear_name(transaction, username)
        transaction.run("update_reply_rights_closed", username=username)
        audit(transaction, by, "user_forgotten", username)

    while database.write(hide_some):
        pass
    database.write(remove_the_rest)


def warn_without_accounts(services: Services) -> None:
    """Warns where every call will be 401 because `users` is empty: a host's accounts may be in another database."""
    with services.database.read() as snapshot:
        if snapshot.one("count_users", roles=None) == (0,):
            logger.warning(
                "the table users of %s is empty: every call is 401 until accounts are in it; "
                "is this the database of your accounts? (docs/embedding.md, Accounts elsewhere)",
                engine_for(services.settings.database).shown(services.settings.database),
            )
