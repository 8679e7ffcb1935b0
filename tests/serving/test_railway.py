"""railway.json: its start command with Railway's variables, and a directory in place of the volume.

On SQLite: the volume is for a file; with PostgreSQL the variable holds a URI, as for any other start.
"""

import re
import socket
import time
from pathlib import Path

from deployment import ADMIN, CONFIG, DEPLOY, deployed
from processes import CHECKOUT
from served import Service

from msgsvc.serving import server


def login(service: Service) -> str:
    answer = service.call("POST", "/api/auth/login", ADMIN)
    assert (answer.status, answer.json["role"]) == (200, "admin")
    return answer.json["token"]


def test_redeployment_keeps_all_data(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with deployed(volume) as first:
        assert first.call("GET", DEPLOY["healthcheckPath"]).status == 200
        caller = {"Authorization": login(first), "Idempotency-Key": "welcome"}
        thea = {"username": "thea", "role": "therapist", "password": "a long pass phrase"}
        assert first.call("POST", "/api/users", thea, **caller).status == 201
        message = {"recipient": "thea", "content": "Welcome!"}
        sent = first.call("POST", "/api/messages/send", message, **caller)
        assert (sent.status, sent.json["message_id"]) == (201, 1)
        asked_to_stop = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - asked_to_stop < DEPLOY["drainingSeconds"]
        assert "error" not in {line["level"] for line in first.log_lines()}

    with deployed(volume) as second:
        again = second.call("POST", "/api/messages/send", message, **caller)
        assert (again.status, again.json) == (sent.status, sent.json)
        inbox = second.call("GET", "/api/messages/inbox", Authorization=login(second)).json
        assert [entry["last_message"] for entry in inbox["conversations"]] == ["Welcome!"]
        assert second.stop() == 0
    assert {entry.name for entry in volume.iterdir()} == {"messages.db"}


def test_a_redeployment_with_another_admin_password_changes_no_account(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with deployed(volume) as first:
        login(first)
    with deployed(volume, MSGSVC_ADMIN_PASSWORD="another pass phrase") as second:
        login(second)


def test_default_host_is_loopback_and_railway_listens_on_all(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()

    def answers_beyond_localhost(service: Service) -> bool:
        with socket.socket() as outside:
            return outside.connect_ex(("127.0.0.2", service.port)) == 0

    with deployed(volume) as railway:
        assert answers_beyond_localhost(railway)
    with deployed(volume, "msgsvc serve") as anywhere_else:
        assert anywhere_else.call("GET", "/healthz").status == 200
        assert not answers_beyond_localhost(anywhere_else)


def test_railway_json_has_valid_fields() -> None:
    assert CONFIG["build"] == {"builder": "RAILPACK"}
    assert DEPLOY["restartPolicyType"] == "ON_FAILURE"
    numbers = ["healthcheckTimeout", "restartPolicyMaxRetries", "overlapSeconds", "drainingSeconds"]
    assert {name: type(DEPLOY[name]) for name in numbers} == dict.fromkeys(numbers, int)
    assert DEPLOY["drainingSeconds"] > server.DRAIN_SECONDS + 2


def test_railway_requirements_install_this_package() -> None:
    """Railpack runs ``pip install -r requirements.txt``, with the sources beside it only where it reads file://."""
    text = (CHECKOUT / "requirements.txt").read_text()
    assert re.findall(r"^[^#\n].*", text, flags=re.MULTILINE) == ["."]
    assert "file://" in text
