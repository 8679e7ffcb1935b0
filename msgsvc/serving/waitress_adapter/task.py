"""A request on its connection, answered in steps: parse, handle, respond, send."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, cast

from waitress.task import WSGITask
from waitress.utilities import build_http_date

from msgsvc.middleware import Call
from msgsvc.routes import Lane

if TYPE_CHECKING:
    from waitress.parser import HTTPRequestParser

    from msgsvc.serving.waitress_adapter.connection import Connection


def _step(method: Callable[["Task"], None]) -> Callable[["Task"], None]:
    """After a step has failed, the task takes no further one; execute() raises the exception."""

    @wraps(method)
    def step(task: "Task") -> None:
        if task.fault is None:
            try:
                method(task)
            except Exception as error:
                task.fault = error

    return step


class Task(WSGITask):
    """A request and the steps to answer it: parse, handle, respond; each may be taken for many tasks in a row."""

    lane = Lane.WORKER
    fault: Exception | None = None
    _call: Call
    _response = b""

    def __init__(self, connection: "Connection", request: Any) -> None:
        super().__init__(connection, request)
        self.connection = connection

    @_step
    def parse(self) -> None:
        """Find the route and its lane."""
        self._call = self.connection.server.app.call(self.get_environment())
        self.lane = self._call.parse()

    @_step
    def handle(self) -> None:
        """Authorize the caller and run the handler."""
        self._call.handle()

    @_step
    def commit(self) -> None:
        """Wait until the work of the handler is stored."""
        self._call.commit()

    @_step
    def respond(self) -> None:
        """Write the response, once the work of the handler is committed."""
        self.start()
        self.status, self.response_headers, body = self._call.respond()
        self._response = self.build_response_header() + body
        connection = self.connection
        if connection.caller is connection.address and (account := self._call.account()):
            connection.server.callers.learn(cast("HTTPRequestParser", self.request).headers["AUTHORIZATION"], account)

    def execute(self) -> None:
        """Send the response. On a worker, take the steps before that first.

        Raises the exception of a step that failed; waitress then responds with a RefusalTask.
        """
        if not self._response:
            self.handle()
            self.respond()
        if self.fault:
            raise self.fault
        self.wrote_header = True
        self.channel.write_soon(self._response)

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environ, with the keys that the middleware looks for."""
        environ: dict[str, Any] = super().get_environment()
        environ.update(self.connection.server.environ_keys)
        return environ

    def build_response_header(self) -> bytes:
        """The head of the response, with the headers as the application gave them.

        waitress would normalise them again, and close the connection after every 204 and 304, so that polling clients
        would have to connect again each time.
        """
        request = cast("HTTPRequestParser", self.request)
        if self.version != "1.1" or request.headers.get("CONNECTION") == "close":
            return super().build_response_header()
        lines = [f"{name}: {value}" for name, value in self.response_headers]
        return "\r\n".join(
            [f"HTTP/1.1 {self.status}", *lines, f"Date: {_http_date(int(self.start_time))}", "\r\n"]
        ).encode("latin-1")


_http_date = lru_cache(maxsize=1)(build_http_date)
