"""The inbox page: routes that serve its files from memory, with the headers that keep it safe."""

import gzip
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from posixpath import relpath
from typing import NamedTuple

from werkzeug.http import generate_etag, parse_accept_header

from msgsvc.authorization import Access
from msgsvc.json_http import Response, matches
from msgsvc.request import Request
from msgsvc.routes import Lane, Route, url_map
from msgsvc.settings import Settings, SettingsError

_DIRECTORY = Path(__file__).parent
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {}; require-trusted-types-for 'script'; trusted-types 'none'"
)

_QUOTED_OR_OPERATOR = re.compile(r"(?P<quoted>'[^'\n]*'|`[^`\n]*`)| ?(?P<operator>[=!&|?<>+*:;,{}()[\]]+) ?")


def page_routes(settings: Settings, calls: list[Route], *, standalone: bool) -> list[Route]:
    """A route for each file, and for an embedded page a route that names the account that the host has logged in.

    Addresses in the files are relative, so that a proxy may put a prefix before all of them. Embedded, `/` is left to
    the host. Raises SettingsError where the page would have the path of a call.
    """
    if not settings.page or (settings.page == "/" and not standalone):
        return []
    directory = settings.page.rstrip("/") + "/"
    addresses = {
        "{messages}": relpath(settings.prefix, directory),
        "{accounts}": relpath("/api", directory) if standalone else "",
        "{session}": relpath("/api/auth/session", directory) if standalone else "session",
        "{idle}": str(settings.session_idle_seconds),
    }
    routes = []
    for path in sorted(_DIRECTORY.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = _content(path, addresses).encode()
            headers = _headers(_MEDIA_TYPES[path.suffix], settings)
            plain = _representation(content, headers)
            zipped = _representation(gzip.compress(content, 9, mtime=0), {**headers, "Content-Encoding": "gzip"})
            name = "" if path.name == "index.html" else path.name
            routes.append(_route(directory + name, partial(_file, plain, zipped)))
    if directory != "/":
        routes.append(_route(settings.page, partial(_redirect, directory.rsplit("/", 2)[1] + "/")))
    if not standalone:
        routes.append(Route("GET", f"{directory}session", _session, Access.MEMBER, Lane.WORKER))
    call_paths = url_map(calls).bind("msgsvc.invalid")
    if any(call_paths.allowed_methods(route.path) for route in routes):
        raise SettingsError(f"page (MSGSVC_PAGE) must not be {settings.page}: calls have paths there")
    return routes


def _content(path: Path, addresses: Mapping[str, str]) -> str:
    """The text of a file as it is served: scripts and styles without indentation, lines of comment, and the spaces and
    newlines that mean nothing; the HTML with the addresses."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in {".js", ".css"}:
        lines = (line.strip() for line in text.splitlines())
        text = "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))
    if path.suffix == ".js":
        text = _QUOTED_OR_OPERATOR.sub(lambda found: found["quoted"] or found["operator"], text)
        text = re.sub(r"(?<=[;{},])\n", "", text)
    if path.suffix == ".css":
        text = re.sub(r";(?=\s*\})|\s*([{};,>])\s*|(?<=:) ", r"\1", text)
    if path.suffix == ".html":
        for name, address in addresses.items():
            text = text.replace(name, address)
    return text


def _headers(media_type: str, settings: Settings) -> Mapping[str, str]:
    """Browsers keep a file and ask each time whether it is still the same."""
    ancestors = settings.page_frame_ancestors
    framing = {"'none'": "DENY", "'self'": "SAMEORIGIN"}.get(ancestors)
    return {
        "Cache-Control": "no-cache",
        "Content-Type": f"{media_type}; charset=utf-8",
        "Content-Security-Policy": _POLICY.format(ancestors),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding, Origin" if settings.cors_origins else "Accept-Encoding",
        **({"X-Frame-Options": framing} if framing else {}),
    }


def _route(path: str, handler: partial[Response]) -> Route:
    return Route("GET", path, handler, Access.ANYONE, Lane.INLINE_READ)


class _Representation(NamedTuple):
    """A file in one encoding, with headers that tell it from the other."""

    content: bytes
    headers: Mapping[str, str]


def _representation(content: bytes, headers: Mapping[str, str]) -> _Representation:
    return _Representation(content, {**headers, "ETag": f'"{generate_etag(content)}"'})


def _file(plain: _Representation, zipped: _Representation, request: Request) -> Response:
    accepted = parse_accept_header(request.environ.get("HTTP_ACCEPT_ENCODING"))
    content, headers = zipped if accepted["gzip"] > 0 else plain
    is_known = matches(request.environ, headers["ETag"])
    return Response(status=304, headers=headers) if is_known else Response(content, headers=headers)


def _redirect(directory: str, request: Request) -> Response:  # noqa: ARG001
    return Response(status=308, headers={"Location": directory})


def _session(request: Request) -> Response:
    """The account that the host has logged in."""
    request.authorize()
    return Response({"username": request.caller.username, "role": request.caller.role})
