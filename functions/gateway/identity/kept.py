"""Values kept for a while, the oldest forgotten first: as many as there is room for."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    def __init__(self, size: int, seconds: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[V, float]] = OrderedDict()

    def get(self, name: str) -> V | None:
        value, until = self._entries.get(name, (None, 0.0))
        return value if self._clock() < until else None

    def forget(self, name: str) -> None:
        self._entries.pop(name, None)

    def set(self, name: str, value: V) -> None:
        self._entries.pop(name, None)
        self._entries[name] = value, self._clock() + self._seconds
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
