"""What machines ask: whether the database answers, and which calls there are."""

from msgsvc.json_http import Response
from msgsvc.request import Request


def health(request: Request) -> Response:
    """GET /healthz: 200 while the database answers, else 503."""
    request.services.database.probe()
    return Response({"status": "ok"})


def openapi(request: Request) -> Response:
    """GET /api/openapi.json: the description of every call that this application answers."""
    return Response(request.services.openapi)
