"""The files of the page: headers, entity tags, size, and where they are mounted."""

import gzip
import json
import re
from pathlib import Path

import pytest
from looks import heading
from page_people import Hire, LogIn
from werkzeug.test import Client

import msgsvc
from msgsvc import Settings, create_app, testing

DIRECTORY = Path(msgsvc.__file__).parent / "page"
FILES = sorted(path.name for path in DIRECTORY.iterdir() if path.suffix in {".html", ".css", ".js", ".svg"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

GZIP = {"Accept-Encoding": "gzip"}
LIMIT = 30 * 1024

TRANSFERRED = """() => Object.fromEntries(['navigation', 'resource']
  .flatMap((type) => performance.getEntriesByType(type))
  .map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize])
  .filter(([path]) => !path.startsWith('/api/')))"""


def application(authenticate: object = None, **settings: str) -> Client:
    return Client(create_app(Settings(database=":memory:", **settings), authenticate=authenticate))


def served_path(name: str) -> str:
    return "/" if name == "index.html" else f"/{name}"


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_revalidated_and_safe(name: str) -> None:
    client = application()
    answer = client.get(served_path(name))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (
        answer.mimetype
        == {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[
            name.rpartition(".")[2]
        ]
    )
    again = client.get(served_path(name), headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])
    head = client.head(served_path(name))
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(answer.data)))


def test_the_policy_names_who_may_frame_the_page() -> None:
    client = application(page_frame_ancestors="'self' https://portal.example")
    headers = client.get("/").headers
    assert "frame-ancestors 'self' https://portal.example;" in headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in headers


def test_an_empty_setting_serves_no_page() -> None:
    assert application(page="").get("/").status_code == 404
    assert application(page="").get("/app.js").status_code == 404


def test_addresses_are_relative_to_where_the_page_is_mounted() -> None:
    def addresses(client: Client, path: str) -> dict[str, str]:
        return dict(re.findall(r'data-(\w+)="([^"]*)"', client.get(path).text))

    standalone = addresses(application(page="/care/messages"), "/care/messages/")
    assert standalone["messages"] == "../../api/messages"
    assert standalone["session"] == "../../api/auth/session"
    embedded = addresses(application(lambda _: "uma", page="/messages"), "/messages/")
    assert embedded["messages"] == "../api/messages"
    assert (embedded["session"], embedded["accounts"]) == ("session", "")


def test_the_address_without_a_slash_leads_to_the_page() -> None:
    answer = application(page="/care/messages").get("/care/messages")
    assert (answer.status_code, answer.headers["Location"]) == (308, "messages/")
    assert answer.headers["Content-Length"] == "0", "else a client waits for a body until the connection ends"


def test_embedded_the_root_is_left_to_the_host() -> None:
    assert application(lambda _: "uma").get("/").status_code == 404


def test_embedded_the_page_hears_who_the_host_has_logged_in() -> None:
    settings = Settings(database=":memory:", page="/messages")
    app = create_app(settings, authenticate=msgsvc.remote_user)
    testing.Client(app).as_user("uma", "user")
    assert Client(app).get("/messages/session").status_code == 401
    answer = Client(app).get("/messages/session", environ_base={"REMOTE_USER": "uma"})
    assert answer.json == {"username": "uma", "role": "user"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_another_site_gets_the_files_but_not_who_is_logged_in(site: str) -> None:
    settings = Settings(database=":memory:", page="/messages")
    app = create_app(settings, authenticate=msgsvc.remote_user)
    testing.Client(app).as_user("uma", "user")
    marked = {"headers": {"Sec-Fetch-Site": site}, "environ_base": {"REMOTE_USER": "uma"}}
    answer = Client(app).get("/messages/session", **marked)
    if site == "cross-site":
        assert (answer.status_code, answer.json["code"]) == (403, "cross_site")
        assert "uma" not in answer.text
    else:
        assert (answer.status_code, answer.json["username"]) == (200, "uma")
    for name in FILES:
        assert Client(app).get(f"/messages{served_path(name)}", **marked).status_code == 200, name


def test_all_files_together_are_small() -> None:
    client = application()
    sizes = {name: len(client.get(served_path(name), headers=GZIP).data) for name in FILES}
    assert sum(sizes.values()) <= LIMIT, json.dumps(sizes)


def test_a_browser_transfers_no_more_than_that(hire: Hire, log_in: LogIn) -> None:
    page = log_in(hire("admin"), "#/audit", apart=True)
    heading(page, "Audit").wait_for()
    sizes = page.evaluate(TRANSFERRED)
    assert sizes.keys() == {served_path(name) for name in FILES}
    assert all(sizes.values())
    assert sum(sizes.values()) <= LIMIT, json.dumps(sizes)


@pytest.mark.parametrize("name", FILES)
def test_each_encoding_has_its_own_entity_tag(name: str) -> None:
    client = application()
    plain = client.get(served_path(name))
    zipped = client.get(served_path(name), headers=GZIP)
    assert gzip.decompress(zipped.data) == plain.data
    assert (plain.headers.get("Content-Encoding"), zipped.headers["Content-Encoding"]) == (None, "gzip")
    assert plain.headers["Vary"] == zipped.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != zipped.headers["ETag"]
    refused = client.get(served_path(name), headers={"Accept-Encoding": "gzip;q=0, br"})
    assert refused.headers["ETag"] == plain.headers["ETag"]
    known = {"If-None-Match": zipped.headers["ETag"]}
    assert client.get(served_path(name), headers={**GZIP, **known}).status_code == 304
    assert client.get(served_path(name), headers=known).status_code == 200


def test_scripts_and_styles_are_served_without_comments_and_indentation() -> None:
    client = application()
    for name in FILES:
        if name.endswith((".js", ".css")):
            lines = client.get(served_path(name)).text.split("\n")
            assert [line for line in lines if line != line.strip() or line[:2] in {"", "//", "/*"}] == [], name


def texts(script: str) -> list[str]:
    """The texts of a script, in quotes and in templates, which may hold code with further texts."""
    found = []
    inside = ["code"]
    for token in re.findall(r"'[^'\n]*'|\$\{|[`{}]|[^'`{}$]+|.", script):
        if inside[-1] == "code" and token[0] == "'":
            found.append(token)
        elif token == "`" and inside[-1] == "text":
            inside.pop()
        elif token == "`":
            inside.append("text")
        elif token == "${" or (token == "{" and inside[-1] == "code"):
            inside.append("code")
        elif token == "}" and inside[-1] == "code":
            inside.pop()
        elif inside[-1] == "text":
            found.append(token)
    assert inside == ["code"]
    return found


def test_scripts_keep_every_space_of_their_texts() -> None:
    client = application()
    for name in FILES:
        if name.endswith(".js"):
            source = (DIRECTORY / name).read_text(encoding="utf-8").splitlines()
            code = "".join(line for line in source if not line.strip().startswith("//"))
            served = client.get(served_path(name)).text.replace("\n", "")
            assert texts(served) == texts(code), name
            assert "".join(served.split()) == "".join(code.split()), name


def test_nothing_in_the_files_comes_from_elsewhere() -> None:
    for name in FILES:
        addresses = set(re.findall(r"https?://[^\s\"')]+", (DIRECTORY / name).read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
