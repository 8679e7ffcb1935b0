"""wsgiref, a server that does not hand on chunked bodies."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from raw_clients import ADDRESS, CHUNKED, answers
from served import received


class _Handler(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def port(embed: Callable[..., Any]) -> Iterator[int]:
    app = embed(lambda environ: environ.get("HTTP_X_USER"))
    with make_server("127.0.0.1", 0, app, handler_class=_Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def call(port: int, user: str, line: str, body: object) -> tuple[int, Any]:
    method, path = line.split()
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"X-User": user, "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, f"/api/messages/{path}", sent, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def call_in_chunks(port: int, user: str, line: str, body: object) -> tuple[int, Any]:
    """Sends headers and body at once, because the server answers and closes without waiting for the body."""
    method, path = line.split()
    chunk = json.dumps(body)
    head = f"{method} /api/messages/{path} HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((ADDRESS, port), timeout=60) as client:
        client.sendall(head.encode() + CHUNKED + f"\r\n{len(chunk):x}\r\n{chunk}\r\n0\r\n\r\n".encode())
        [(status, _, answer)] = answers(received(client))
    return status, answer


def test_a_chunked_body_marks_nothing_as_read(port: int) -> None:
    for _ in range(5):
        assert call(port, "thea", "POST send", {"recipient": "uma", "content": "Hello"})[0] == 201
    status, answer = call_in_chunks(port, "uma", "PATCH conversation/thea/read", {"up_to": 1})
    assert (status, answer["code"]) == (411, "length_required")
    marked = call(port, "uma", "PATCH conversation/thea/read", {"up_to": 1})
    assert marked == (200, {"with_user": "thea", "marked": 1})


@pytest.mark.parametrize(
    ("line", "body", "status"),
    [
        ("POST send", b"{", 400),
        ("POST send", b" " * 70_000, 413),
        ("GET inbox", b" " * 70_000, 200),
        ("GET nowhere", b"{}", 404),
        ("DELETE inbox", b"{}", 405),
    ],
)
def test_a_body_that_is_refused_is_read_once(port: int, line: str, body: bytes, status: int) -> None:
    """The server waits for ever where more is read than has been announced."""
    assert call(port, "thea", line, body)[0] == status
