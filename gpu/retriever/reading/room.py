"""Room on the device for what is about to be read, or asked, within the cache's bytes."""

from collections.abc import Collection, Sequence
from weakref import WeakSet

from retriever.reading.cache import WindowCache, in_common
from retriever.reading.jobs import Part
from retriever.reading.runs import Question
from retriever.reading.window import Shape, Window


class Room:
    """Knows which parts somebody may still read or ask: their windows are not taken apart."""

    def __init__(self, cache: WindowCache, shape: Shape) -> None:
        self._cache = cache
        self._shape = shape
        self._held: WeakSet[Part] = WeakSet()

    def hold(self, part: Part) -> None:
        """For as long as anybody has it."""
        self._held.add(part)

    def is_held(self, window: Window) -> bool:
        return any(part.window is window for part in self._held)

    def make_for(self, window: Window, in_use: Collection[Window]) -> None:
        """For all of it, and take over what its origin has; one that it is mostly made of is what
        it was before and goes."""
        origin = window.origin
        needed = [window, *in_use] if origin is None else [window, origin, *in_use]
        self.evict(needed, window.bytes_with(0) - window.bytes_taken)
        window.take_over()
        window.reserve(window.tokens)
        if origin is None or self.is_held(origin):
            return
        if origin.is_mostly(in_common(origin.chain, window.chain)):
            self._cache.drop(origin)

    def make_for_rows(self, questions: Sequence[Question], in_use: Collection[Window]) -> None:
        sizes = [(one.window, self._shape.bytes_of(one.room)) for one in questions]
        self.evict(in_use, sum(max(0, size - one.bytes_taken) for one, size in sizes))

    def evict(self, in_use: Collection[Window], coming: int = 0) -> None:
        self._cache.evict(set(in_use), coming, {part.window for part in self._held})
