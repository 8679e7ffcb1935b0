"""The parser of requests: waitress's, with the stricter rules of http_rules."""

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest

from msgsvc.serving import http_rules


class RequestParser(HTTPRequestParser):
    """waitress's parser, with the stricter rules of http_rules."""

    headers: dict[str, str]
    command: str  # type: ignore[assignment]  # The stubs say bytes.

    path = ""
    """waitress logs the path when the client has gone, also that of a request refused before its path was parsed."""

    def received(self, data: bytes) -> int:
        """Parse more of the request. A ValueError of waitress's parser means a bad request."""
        try:
            consumed = super().received(data)
        except ValueError:
            self.error = BadRequest("")
            self.completed = True
            consumed = len(data)
        if self.completed:
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers. Raises ParsingError."""
        if fault := http_rules.find_framing_fault(header_plus):
            raise ParsingError(fault)
        super().parse_header(header_plus)
        if fault := http_rules.find_head_fault(self.command, self.version, self.headers):
            raise ParsingError(fault)
        # waitress compares the whole header with "close" and "keep-alive".
        if "CONNECTION" in self.headers:
            self.headers["CONNECTION"] = http_rules.connection_option(self.headers["CONNECTION"])
