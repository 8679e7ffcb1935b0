"""The people of the page's tests: accounts with a password, and calls that they make without the page."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from served import Service, sign_in
from werkzeug.security import generate_password_hash

PASSWORD = "three words together"
PASSWORD_HASH = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1")


class Person:
    """Somebody with an account, who also calls the service without the page."""

    def __init__(self, service: Service, database: str, name: str, role: str) -> None:
        self.name = name
        self.role = role
        self.service = service
        self._database = database
        self._authorization = add_people(database, **{name: role})[name]

    def call(self, method: str, path: str, body: object = None, under: str = "/api/messages") -> Any:
        answer = self.service.call(method, f"{under}{path}", body, Authorization=self._authorization)
        assert answer.status < 300, answer
        return answer.json

    def send(self, to: "Person", content: str = "Hello", **fields: str) -> int:
        message_id: int = self.call("POST", "/send", {"recipient": to.name, "content": content, **fields})["message_id"]
        return message_id

    def end_sessions(self) -> None:
        """Ends every session, and begins one of our own."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute("DELETE FROM msgsvc_sessions WHERE username = ?", (self.name,))
        self._authorization = sign_in(self._database, **{self.name: self.role})[self.name]

    def age_sessions(self, seconds: int) -> None:
        """As if each had begun this many seconds earlier."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(
                "UPDATE msgsvc_sessions SET created_at = created_at - ? WHERE username = ?", (seconds, self.name)
            )

    def new_token(self) -> str:
        """The token of another session."""
        return sign_in(self._database, **{self.name: self.role})[self.name].removeprefix("Bearer ")

    def unread(self) -> int:
        unread: int = self.call("GET", "/unread")["total_unread"]
        return unread

    def messages(self, other: "Person") -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.call("GET", f"/conversation/{other.name}?limit=200")["messages"]
        return messages


Hire = Callable[..., Person]
LogIn = Callable[..., Any]


def add_people(database: str, **roles: str) -> dict[str, str]:
    """Accounts with PASSWORD; the Authorization header of a session of each."""
    headers = sign_in(database, **roles)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT OR REPLACE INTO msgsvc_credentials (username, password_hash) VALUES (?, ?)",
            [(name, PASSWORD_HASH) for name in roles],
        )
    return headers


def fill_login(page: Any, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()
