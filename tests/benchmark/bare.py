"""The measure for all others: what waitress and werkzeug cost alone. ``python -m tests.benchmark.bare THREADS``."""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import waitress
from werkzeug import Request, Response
from werkzeug.routing import Map, Rule

METHODS = ["GET", "POST", "PATCH", "DELETE"]
URLS = Map([Rule("/body/<int:size>", methods=METHODS, endpoint="body")])


@cache
def _body(size: int) -> bytes:
    return b"x" * size


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers ``/body/<size>`` with a body of that size."""
    request = Request(environ)
    _, arguments = URLS.bind_to_environ(request.environ).match()
    response = Response(_body(**arguments), content_type="application/json")
    return response(environ, start_response)


def serve(served: Callable[..., Iterable[bytes]], threads: int) -> None:
    """Serves on a free port of the loopback, which it prints."""
    server = waitress.create_server(served, host="127.0.0.1", port=0, threads=threads)
    sys.stdout.write(f"listening on 127.0.0.1:{server.effective_port}\n")
    sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    serve(application, int(sys.argv[1]))
