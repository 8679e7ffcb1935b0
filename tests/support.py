"""Helpers that several test files use: calls that must succeed, and what the test looks up."""

import sqlite3
from pathlib import Path
from typing import Any

from postgresql_server import Host
from werkzeug.test import TestResponse

from msgsvc.storage.engines import engine_for, is_uri
from msgsvc.testing import Client

API = "/api/messages"
PEOPLE = {"thea": "therapist", "clara": "clinician", "uma": "user", "ugo": "user", "adam": "admin"}


def send(sender: Client, recipient: str, content: str = "Hello", **more: Any) -> int:
    """Sends a message that must be accepted; returns its id."""
    response = sender.post(f"{API}/send", json={"recipient": recipient, "content": content, **more})
    assert response.status_code == 201, response.text
    return response.json["message_id"]


def inbox(caller: Client, query: str = "") -> dict[str, Any]:
    return _ok(caller.get(f"{API}/inbox{query}"))


def conversation(caller: Client, partner: str, query: str = "") -> dict[str, Any]:
    return _ok(caller.get(f"{API}/conversation/{partner}{query}"))


def history(caller: Client, partner: str, query: str = "") -> list[int]:
    """The ids of the messages that the caller sees."""
    return [message["id"] for message in conversation(caller, partner, query)["messages"]]


def partners(answer: dict[str, Any]) -> list[str]:
    return [row["with_user"] for row in answer["conversations"]]


def unread(caller: Client) -> int:
    return _ok(caller.get(f"{API}/unread"))["total_unread"]


def mark_read(caller: Client, message_id: int) -> TestResponse:
    return caller.patch(f"{API}/{message_id}/read", json={})


def delete(caller: Client, message_id: int) -> TestResponse:
    return caller.delete(f"{API}/{message_id}")


def faults(database: str) -> list[str]:
    """What `msgsvc check` finds."""
    return list(engine_for(database).check(database, lambda _line: None))


def connected(database: str) -> Any:
    """A connection to the database for a host's own SQL, with the sqlite3 module's placeholders."""
    return Host(database) if is_uri(database) else sqlite3.connect(database, isolation_level=None)


def open_files() -> set[str]:
    """The paths of the files that this process has open."""
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def refusal(response: TestResponse) -> tuple[int, str]:
    """Status and error code of a refused call."""
    return response.status_code, response.json["code"]


def _ok(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return response.json
