"""The answer to a request that is not handled: it is not valid HTTP, too large, or its task has failed."""

import logging
from typing import TYPE_CHECKING, cast

from waitress.task import ErrorTask

from msgsvc.errors import ApiError
from msgsvc.json_http import BODY_LIMIT, error_response
from msgsvc.middleware import new_request_id, standard_headers
from msgsvc.serving import http_rules

if TYPE_CHECKING:
    from waitress.parser import HTTPRequestParser
    from waitress.utilities import Error

logger = logging.getLogger("msgsvc")

_REFUSALS = {
    400: ApiError("bad_request"),
    413: ApiError("body_too_large", f"The body is longer than {BODY_LIMIT} bytes"),
    431: ApiError(
        "headers_too_large",
        f"The headers are longer than {http_rules.HEADER_LIMIT} bytes or {http_rules.HEADER_LINES} lines",
    ),
}


class RefusalTask(ErrorTask):
    """Answers a request that waitress refused, or a task that failed, in the service's own form."""

    def execute(self) -> None:
        """Send the refusal and close the connection."""
        error = cast("Error", cast("HTTPRequestParser", self.request).error)
        refusal = _REFUSALS.get(error.code) or ApiError("internal_error")
        body = error_response(refusal).payload()
        self.status = f"{error.code} {error.reason}"
        self.content_length = len(body)
        request_id = new_request_id()
        self.response_headers = [*standard_headers(request_id).items(), ("Content-Type", "application/json")]
        self.set_close_on_finish()
        logger.info("refused", extra={"fields": {"request_id": request_id, "status": error.code, "code": refusal.code}})
        self.write(body)
