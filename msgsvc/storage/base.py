"""What handlers and commands may ask of a database, whatever its engine; and how a database fails."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]
Result = TypeVar("Result")

Progress = Callable[[str], None]
"""Is called again and again with what long work is doing."""


class StorageError(Exception):
    """The database did not do what was asked.

    ``code`` is storage_full, storage_busy, storage_unavailable, or refused_by_host: a constraint or trigger of a host
    refused this one write (conflicts with our own constraints are resolved in the statements).
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class RolledBackError(StorageError):
    """Another call of the batch ended the transaction; the work can be run again by ``write()`` without commits."""


class MigrationError(Exception):
    """The database cannot be brought to the present schema; it is left as it was."""


class BackupRefusedError(Exception):
    """The copy would overwrite what must not be overwritten."""


Ahead = Sequence[tuple[str, dict[str, object]]]
"""Names of reading statements with their parameters."""


class Snapshot(Protocol):
    """Runs named statements that read; all of them see the same state. Every method raises StorageError."""

    def all(self, name: str, **parameters: object) -> list[Row]:
        """All rows of the statement."""
        ...

    def first(self, name: str, **parameters: object) -> Row | None:
        """The first row of the statement, or None."""
        ...

    def one(self, name: str, **parameters: object) -> Row:
        """The only row of a statement that always gives one."""
        ...

    def each(self, name: str, **parameters: object) -> Generator[Row, None, None]:
        """The rows of the statement as they are fetched. Close it where not all of them are read."""
        ...


class Transaction(Snapshot, Protocol):
    """Runs named statements that read and write; all that they write is stored, or nothing."""

    def run(self, name: str, **parameters: object) -> int:
        """Runs the statement; the number of rows it changed."""
        ...

    def enqueue(self, name: str, **parameters: object) -> object:
        """Runs the statement at the latest with the next one or the commit, which fails where it fails."""
        ...

    def insert(self, name: str, **parameters: object) -> int:
        """Runs the statement, which inserts a row; its id. Refused by the host where a trigger ignored the row."""
        ...


class Commit(Protocol):
    """A commit that may hold the work of several calls."""

    def wait(self) -> None:
        """Returns once the work is stored. Raises StorageError where it is not."""
        ...


class Storage(ABC):
    """A database, usable from any number of threads and after a fork."""

    serves_inline_reads: bool
    """Whether a read by key takes a few local microseconds, so that the event loop may wait for it."""

    batches_writes: bool
    """Whether ``batch()`` lets many writes share one commit."""

    sends_ahead: bool
    """Whether statements that are named beforehand save round trips to a server."""

    @abstractmethod
    def read(self, ahead: Ahead = ()) -> AbstractContextManager[Snapshot]:
        """A snapshot. Raises StorageError.

        An engine that ``sends_ahead`` sends the statements of ``ahead`` with the first one. They should be those that
        will follow it; one that does not follow has been run in vain.
        """

    def share_snapshot(self) -> AbstractContextManager[None]:
        """Reads of this thread within the block may share one snapshot, which begins with the first of them."""
        return nullcontext()

    @abstractmethod
    def write(
        self, work: Callable[[Transaction], Result], commits: list[Commit] | None = None, ahead: Ahead = ()
    ) -> Result:
        """Runs the work in a transaction; its result. For ``ahead`` see read().

        The engine may run the work again after a conflict with another writer, so it must change nothing but the
        database. Returns after the commit; with ``commits`` it returns before, adds the commit to the list, and the
        caller waits for it before anybody is answered. Work that another call of the batch rolled back is run again
        in a transaction of its own; with ``commits`` the wait raises RolledBackError and the caller does that.
        Raises StorageError, or what the work raises.
        """

    @abstractmethod
    def batch(self) -> AbstractContextManager[None]:
        """Writes of this thread within the block share the commit at its end; they must not wait for it inside."""

    def refuse_late(self, arrived: float) -> None:  # noqa: B027
        """Raises StorageError for a call that waited for its turn while others waited for the database in vain.

        The time of its arrival is that of time.monotonic().
        """

    def watch(self) -> None:  # noqa: B027
        """Notices what happened to the database outside. A server calls it again and again, also when idle."""

    @abstractmethod
    def probe(self) -> None:
        """Reads from the database itself, past every cache. Raises StorageError."""

    @abstractmethod
    def close(self) -> None:
        """Releases everything. Closing twice is harmless."""
