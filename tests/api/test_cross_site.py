"""Calls that a browser marks as coming from another site."""

import re
import sqlite3
from pathlib import Path

import pytest
from support import API, refusal

from msgsvc import Settings, create_app
from msgsvc.routes import Route, routes
from msgsvc.testing import Client, Clock

APP = "https://app.example"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}
ROUTES = routes(API, standalone=True)


def path_of(route: Route) -> str:
    values = {"<id:message_id>": "1", "<username>": "uma", "<a>": "uma", "<b>": "ugo"}
    return re.sub(r"<[^>]+>", lambda match: values[match[0]], route.path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_call_from_another_site_is_refused_and_leaves_nothing(
    people: dict[str, Client], host: sqlite3.Connection, route: Route
) -> None:
    before = list(host.iterdump())
    answer = people["adam"].open(path_of(route), method=route.method, headers=CROSS_SITE)
    if route.path in ("/healthz", "/api/openapi.json"):
        assert answer.status_code == 200
    else:
        assert refusal(answer) == (403, "cross_site")
    assert list(host.iterdump()) == before


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_other_marks_of_a_browser_change_nothing(people: dict[str, Client], site: str) -> None:
    assert people["uma"].get(f"{API}/inbox", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_a_named_origin_may_call_from_another_site(tmp_path: Path, clock: Clock) -> None:
    settings = Settings(database=str(tmp_path / "cors.db"), cors_origins=(APP,))
    client = Client(create_app(settings, clock=clock))
    uma = client.as_user("uma")
    assert uma.get(f"{API}/inbox", headers={**CROSS_SITE, "Origin": APP}).status_code == 200
    other = {**CROSS_SITE, "Origin": "https://other.example"}
    assert refusal(uma.get(f"{API}/inbox", headers=other)) == (403, "cross_site")
    preflight = {**CROSS_SITE, "Origin": APP, "Access-Control-Request-Method": "GET"}
    allowed = uma.options(f"{API}/inbox", headers=preflight)
    assert allowed.status_code == 204
    assert "Msgsvc-Background" in allowed.headers["Access-Control-Allow-Headers"]
    client.close()
