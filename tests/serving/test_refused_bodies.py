"""A body that is too large is received within bounds and hardly kept, so that its client reads the 413.

On SQLite: the server does not know the engine.
"""

import socket
from contextlib import ExitStack

import pytest
from raw_clients import ADDRESS, CHUNKED, HEALTH, POST, all_received, answers, connected, resources, until
from served import Service, serving
from support import API

from msgsvc.serving import http_rules

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("size", [MEGABYTE, 5 * MEGABYTE, 16 * MEGABYTE - 1])
def test_a_client_that_sends_all_before_it_reads_gets_the_413(service: Service, size: int) -> None:
    answer = service.call("POST", "/api/auth/login", b" " * size)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


def test_the_caller_is_asked_for_before_the_length_of_the_body(service: Service) -> None:
    answer = service.call("POST", f"{API}/send", b" " * 15 * MEGABYTE)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")


def test_a_chunked_body_that_is_too_large_gets_the_413(service: Service) -> None:
    chunk = b"%x\r\n%b\r\n" % (MEGABYTE, b" " * MEGABYTE)
    ((status, _, body),) = answers(service.raw(POST + CHUNKED + b"\r\n" + chunk * 5 + b"0\r\n\r\n"))
    assert (status, body["code"]) == (413, "body_too_large")


def test_a_large_body_in_small_chunks_gets_the_413(service: Service) -> None:
    chunk = b"%x\r\n%b\r\n" % (1024, b" " * 1024)
    ((status, _, body),) = answers(service.raw(POST + CHUNKED + b"\r\n" + chunk * 4096 + b"0\r\n\r\n"))
    assert (status, body["code"]) == (413, "body_too_large")


def test_the_next_request_follows_the_whole_body(service: Service) -> None:
    size = 2 * MEGABYTE
    following = b" " * size + HEALTH + b"\r\n"
    said = answers(service.raw(POST + b"Content-Length: %d\r\n\r\n" % size + following))
    assert [status for status, _, _ in said] == [413, 200]


@pytest.mark.fault
def test_a_client_that_sends_more_than_is_received_is_cut_off(service: Service) -> None:
    for begun in (POST + b"Content-Length: %d\r\n\r\n" % 10**12, POST + CHUNKED + b"\r\n%x\r\n" % 10**12):
        with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
            client.sendall(begun)
            with pytest.raises(ConnectionError):  # noqa: PT012
                # The buffers on the way take some.
                for _ in range(4 * http_rules.RECEIVE_LIMIT // MEGABYTE):
                    client.sendall(b" " * MEGABYTE)


@pytest.mark.fault
def test_large_bodies_take_little_memory(service: Service) -> None:
    _, before = resources(service)
    with ExitStack() as stack:
        for client in connected(stack, service, 8, POST + b"Content-Length: %d\r\n\r\n" % (16 * MEGABYTE - 1)):
            client.sendall(b" " * (4 * MEGABYTE))
        assert until(lambda: all_received(service))
        assert resources(service)[1] <= before + 16


def test_a_large_body_needs_no_temporary_directory(database_path: str) -> None:
    with serving(database_path, prepare="import tempfile\ntempfile.tempdir = '/missing'") as service:
        answer = service.call("POST", "/api/auth/login", b" " * MEGABYTE)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
