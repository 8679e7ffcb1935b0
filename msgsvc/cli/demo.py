"""The demo: four people, one of each role, an example conversation, and the lines to paste."""

import secrets

from msgsvc import accounts
from msgsvc.app import App
from msgsvc.cli.accounts import actor
from msgsvc.passwords import StoredPassword
from msgsvc.sessions import open_session
from msgsvc.settings import Settings
from msgsvc.storage.base import Transaction
from msgsvc.times import stored
from msgsvc.tokens import new_token

PEOPLE = {"thea": "therapist", "clara": "clinician", "uma": "user", "adam": "admin"}
CONVERSATION = [
    ("thea", "uma", "How are you feeling today?"),
    ("uma", "thea", "Better, mood improved to 7/10"),
    ("thea", "uma", "Great! Let's explore..."),
]


class NotEmptyError(Exception):
    """The database has accounts of its own."""


def prepare(app: App, url: str) -> str:
    """Fills an empty database and returns the lines to print. Raises NotEmptyError for a database that has accounts."""
    settings = app.services.settings
    password = secrets.token_urlsafe(12)
    password_hash = app.services.passwords.hash(password)
    tokens = app.services.database.write(lambda transaction: _fill(transaction, settings, password_hash))
    page = url + settings.page.rstrip("/") + "/" if settings.page else ""
    return _lines(tokens, password, url, url + settings.prefix, page)


def _lines(tokens: dict[str, str], password: str, url: str, messages: str, page: str) -> str:
    """The people, the address of the page, and curl lines for the five calls and for an admin's."""
    uma = f"-H 'Authorization: Bearer {tokens['uma']}'"
    adam = f"-H 'Authorization: Bearer {tokens['adam']}'"
    body = '{"recipient": "thea", "content": "I slept eight hours"}'
    login = f'{{"username": "uma", "password": "{password}"}}'
    return "\n".join(
        [
            "Four people live in this database. Their names and passwords:",
            "",
            *(f"{name:<6} {password}   ({role})" for name, role in PEOPLE.items()),
            "",
            *([f"Open {page} in a browser and log in as one of them.", ""] if page else []),
            "The lines below act as uma. Paste them into another terminal; Ctrl-C ends the demo.",
            "For the lines of docs/api.md, paste these three variables first:",
            "",
            f"URL={url} TOKEN={tokens['uma']} ADMIN_TOKEN={tokens['adam']}",
            "",
            f"curl -i -X POST {uma} -H 'Content-Type: application/json' -d '{body}' {messages}/send",
            f"curl -i {uma} '{messages}/inbox?page=1&limit=20'",
            f"curl -i {uma} '{messages}/conversation/thea?limit=50'",
            f"curl -i -X PATCH {uma} {messages}/3/read",
            f"curl -i -X DELETE {uma} {messages}/1",
            "",
            "As adam, the admin: read a conversation, then the audit row that this left.",
            "",
            f"curl -i {adam} '{messages}/admin/conversation/thea/uma?reason=demo'",
            f"curl -i {adam} '{messages}/admin/audit?limit=1'",
            "",
            "Log in:",
            "",
            f"curl -i -X POST -H 'Content-Type: application/json' -d '{login}' {url}/api/auth/login",
            "",
        ]
    )


def _fill(transaction: Transaction, settings: Settings, password_hash: str) -> dict[str, str]:
    """Adds the people, who share a password, and their conversation; returns a session token for each person."""
    if transaction.one("count_users", roles=None) != (0,):
        raise NotEmptyError("the demo fills only a database that has no accounts")
    by = actor()
    tokens = {}
    for username, role in PEOPLE.items():
        accounts.create(transaction, by, username, role, StoredPassword(password_hash))
        tokens[username] = new_token()
        open_session(transaction, settings, username, tokens[username], by.now)
    for sender, recipient, content in CONVERSATION:
        transaction.run(
            "insert_message", sender=sender, recipient=recipient, subject=None, content=content, now=stored(by.now)
        )
    return tokens
