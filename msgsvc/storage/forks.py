"""Around a fork no connection of the SQLite engine is open, and after it each process opens its own.

SQLite keeps state for each process that a child would inherit with the open connections: its locks would be wrong on
both sides. A PostgreSQL server takes what two processes write to one socket for one session.
"""

import os
import weakref
from functools import cache
from typing import Protocol


class Forkable(Protocol):
    """What an engine offers around a fork."""

    def pause(self) -> bool:
        """Closes what must not be open; whether resume() is to be called."""
        ...

    def resume(self) -> None: ...

    def start_afresh(self) -> None: ...


_watched: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def watch(storage: Forkable) -> None:
    """Pauses the storage around every fork from now on, and starts it afresh in the child."""
    _register()
    _watched.add(storage)


@cache
def _register() -> None:
    paused: list[Forkable] = []

    def before() -> None:
        paused.extend(storage for storage in list(_watched) if storage.pause())

    def after_in_parent() -> None:
        while paused:
            paused.pop().resume()

    def after_in_child() -> None:
        paused.clear()
        for storage in list(_watched):
            storage.start_afresh()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
