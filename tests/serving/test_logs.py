"""Log lines: their fields, and what they must never contain."""

import json
import logging
import re

import pytest
import werkzeug.test
from support import API, refusal

from msgsvc.logs import RequestLine, log_request
from msgsvc.serving.logs import JsonFormatter, TextFormatter, write_request
from msgsvc.testing import Client


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "msgsvc"]


def test_a_request_line_says_who_asked_for_what_and_how_it_ended(
    people: dict[str, Client], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "msgsvc"):
        people["uma"].get(f"{API}/conversation/thea", headers={"X-Request-ID": "r-1"})
    (line,) = logged(caplog)
    assert line.pop("time")
    assert line.pop("milliseconds") >= 0
    assert line == {
        "level": "info",
        "message": "request",
        "request_id": "r-1",
        "method": "GET",
        "route": f"{API}/conversation/<username>",
        "status": 200,
        "username": "uma",
    }


def test_at_most_32_characters_of_a_method_are_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "msgsvc"):
        assert refusal(client.open("/healthz", method="M" * 15_900))[0] == 405
    (line,) = logged(caplog)
    assert line["method"] == "M" * 32


@pytest.mark.parametrize(
    "line",
    [
        RequestLine("r-1", "GET", f"{API}/inbox", 200, 0.125, "uma"),
        RequestLine("r-2", 'G"\\ET', "", 405, 12.0, None),
        RequestLine("r-3", "GET", f"{API}/inbox", 200, 1e-05, 'Zoë "Z" 💬\n'),
    ],
)
def test_server_log_line_equals_the_logging_line(
    line: RequestLine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, "msgsvc"):
        log_request(line)
    (by_logging,) = logged(caplog)
    write_request(line)
    written = capsys.readouterr().err
    assert written.isascii()
    assert written.endswith("}\n")
    by_server = json.loads(written)
    for fields in (by_server, by_logging):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields.pop("time"))
    assert list(by_server.items()) == list(by_logging.items())


def test_text_format_has_the_same_fields() -> None:
    record = logging.makeLogRecord(
        {"levelname": "INFO", "msg": "request", "fields": {"status": 200, "username": "uma"}}
    )
    assert TextFormatter().format(record).endswith(" info: request status=200 username=uma")


def test_log_has_no_message_text_password_or_token(
    people: dict[str, Client], client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither accepted nor refused input is logged. conftest.py searches the log of the whole suite too."""
    uma = people["uma"]
    with caplog.at_level(logging.DEBUG, "msgsvc"):
        message = {"recipient": "thea", "content": "sentinel-content", "subject": "sentinel-subject"}
        assert uma.post(f"{API}/send", json=message).status_code == 201
        assert refusal(uma.post(f"{API}/send", json={**message, "recipient": "sentinel-recipient"}))[0] == 404
        assert refusal(uma.post(f"{API}/send", json={**message, "sentinel-field": 1}))[0] == 400
        assert refusal(uma.post(f"{API}/send", data=b"sentinel {"))[0] == 415
        assert uma.get(f"{API}/conversation/thea").status_code == 200
        assert refusal(client.get(f"{API}/inbox", headers={"Authorization": "Bearer sentinel-token"}))[0] == 401
        assert refusal(client.get("/sentinel-path?token=sentinel-token"))[0] == 404
        login = {"username": "uma", "password": "sentinel-password"}
        assert refusal(client.post("/api/auth/login", json=login))[0] == 401
        change = {"current_password": "sentinel-password", "new_password": "sentinel-password-2"}
        assert refusal(uma.put("/api/auth/password", json=change))[0] == 403
        assert people["adam"].patch("/api/users/uma", json={"password": "sentinel-password"}).status_code == 200
    assert len(logged(caplog)) == 10
    assert "sentinel" not in caplog.text


def test_internal_error_log_names_the_place_but_not_the_message(
    people: dict[str, Client], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("sentinel-content")

    monkeypatch.setattr("msgsvc.handlers.conversations.entity_tag", broken)
    unjudged = werkzeug.test.Client(people["uma"].app)
    answer = unjudged.get(f"{API}/unread", environ_base=people["uma"].identity)
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "sentinel" not in answer.text + caplog.text
    assert "ValueError < " in caplog.text
