"""The message calls and the inbox page as URL patterns of a Django site, inside the site's own request handling."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, RawPostDataException, UnreadablePostError
from django.urls import URLPattern, path

from msgsvc.app import App
from msgsvc.routes import host_paths

REQUEST = "django.request"
"""environ key of Django's request, for the site's ``authenticate``."""


def urls(messages: App) -> list[URLPattern]:
    """The patterns of the message calls, to be included under the prefix of the settings."""
    return [path(pattern.removeprefix("/"), _view(messages)) for pattern in host_paths("int")]


def page_urls(messages: App) -> list[URLPattern]:
    """The patterns of the inbox page, to be included at the page's path in the settings and a slash."""
    return [path(pattern, _view(messages)) for pattern in ("", "<name>")]


def _view(messages: App) -> Callable[..., HttpResponse]:
    def answer(request: HttpRequest, **_arguments: Any) -> HttpResponse:
        status, headers, body = messages.answer(_environ(request))
        response = HttpResponse(body, status=int(status[:3]))
        # Django sets a type even where there is no body.
        del response["Content-Type"]
        for name, value in headers:
            response[name] = value
        return response

    return answer


def _environ(request: HttpRequest) -> dict[str, Any]:
    environ = {**request.META, REQUEST: request, "wsgi.input": BytesIO(_body(request))}
    for name in ("SCRIPT_NAME", "PATH_INFO"):
        # Django has decoded them; WSGI has bytes as latin-1.
        environ[name] = environ[name].encode().decode("latin-1")
    # Django reads no more than Content-Length announces, whatever the server could read.
    environ.pop("wsgi.input_terminated", None)
    return environ


def _body(request: HttpRequest) -> bytes:
    """The body, also where the site has read it; empty where Django cannot give it, which the check against
    Content-Length then refuses.
    """
    try:
        return bytes(request.body)
    except (RawPostDataException, RequestDataTooBig, UnreadablePostError):
        return b""
