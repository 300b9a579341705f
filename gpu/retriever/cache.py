"""Windows kept between questions: least recently used, bounded in bytes, forgotten when idle.

A window is found by its owner, the epoch of the owner's memory and a chain of digests of its
chunks. Owners never share one: their key is part of the chain's beginning and of the place.
Correctness never depends on a hit. Model, adapter and profile are one per process. Not safe for
threads: one worker has it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from retriever.window import Window
from retriever_contract.wire import Chunk

DIGEST_BYTES = 16

Place = tuple[str, int, bytes]  # owner, epoch, digest of the first chunk


@dataclass(slots=True)
class Counts:
    hits: int = 0
    misses: int = 0
    tokens_read: int = 0
    tokens_cached: int = 0
    evicted: int = 0


@dataclass(slots=True)
class _Kept:
    window: Window
    used_at: float


class WindowCache:
    """`clock` in seconds, monotonic. The window last placed stays even when it alone is too big."""

    def __init__(self, max_bytes: int, idle_seconds: float, clock: Callable[[], float]) -> None:
        self.max_bytes = max_bytes
        self.idle_seconds = idle_seconds
        self.counts = Counts()
        self._clock = clock
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes_kept(self) -> int:
        return sum(kept.window.bytes_taken for kept in self._kept.values())

    def find(self, owner: str, epoch: int, chain: Sequence[bytes]) -> tuple[Window | None, int]:
        """The window that begins as `chain` does, and how many of its chunks do."""
        place = (owner, epoch, chain[0])
        kept = self._kept.get(place)
        if kept is None or kept.used_at + self.idle_seconds <= self._clock():
            return None, 0
        return kept.window, _common(kept.window.chain, chain)

    def keep(self, owner: str, epoch: int, window: Window) -> None:
        """From now on this one is found; another that began alike is not."""
        place = (owner, epoch, window.chain[0])
        self._kept[place] = _Kept(window, self._clock())
        self._kept.move_to_end(place)

    def use(self, window: Window) -> None:
        """It is being read: others are older. Nothing, when it is not kept any more."""
        for place in self._places(window):
            self._kept[place].used_at = self._clock()
            self._kept.move_to_end(place)

    def drop(self, window: Window) -> None:
        """Not to be found again: what is in it cannot be trusted."""
        for place in self._places(window):
            del self._kept[place]

    def evict(self, in_use: Collection[Window] = ()) -> None:
        """What has been idle too long, then the least recently used above the bound. What takes
        nothing yet, or is in use, would free nothing."""
        oldest = self._clock() - self.idle_seconds
        size = self.bytes_kept
        for place, kept in list(self._kept.items()):
            taken = kept.window.bytes_taken
            idle = kept.used_at <= oldest
            over = taken > 0 and size > self.max_bytes and len(self._kept) > 1
            if (idle or over) and kept.window not in in_use:
                size -= taken
                self.counts.evicted += not idle
                del self._kept[place]

    def forget(self, owner: str) -> int:
        """Drop what is kept of `owner`; how many windows."""
        gone = [place for place in self._kept if place[0] == owner]
        for place in gone:
            del self._kept[place]
        return len(gone)

    def _places(self, window: Window) -> list[Place]:
        return [place for place, kept in self._kept.items() if kept.window is window]


def chained(whose: str, chunks: Sequence[Chunk]) -> list[bytes]:
    """A digest for each chunk that covers `whose` it is and all chunks before it."""
    chain: list[bytes] = []
    seed = hashlib.blake2b(whose.encode(), digest_size=DIGEST_BYTES).digest()
    for chunk in chunks:
        said = f"{len(chunk.id)} {chunk.id}{chunk.text}".encode("utf-8", "surrogatepass")
        seed = hashlib.blake2b(said, digest_size=DIGEST_BYTES, key=seed).digest()
        chain.append(seed)
    return chain


def _common(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
