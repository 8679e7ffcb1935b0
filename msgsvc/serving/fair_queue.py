"""Queues in which the callers take turns, however many items each of them has."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from msgsvc.serving.callers import Caller

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Gives one item of each caller, then the next item of each. The items of one caller keep their order."""

    def __init__(self, caller_of: Callable[[Item], Caller]) -> None:
        self._caller_of = caller_of
        self._waiting: OrderedDict[Caller, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    def append(self, item: Item) -> None:
        """Add an item; its caller keeps its turn, or gets one after all others."""
        caller = self._caller_of(item)
        items = self._waiting.get(caller)
        if items is None:
            self._waiting[caller] = deque((item,))
        else:
            items.append(item)

    def popleft(self) -> Item:
        """Remove and return an item of the caller whose turn it is."""
        caller, items = next(iter(self._waiting.items()))
        item = items.popleft()
        if items:
            self._waiting.move_to_end(caller)
        else:
            del self._waiting[caller]
        return item


class SharedQueue(FairQueue[Item]):
    """A fair queue that holds a caller's items back while as many of them are in progress as its share allows."""

    def __init__(self, caller_of: Callable[[Item], Caller], share: int) -> None:
        super().__init__(caller_of)
        self._share = share
        self._begun: Counter[Caller] = Counter()
        self._held: dict[Caller, deque[Item]] = {}

    def append(self, item: Item) -> None:
        """Add an item; see FairQueue."""
        caller = self._caller_of(item)
        if self._begun[caller] < self._share:
            super().append(item)
        else:
            self._held.setdefault(caller, deque()).append(item)

    def popleft(self) -> Item:
        """Remove and return an item; the work on it lasts until end()."""
        item = super().popleft()
        caller = self._caller_of(item)
        self._begun[caller] += 1
        if self._begun[caller] >= self._share and caller in self._waiting:
            self._held[caller] = self._waiting.pop(caller)
        return item

    def end(self, caller: Caller) -> None:
        """The work on an item of the caller has ended; its held items get a turn again."""
        self._begun[caller] -= 1
        if not self._begun[caller]:
            del self._begun[caller]
        if caller in self._held:
            self._waiting[caller] = self._held.pop(caller)
