"""What machines ask: whether the service is well, and how it is called."""

from msgsvc.json_http import Response
from msgsvc.request import Request


def health(request: Request) -> Response:
    """GET /healthz: 200 only while the database answers, else 503."""
    request.services.database.probe()
    return Response({"status": "ok"})


def openapi(request: Request) -> Response:
    """GET /api/openapi.json: the description of every call that this application answers."""
    return Response(request.services.openapi)
