"""Around a fork no SQLite connection is open.

SQLite keeps state for each process that a child would inherit with the open connections: its locks would be wrong on
both sides. So they are closed before, and each side opens its own afterwards.
"""

import os
import weakref
from functools import cache
from typing import Protocol


class Pausable(Protocol):
    """What the SQLite engine offers around a fork."""

    def pause(self) -> bool: ...

    def resume(self) -> None: ...

    def start_afresh(self) -> None: ...


_watched: "weakref.WeakSet[Pausable]" = weakref.WeakSet()


def watch(storage: Pausable) -> None:
    """Closes the connections of the storage around every fork from now on."""
    _register()
    _watched.add(storage)


@cache
def _register() -> None:
    paused: list[Pausable] = []

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
