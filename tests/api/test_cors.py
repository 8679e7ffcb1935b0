"""CORS: only configured origins are allowed, and they may read the API's response headers."""

from collections.abc import Iterator

import pytest
from support import API, refusal

from msgsvc import Settings, create_app
from msgsvc.testing import Client

ORIGIN = "https://app.example"
ASKING = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}


@pytest.fixture
def open_client(database: str) -> Iterator[Client]:
    client = Client(create_app(Settings(database=database, cors_origins=f"{ORIGIN}, http://localhost:3000")))
    yield client
    client.close()


def test_a_named_origin_may_read_the_answer_and_its_headers(open_client: Client) -> None:
    for client, status in ((open_client.as_user("uma"), 200), (open_client, 401)):
        answer = client.get(f"{API}/inbox", headers={"Origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Vary"] == "Origin"
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"ETag", "Idempotency-Replayed", "Retry-After"} <= set(exposed)


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null"])
def test_other_origins_get_no_cors_headers(open_client: Client, origin: str) -> None:
    answer = open_client.as_user("uma").get(f"{API}/inbox", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    asked = open_client.options(f"{API}/3/read", headers={**ASKING, "Origin": origin})
    assert refusal(asked) == (405, "method_not_allowed")


def test_a_preflight_names_the_methods_of_the_path_and_the_headers_of_the_api(open_client: Client) -> None:
    answer = open_client.options(f"{API}/3/read", headers=ASKING)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "PATCH"
    assert {"Authorization", "Content-Type", "Idempotency-Key"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert refusal(open_client.options(f"{API}/nowhere/at/all", headers=ASKING)) == (404, "not_found")


def test_cors_is_off_unless_origins_are_named(client: Client) -> None:
    answer = client.as_user("uma").get(f"{API}/inbox", headers={"Origin": ORIGIN})
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control") or name == "Vary"]
    assert refusal(client.options(f"{API}/3/read", headers=ASKING)) == (405, "method_not_allowed")


def test_cookies_and_further_headers_are_allowed_where_the_settings_say_so(database: str) -> None:
    settings = Settings(database, cors_origins=ORIGIN, cors_credentials=True, cors_headers="X-CSRFToken")
    client = Client(create_app(settings))
    for origin, allowed in ((ORIGIN, "true"), ("https://evil.example", None)):
        answer = client.get(f"{API}/inbox", headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Credentials") == allowed
    answer = client.options(f"{API}/3/read", headers=ASKING)
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-CSRFToken" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    client.close()


def test_cookies_are_not_allowed_by_default(open_client: Client) -> None:
    answer = open_client.get(f"{API}/inbox", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Credentials" not in answer.headers
