"""Requests that are malformed, ambiguous or too large get one clear answer."""

import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from raw_clients import ADDRESS, CHUNKED, HEALTH, POST, Served, answers
from served import Service, received
from support import API

from msgsvc.logs import METHOD_LIMIT
from msgsvc.serving import http_rules

BAD, OK, UNAUTHORIZED = (400, "bad_request"), (200, None), (401, "wrong_credentials")
LOGIN = b'{"username": "nobody", "password": "x"}'
SIZE = b"%d" % len(LOGIN)
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LOGIN), LOGIN)

# fmt: off
FRAMES: list[tuple[bytes, tuple[int, str | None]]] = [
    # ---- valid requests
    (HEALTH + b"\r\n", OK),
    (b"\r\n\r\n" + HEALTH + b"\r\n", OK),
    (POST + b"Content-Length: " + SIZE + b"\r\n\r\n" + LOGIN, UNAUTHORIZED),
    (POST + CHUNKED + b"\r\n" + IN_CHUNKS, UNAUTHORIZED),
    (POST + b"transfer-encoding: CHUNKED\r\n\r\n" + IN_CHUNKS, UNAUTHORIZED),
    (HEALTH + b"Expect: 100-continue\r\n\r\n", OK),
    # ---- ambiguous body length
    (POST + b"Content-Length: " + SIZE + b"\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"Content-Length: " + SIZE + b"\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"CONTENT-LENGTH: 0\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding:\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: ,\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding : chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: identity\r\n\r\n", BAD),
    (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + IN_CHUNKS, BAD),
    (POST + b"Transfer-Encoding: \xffchunked\r\n\r\n" + IN_CHUNKS, BAD),
    (b"POST /api/auth/login HTTP/1.0\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (b"POST /api/auth/login\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS, BAD),
    (POST + b"Content-Length: 0\r\nContent-Length: 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39\r\nContent-Length: 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"X: y\r\n Content-Length: 1\r\nContent-Length: 39\r\nContent-Length: 2\r\n\r\n" + LOGIN, BAD),
    # ---- invalid Content-Length
    (POST + b"Content-Length:\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: -1\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: +39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 3_9\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 0x27\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39, 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 39.0\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: \xb2\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: \xd9\xa3\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length : 39\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 3\r\n 9\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + LOGIN, BAD),
    (POST + b"Content-Length: 99999999999999999999\r\n\r\n" + LOGIN, (413, "body_too_large")),
    # ---- invalid chunks
    (POST + CHUNKED + b"\r\nxyz\r\n", BAD),
    (POST + CHUNKED + b"\r\n-1\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n+27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n0x27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n 27\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27\n" + LOGIN + b"\n0\n\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n2_7\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27\r\n" + LOGIN + b"more\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27;\x00\r\n" + LOGIN + b"\r\n0\r\n\r\n", BAD),
    (POST + CHUNKED + b"\r\n27;" + b"x" * (2 * http_rules.FRAMING_LIMIT), BAD),
    (POST + CHUNKED + b"\r\n0\r\nX: " + b"x" * (2 * http_rules.FRAMING_LIMIT), BAD),
    (POST + CHUNKED + b"\r\n" + b"\r\n" * http_rules.FRAMING_LIMIT, BAD),
    (POST + CHUNKED + b"\r\n" + b"1\r\n \r\n" * (http_rules.FRAMING_LIMIT), BAD),
    # ---- invalid header lines
    (b"GET /healthz HTTP/1.1\nHost: a\n\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", BAD),
    (b"GET /health\rz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (HEALTH + b"X: a\0b\r\n\r\n", BAD),
    (HEALTH + b"X\0: a\r\n\r\n", BAD),
    (HEALTH + b"X: a\x7f\r\n\r\n", BAD),
    (HEALTH + b"no colon\r\n\r\n", BAD),
    (HEALTH + b": no name\r\n\r\n", BAD),
    (HEALTH + b"two words: x\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    (HEALTH + b"X-Request-ID: a\r\n b\r\n\r\n", OK),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.0\r\n\r\n", OK),
    # ---- invalid request lines
    (b"nonsense\r\n\r\n", BAD),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", BAD),
    (b"get /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz  HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTTP/1.1 x\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTTP/11\r\nHost: a\r\n\r\n", BAD),
    (b"M" * METHOD_LIMIT + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
    (b"M" * (METHOD_LIMIT + 1) + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"M" * 15_900 + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /healthz HTCPCP/1.0\r\nHost: a\r\n\r\n", BAD),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (404, "not_found")),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET http://a]/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n", OK),
    (b"POST http://evil.example HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
    (b"POST ? HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
    (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (b"GET /%FF HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    (HEALTH + b"Host\xc3\xa9: a\r\n\r\n", BAD),
    # ---- too large
    (HEALTH + b"X: " + b"x" * http_rules.HEADER_LIMIT + b"\r\n\r\n", (431, "headers_too_large")),
    (HEALTH + b"X: y\r\n" * 90 + b"\r\n", OK),
    (HEALTH + b"X: y\r\n" * 100 + b"\r\n", (431, "headers_too_large")),
    (HEALTH + b"X: y\r\n" + b" z\r\n" * 100 + b"\r\n", (431, "headers_too_large")),
    (HEALTH + b"X: y\r\n" * 4000 + b"\r\n", (431, "headers_too_large")),
    (b"GET /" + b"x" * http_rules.HEADER_LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n", (431, "headers_too_large")),
    (b"x" * 100_000, (431, "headers_too_large")),
]
# fmt: on


@pytest.mark.parametrize(("sent", "expected"), FRAMES, ids=[repr(sent)[2:70] for sent, _ in FRAMES])
def test_hostile_framing_gets_exactly_one_answer(
    service: Service, sent: bytes, expected: tuple[int, str | None]
) -> None:
    """The bytes after a refused request are not parsed as another request."""
    ((status, headers, body),) = answers(service.raw(sent))
    assert (status, body.get("code")) == expected
    if expected != OK:
        assert set(body) == {"error", "code"}
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "via" not in headers
    if expected == BAD:
        assert headers["connection"] == "close"


def test_oversized_body_gets_a_readable_413(service: Service) -> None:
    for size in (65_537, 500_000, 1_000_000):
        answer = service.call("POST", "/api/auth/login", b" " * size)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large"), size
    assert service.call("POST", "/api/auth/login", b" " * 65_536).status == 400


def test_expect_continue_over_the_limit_gets_413(service: Service) -> None:
    head = POST + b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def receive_until(client: socket.socket, words: bytes) -> bytes:
    said = b""
    while words not in said:
        data = client.recv(65536)
        assert data, said
        said += data
    return said


@pytest.mark.fault
def test_pipelined_call_gets_100_continue_once(served: Served) -> None:
    service, tokens = served
    body = b'{"recipient": "uma", "content": "x"}'
    head = f"POST {API}/send HTTP/1.1\r\nHost: a\r\nAuthorization: {tokens['thea']}\r\n".encode()
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    expecting = head + b"Expect: 100-continue\r\n\r\n"

    def exchange(_: int) -> None:
        with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
            client.sendall(head + b"\r\n" + body + expecting)
            said = receive_until(client, b"100 Continue\r\n\r\n")
            client.sendall(body)
            client.shutdown(socket.SHUT_WR)
            said += received(client)
        assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"201", b"100", b"201"]

    def give_up(_: int) -> None:
        with socket.create_connection((ADDRESS, service.port), timeout=60) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(head + b"\r\n" + body + expecting)

    with ThreadPoolExecutor(32) as pool:
        for made in (exchange, give_up, exchange):
            list(pool.map(made, range(300)))
