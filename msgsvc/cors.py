"""CORS: which browser clients of other origins may read the answers. Off unless the settings name origins."""

from typing import TYPE_CHECKING

from msgsvc.json_http import Response
from msgsvc.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Msgsvc-Background, X-Request-ID"
_RESPONSE_HEADERS = "ETag, Idempotency-Replayed, Retry-After, X-Request-ID"
_PREFLIGHT_SECONDS = "600"


def response_headers(environ: "WSGIEnvironment", settings: Settings) -> dict[str, str]:
    """The headers of every response where CORS is on; only the origins of the settings are allowed."""
    if not settings.cors_origins:
        return {}
    origin = environ.get("HTTP_ORIGIN")
    if origin not in settings.cors_origins:
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": str(origin),
        "Access-Control-Expose-Headers": _RESPONSE_HEADERS,
        **({"Access-Control-Allow-Credentials": "true"} if settings.cors_credentials else {}),
    }


def is_cross_site(environ: "WSGIEnvironment", settings: Settings) -> bool:
    """Whether a browser marks the call as made by a page of another site whose origin the settings do not name."""
    return (
        environ.get("HTTP_SEC_FETCH_SITE") == "cross-site" and environ.get("HTTP_ORIGIN") not in settings.cors_origins
    )


def is_preflight(environ: "WSGIEnvironment", settings: Settings) -> bool:
    """Whether the request is the preflight of a browser whose origin the settings name."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and environ.get("HTTP_ORIGIN") in settings.cors_origins
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def preflight(methods: str, settings: Settings) -> Response:
    """Allows the methods of the path, the headers of the API, and those of the settings."""
    return Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": ", ".join([_REQUEST_HEADERS, *settings.cors_headers]),
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        },
    )
