"""A body that is too large is received or discarded within bounds, so that its client reads the 413."""

import socket
import time
from contextlib import suppress

import pytest
from raw_clients import ADDRESS, CHUNKED, DEADLINE, POST, answers
from served import Service, received, serving

from msgsvc.serving import http_rules

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("size", [MEGABYTE, 5 * MEGABYTE, 15 * MEGABYTE])
def test_a_client_that_sends_all_before_it_reads_gets_the_413(service: Service, size: int) -> None:
    answer = service.call("POST", "/api/auth/login", b" " * size)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


def test_a_chunked_body_that_is_too_large_gets_the_413(service: Service) -> None:
    chunk = b"%x\r\n%b\r\n" % (MEGABYTE, b" " * MEGABYTE)
    ((status, headers, body),) = answers(service.raw(POST + CHUNKED + b"\r\n" + chunk * 5 + b"0\r\n\r\n"))
    assert (status, body["code"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


def test_what_follows_a_refused_body_is_no_request(service: Service) -> None:
    rest = b" " * (2 * MEGABYTE) + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    said = answers(service.raw(POST + b"Content-Length: %d\r\n\r\n" % (2 * MEGABYTE) + rest))
    assert [status for status, _, _ in said] == [413]


@pytest.mark.fault
def test_a_client_that_sends_on_without_end_is_cut_off(service: Service) -> None:
    with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % 10**12)
        sent = 0
        with suppress(ConnectionError):
            while sent < 4 * http_rules.DISCARD_LIMIT:
                sent += client.send(b" " * MEGABYTE)
        # Beside what the server discards, its buffers and the client's have taken some.
        assert http_rules.DISCARD_LIMIT < sent < 4 * http_rules.DISCARD_LIMIT


@pytest.mark.fault
def test_a_client_that_trickles_a_refused_body_is_cut_off(service: Service) -> None:
    with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % 10**12)
        assert answers(received(client))[0][0] == 413
        begun = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() < begun + DEADLINE + 60:
                client.sendall(b" ")
                time.sleep(0.1)


def test_a_large_body_needs_no_temporary_directory(database_path: str) -> None:
    with serving(database_path, prepare="import tempfile\ntempfile.tempdir = '/missing'") as service:
        answer = service.call("POST", "/api/auth/login", b" " * (MEGABYTE - 1))
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
