"""The inbox page: routes that serve its files from memory, with the headers that keep it safe."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from posixpath import relpath

from werkzeug.http import generate_etag

from msgsvc.authorization import Access
from msgsvc.json_http import Response, matches
from msgsvc.request import Request
from msgsvc.routes import Lane, Route
from msgsvc.settings import Settings

_DIRECTORY = Path(__file__).parent
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {}; require-trusted-types-for 'script'; trusted-types 'none'"
)


def page_routes(settings: Settings, *, standalone: bool) -> list[Route]:
    """A route for each file, and for an embedded page one that says who the host has logged in.

    Addresses in the files are relative, so that a proxy may put a prefix before all of them. Embedded, `/` is left to
    the host.
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
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".html":
                for name, address in addresses.items():
                    text = text.replace(name, address)
            headers = _headers(text.encode(), _MEDIA_TYPES[path.suffix], settings.page_frame_ancestors)
            name = "" if path.name == "index.html" else path.name
            routes.append(_route(directory + name, partial(_file, text.encode(), headers)))
    if directory != "/":
        routes.append(_route(settings.page, partial(_redirect, directory.rsplit("/", 2)[1] + "/")))
    if not standalone:
        routes.append(Route("GET", f"{directory}session", _session, Access.MEMBER, Lane.WORKER))
    return routes


def _headers(content: bytes, media_type: str, ancestors: str) -> Mapping[str, str]:
    """Browsers keep a file and ask each time whether it is still the same."""
    framing = {"X-Frame-Options": {"'none'": "DENY", "'self'": "SAMEORIGIN"}.get(ancestors)}
    return {
        "Cache-Control": "no-cache",
        "Content-Type": f"{media_type}; charset=utf-8",
        "Content-Security-Policy": _POLICY.format(ancestors),
        "ETag": f'"{generate_etag(content)}"',
        "Referrer-Policy": "no-referrer",
        **{name: value for name, value in framing.items() if value},
    }


def _route(path: str, handler: partial[Response]) -> Route:
    return Route("GET", path, handler, Access.ANYONE, Lane.INLINE_READ)


def _file(content: bytes, headers: Mapping[str, str], request: Request) -> Response:
    is_known = matches(request.environ, headers["ETag"])
    return Response(status=304, headers=headers) if is_known else Response(content, headers=headers)


def _redirect(directory: str, request: Request) -> Response:  # noqa: ARG001
    return Response(status=308, headers={"Location": directory})


def _session(request: Request) -> Response:
    """The account that the host has logged in."""
    request.authorize()
    return Response({"username": request.caller.username, "role": request.caller.role})
