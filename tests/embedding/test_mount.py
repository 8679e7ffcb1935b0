"""The paths of an application that is mounted under a prefix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedded import as_remote_user
from hosts import mounted
from werkzeug.test import Client

from msgsvc import Settings, create_app


def _page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the host's page"]


@pytest.mark.parametrize(
    ("mount", "prefix", "script_name"),
    [
        ("/api/messages", "/api/messages", ""),
        ("/api", "/api/messages", ""),
        ("", "/api/messages", ""),
        ("/intranet/post", "/intranet/post", ""),
        ("/intranet", "/intranet/post", ""),
        ("/m", "/m", ""),
        ("/api/messages", "/site/api/messages", "/site"),
        ("/post", "/a/b/post", "/a/b"),
    ],
)
def test_routes_match_the_public_path_wherever_it_is_mounted(
    embed: Callable[..., Any], mount: str, prefix: str, script_name: str
) -> None:
    wsgi = mounted(_page, embed(prefix=prefix), mount)
    inside = prefix.removeprefix(script_name)
    at = {"base_url": f"http://localhost{script_name}"}
    thea, uma = as_remote_user(wsgi, "thea"), as_remote_user(wsgi, "uma")
    sent = thea(f"{inside}/send", "POST", json={"recipient": "uma", "content": "Hello"}, **at)
    assert sent.status_code == 201
    assert uma(f"{inside}/unread", **at).json == {"total_unread": 1}
    assert thea(f"{inside}/unread/", **at).status_code == 404
    if prefix != "/api/messages":
        assert as_remote_user(embed(prefix=prefix), "uma")("/api/messages/unread").status_code == 404


def test_a_standalone_application_keeps_its_account_paths_under_another_prefix(tmp_path: Path) -> None:
    app = create_app(Settings(database=str(tmp_path / "own.db"), prefix="/post"))
    assert Client(app).post("/api/auth/login", json={"username": "uma", "password": "wrong"}).status_code == 401
    assert Client(app).get("/post/inbox").status_code == 401
    assert Client(app).get("/api/messages/inbox").status_code == 404
    app.close()
