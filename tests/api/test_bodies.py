"""Chunked bodies, empty query parameters and the newline at the end of an answer."""

import json
from io import BytesIO
from typing import Any

import pytest
from support import API, send, unread

from msgsvc.testing import Client

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked"])
def test_a_chunked_body_that_the_server_does_not_hand_on_is_411(people: dict[str, Client], coding: str) -> None:
    """wsgiref and uWSGI leave it on the socket; an empty body would mark everything as read."""
    for _ in range(5):
        send(people["thea"], "uma")
    environ = {**CHUNKED, "HTTP_TRANSFER_ENCODING": coding, "wsgi.input": BytesIO(b'b\r\n{"up_to": 1}\r\n0\r\n\r\n')}
    answer = people["uma"].patch(f"{API}/conversation/thea/read", environ_overrides=environ)
    assert (answer.status_code, answer.json["code"]) == (411, "length_required")
    assert unread(people["uma"]) == 5


def test_a_chunked_body_that_the_server_hands_on_is_read(people: dict[str, Client]) -> None:
    ids = [send(people["thea"], "uma") for _ in range(5)]
    body = BytesIO(json.dumps({"up_to": ids[0]}).encode())
    environ = {**CHUNKED, "wsgi.input_terminated": True, "wsgi.input": body, "CONTENT_TYPE": "application/json"}
    answer = people["uma"].patch(f"{API}/conversation/thea/read", environ_overrides=environ)
    assert answer.json == {"with_user": "thea", "marked": 1}


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        ("inbox?limit=", "from 10 to 50"),
        ("inbox?page=", "from 1 to 1000000000"),
        ("inbox?unread_only=", "true, false"),
        ("conversation/thea?before=", "from 0 to 9223372036854775807"),
        ("recipients?q=", "1 to 255 characters"),
        ("admin/conversations?username=", "1 to 255 characters"),
        ("admin/conversation/thea/uma?reason=", "1 to 200 characters"),
    ],
)
def test_an_empty_query_parameter_names_its_range(people: dict[str, Client], call: str, allowed: str) -> None:
    answer = people["adam"].get(f"{API}/{call}")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_parameter")
    assert allowed in answer.json["error"]


@pytest.mark.parametrize("call", ["inbox", "conversation/thea", "nothing"])
def test_an_answer_ends_in_a_newline(people: dict[str, Client], call: str) -> None:
    answer: Any = people["uma"].get(f"{API}/{call}")
    assert answer.data.endswith(b"}\n")
    assert answer.headers["Content-Length"] == str(len(answer.data))
