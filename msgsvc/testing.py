"""For tests, also those of hosts that embed msgsvc: a client that calls as named people, and a clock that tests set.

client = msgsvc.testing.Client()
client.as_user("thea", role="therapist").post("/api/messages/send", json={"recipient": ..., "content": ...})
"""

from typing import Any

import werkzeug.test

from msgsvc.app import App, create_app
from msgsvc.sessions import open_session
from msgsvc.settings import Settings
from msgsvc.storage.base import Transaction
from msgsvc.tokens import new_token


class Clock:
    """A clock that stands still until it is turned: ``create_app(settings, clock=Clock())``."""

    def __init__(self, epoch_seconds: float = 1_770_287_445.0) -> None:
        """The default is 2026-02-05T10:30:45Z."""
        self.epoch_seconds = epoch_seconds

    def __call__(self) -> float:
        return self.epoch_seconds

    def advance(self, seconds: float) -> None:
        """Turns the clock forward."""
        self.epoch_seconds += seconds


class Client(werkzeug.test.Client):
    """Werkzeug's test client on an application; by default one of its own on a ``:memory:`` database.

    ``client.as_user(...)`` gives a client that calls as a person; without it calls carry no session.
    """

    def __init__(self, app: App | None = None, *, clock: Clock | None = None) -> None:
        self.app = app or create_app(Settings(database=":memory:", send_rate=0), clock=clock or Clock())
        self.identity: dict[str, Any] = {}
        super().__init__(self.app, use_cookies=False)

    def as_user(self, username: str, role: str | None = None) -> "Client":
        """A client that calls as this person.

        A new account gets the role, or ``user``; an existing one keeps its own unless another is given.
        It has a session of its own, and sets REMOTE_USER for applications made with ``msgsvc.remote_user``.
        """
        services = self.app.services

        def open_as(transaction: Transaction) -> str:
            account = transaction.first("select_account", username=username)
            if account is None:
                transaction.run("insert_user", username=username, role=role or "user")
            elif role and account[1] != role:
                transaction.run("update_role", username=username, role=role)
            token = new_token()
            open_session(transaction, services.settings, username, token, services.clock())
            return token

        token = services.database.write(open_as)
        client = Client(self.app)
        client.identity = {"HTTP_AUTHORIZATION": f"Bearer {token}", "REMOTE_USER": username}
        return client

    def open(self, *args: Any, **kwargs: Any) -> werkzeug.test.TestResponse:
        """As werkzeug's, with the session token and REMOTE_USER of the person."""
        kwargs["environ_base"] = {**self.identity, **kwargs.get("environ_base", {})}
        return super().open(*args, **kwargs)

    def close(self) -> None:
        """Releases the application."""
        self.app.close()
