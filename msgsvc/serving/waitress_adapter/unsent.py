"""The unsent responses of a connection, in memory and without copying them."""

from collections import deque


class UnsentResponses:
    """Replaces waitress's buffer, which copies the bytes and writes large ones to temporary files."""

    def __init__(self) -> None:
        self._responses: deque[bytes] = deque()
        self._sent = 0

    def __len__(self) -> int:
        return self.held_bytes() - self._sent

    def held_bytes(self) -> int:
        """Bytes in memory, which includes the part of the first response that has been sent."""
        return sum(map(len, self._responses))

    def append(self, response: bytes) -> None:
        """Add a response."""
        self._responses.append(response)

    def get(self, count: int) -> memoryview:
        """At most so many of the next bytes to send."""
        return memoryview(self._responses[0])[self._sent : self._sent + count]

    def skip(self, count: int, _allow_prune: bool) -> None:  # waitress passes it by position.
        """So many bytes have been sent."""
        self._sent += count
        if self._sent == len(self._responses[0]):
            self._responses.popleft()
            self._sent = 0

    def close(self) -> None:
        """Forget everything."""
        self._responses.clear()
        self._sent = 0
