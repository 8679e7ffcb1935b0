"""The commands about people: user list, add, password, role, suspend, reinstate and forget; token; explain."""

import argparse
import errno
import secrets
import sys
import time
from collections.abc import Callable
from functools import cache

from msgsvc import accounts, fields
from msgsvc.audit import Actor, audit
from msgsvc.cli.options import UsageError, opened, say
from msgsvc.errors import ApiError
from msgsvc.passwords import StoredPassword, new_password
from msgsvc.roles import RoleNames, SendingFacts, decide_sending
from msgsvc.sessions import open_session
from msgsvc.storage.base import Transaction
from msgsvc.tokens import new_token

# What a command has made is printed inside the transaction, so that nothing is stored that could not be printed, and
# once, because the engine may run the transaction again.


def actor() -> Actor:
    """The actor of a command, for the audit."""
    return Actor("command line", time.time())


def _write(options: argparse.Namespace, work: Callable[[Transaction, RoleNames], None]) -> None:
    with opened(options) as app:
        app.services.database.write(lambda transaction: work(transaction, app.services.roles))


def list_users(options: argparse.Namespace) -> None:
    """Prints name, role and state of each account, separated by tabs."""
    with opened(options) as app, app.services.database.read() as snapshot:
        for username, role, suspended in snapshot.each("select_users", roles=None, limit=-1, offset=0):
            say(username, app.services.roles.meaning(role), "suspended" if suspended else "active")


def add(options: argparse.Namespace) -> None:
    """Creates an account; prints its password if this command made it."""
    username = fields.new_username("NAME", options.name)
    password = _password(options)
    with opened(options) as app:
        stored = StoredPassword(app.services.passwords.hash(password), options.must_change)
        print_once = cache(say)

        def create(transaction: Transaction) -> None:
            accounts.create(transaction, actor(), username, options.role, stored)
            if not options.password_stdin:
                print_once(password)

        app.services.database.write(create)


def set_password(options: argparse.Namespace) -> None:
    """Sets a password and ends the sessions of the account; prints the password if this command made it."""
    password = _password(options)
    with opened(options) as app:
        stored = StoredPassword(app.services.passwords.hash(password), options.must_change)
        print_once = cache(say)

        def reset(transaction: Transaction) -> None:
            accounts.reset_password(transaction, actor(), options.name, stored)
            if not options.password_stdin:
                print_once(password)

        app.services.database.write(reset)


def change_role(options: argparse.Namespace) -> None:
    """Changes the role of an account."""
    _write(
        options,
        lambda transaction, roles: accounts.change_role(transaction, actor(), options.name, options.role, roles),
    )


def suspend(options: argparse.Namespace) -> None:
    """Suspends an account."""
    _write(options, lambda transaction, roles: accounts.suspend(transaction, actor(), options.name, roles))


def reinstate(options: argparse.Namespace) -> None:
    """Lifts the suspension of an account."""
    _write(options, lambda transaction, _roles: accounts.reinstate(transaction, actor(), options.name))


def forget(options: argparse.Namespace) -> None:
    """Hides the person's side of every message and removes what belongs to the name."""
    with opened(options) as app:
        accounts.forget(app.services.database, actor(), options.name)


def token(options: argparse.Namespace) -> None:
    """Prints the token of a new session of an active account."""
    with opened(options) as app:
        token = new_token()
        print_once = cache(say)

        def open_one(transaction: Transaction) -> None:
            accounts.require_active(transaction, options.name)
            audit(transaction, actor(), "token_created", options.name)
            open_session(transaction, app.services.settings, options.name, token, time.time())
            print_once(token)

        app.services.database.write(open_one)


def explain(options: argparse.Namespace) -> None:
    """Prints whether the sender may write to the recipient, and the rule."""
    with opened(options) as app, app.services.database.read() as snapshot:
        facts = snapshot.first("select_sending_facts", sender=options.sender, recipient=options.recipient)
        sender = snapshot.first("select_account", username=options.sender)
    if facts is None or sender is None:
        raise ApiError("user_not_found", f"no such user: {options.recipient if sender else options.sender}")
    if options.sender == options.recipient:
        say("no: nobody writes to themselves")
    else:
        decision = decide_sending(SendingFacts.of(facts, app.services.roles))
        say(f"{'yes' if decision.allowed else 'no'}: {decision.rule}")


def _password(options: argparse.Namespace) -> str:
    if not options.password_stdin:
        return secrets.token_urlsafe(12)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "closed", "standard input")
    try:
        typed = sys.stdin.buffer.readline().decode()
    except UnicodeDecodeError:
        raise UsageError("the password on standard input is not UTF-8") from None
    return new_password("password", typed.rstrip("\r\n"), options.name)
