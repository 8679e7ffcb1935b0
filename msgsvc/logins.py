"""Login attempts: the throttles by name and by address, and the audit rows."""

import hashlib
from typing import NamedTuple

from msgsvc.audit import Actor, audit
from msgsvc.client_address import network_of
from msgsvc.settings import Settings
from msgsvc.storage.base import Transaction

ADDRESS_KNOWN_SECONDS = 30 * 24 * 3600
"""An account that has logged in from an address within this time is not throttled by the count of the address."""

ADDRESSES_EACH_USER = 20


class Attempt(NamedTuple):
    """A login that has been counted."""

    username: str
    address: str
    is_account: bool
    name_subject: str
    address_subject: str | None
    """None where the account has logged in from the address before, so that the count of the address does not apply."""


def account_subject(username: str) -> str:
    """The subject under which wrong passwords for an account are counted."""
    return f"user:{username}"


def _name_subject(username: str, *, is_account: bool) -> str:
    """What people type as a name may be a password, so a name that nobody has is kept as a hash."""
    return account_subject(username) if is_account else f"unknown:{hashlib.sha256(username.encode()).hexdigest()}"


def count_login(transaction: Transaction, settings: Settings, by: Actor, username: str, address: str) -> Attempt | int:
    """Counts the attempt before the password is verified, so that concurrent attempts cannot exceed the limit.

    Returns the seconds to wait where the name or the address is closed.
    """
    is_account = transaction.first("select_account", username=username) is not None
    network = network_of(address)
    month = {"month_ago": int(by.now) - ADDRESS_KNOWN_SECONDS, "now": int(by.now)}
    name_subject = _name_subject(username, is_account=is_account)
    is_known = transaction.first("select_login_address", username=username, address=network, **month)
    address_subject = None if is_known else f"address:{network}"
    limits = {address_subject: settings.login_attempts_address} if address_subject else {}
    wait = count_attempt(transaction, settings, by, {**limits, name_subject: settings.login_attempts_name})
    if wait is None:
        return Attempt(username, address, is_account, name_subject, address_subject)
    closed, seconds = wait
    if transaction.run("update_login_window_closed", subject=closed):
        if closed.startswith("address:"):
            audit(transaction, by, "login_throttled", None, f"from {network}")
        elif is_account:
            audit(transaction, by, "login_throttled", username)
    return seconds


def count_attempt(
    transaction: Transaction, settings: Settings, by: Actor, limits: dict[str, int]
) -> tuple[str, int] | None:
    """Counts an attempt against each subject in turn; stops at the first closed one, and returns it and the seconds to
    wait.
    """
    now = int(by.now)
    window_since = now - settings.login_window_seconds
    transaction.run("delete_ended_login_windows", window_since=window_since)
    for subject, limit in limits.items():
        counted = transaction.first(
            "insert_login_attempt", subject=subject, limit=limit, now=now, window_since=window_since
        )
        if counted is None:
            (began_at,) = transaction.one("select_login_window", subject=subject)
            return subject, max(1, began_at + settings.login_window_seconds - now)
    return None


def record_success(transaction: Transaction, by: Actor, attempt: Attempt) -> None:
    """Resets the count of the name, remembers the address, and audits the login."""
    transaction.run("delete_login_attempts", subject=attempt.name_subject)
    if attempt.address_subject:
        transaction.run("update_login_attempt_taken_back", subject=attempt.address_subject)
    username, now = attempt.username, int(by.now)
    transaction.run("upsert_login_address", username=username, address=network_of(attempt.address), now=now)
    transaction.run(
        "delete_surplus_login_addresses",
        username=username,
        month_ago=now - ADDRESS_KNOWN_SECONDS,
        cap=ADDRESSES_EACH_USER,
    )
    audit(transaction, by._replace(name=username), "logged_in", username, f"from {network_of(attempt.address)}")


def record_failure(transaction: Transaction, by: Actor, attempt: Attempt) -> None:
    """Audits the failed attempt, if the account exists."""
    if attempt.is_account:
        audit(transaction, by, "login_failed", attempt.username, f"from {network_of(attempt.address)}")
    transaction.run("update_login_attempt_failed", subject=attempt.name_subject)
