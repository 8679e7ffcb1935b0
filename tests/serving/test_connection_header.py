"""The Connection header is a list: which requests are the last of their connection.

On SQLite: the server does not know the engine.
"""

import socket
from collections.abc import Iterator

import pytest
from served import Service, received, serving

CLOSE = [
    "Connection: close",
    "Connection: Close",
    "Connection: TE, close",
    "Connection: close, TE",
    "Connection: close,TE",
    "Connection: keep-alive, close",
    "Connection: close , keep-alive",
    "Connection: TE\r\nConnection: close",
    "Connection: CLOSE\r\nConnection: TE",
]
KEEP = [
    "",
    "Connection: TE",
    "Connection: keep-alive",
    "Connection: closed",
    "Connection: ,",
    "Connection: x-close, TE",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(str(tmp_path_factory.mktemp("connections") / "messages.db")) as service:
        yield service


def responses(service: Service, version: str, *headers: str) -> list[bytes]:
    """What comes back for a request with these headers, followed by one that asks to close."""
    first = "\r\n".join([f"GET /healthz HTTP/{version}", "Host: a", *headers, "\r\n"])
    last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        client.sendall((first + last).encode())
        return received(client).split(b"HTTP/1.")[1:]


@pytest.mark.parametrize("header", CLOSE)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_close_anywhere_in_the_list_ends_the_connection(service: Service, version: str, header: str) -> None:
    (response,) = responses(service, version, header)
    assert b"\r\nConnection: close\r\n" in response


@pytest.mark.parametrize("header", KEEP)
def test_other_options_keep_the_connection(service: Service, header: str) -> None:
    first, last = responses(service, "1.1", header)
    assert b"\r\nConnection:" not in first
    assert last.startswith(b"1 404 ")


def test_http_1_0_keeps_the_connection_for_keep_alive_in_a_list(service: Service) -> None:
    assert len(responses(service, "1.0", "Connection: TE, Keep-Alive")) == 2
    assert len(responses(service, "1.0")) == 1
