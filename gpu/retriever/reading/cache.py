"""Windows kept between questions: least recently used, bounded in bytes, forgotten when idle.

A window is found by its owner, the epoch of the owner's memory and a chain of digests of its
texts. Owners never share one: their key is part of the chain's beginning and of the place.
Correctness never depends on a hit. Model, adapter and profile are one per process. Not safe for
threads: one worker has it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from retriever.reading.vectors import SHARE, Vectors
from retriever.reading.window import Window

DIGEST_BYTES = 16
MOST_BEGUN_ALIKE = 4  # windows of one owner: conversations that open with the same words

Place = tuple[str, int, bytes]  # owner, epoch, digest of the first chunk


@dataclass(slots=True)
class Counts:
    hits: int = 0
    misses: int = 0
    tokens_read: int = 0
    tokens_cached: int = 0
    evicted: int = 0
    texts_embedded: int = 0
    characters_embedded: int = 0


@dataclass(slots=True)
class _Kept:
    place: Place
    used_at: float


class WindowCache:
    """`clock` in seconds, monotonic. The window last placed stays even when it alone is too big."""

    def __init__(self, max_bytes: int, idle_seconds: float, clock: Callable[[], float]) -> None:
        self.max_bytes = max_bytes
        self.idle_seconds = idle_seconds
        self.counts = Counts()
        self.vectors = Vectors(max_bytes // SHARE, idle_seconds, clock)  # of the same bytes
        self._clock = clock
        self._kept: OrderedDict[Window, _Kept] = OrderedDict()
        self._places: dict[Place, list[Window]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes_kept(self) -> int:
        return sum(window.bytes_taken for window in self._kept) + self.vectors.bytes_kept

    def find(self, owner: str, epoch: int, chain: Sequence[bytes]) -> tuple[Window | None, int]:
        """Of the windows that begin as `chain` does the one that does for longest, and for how many
        chunks; of two alike the shorter, which may be the whole beginning."""
        now = self._clock()
        begun_alike = [
            (window, in_common(window.chain, chain))
            for window in self._places.get((owner, epoch, chain[0]), ())
            if self._kept[window].used_at + self.idle_seconds > now
        ]
        longest = max(begun_alike, key=lambda each: (each[1], -len(each[0].chain)), default=None)
        return longest or (None, 0)

    def keep(self, owner: str, epoch: int, window: Window) -> None:
        """From now on this one is found too; of too many that begin alike the one used last."""
        place = (owner, epoch, window.chain[0])
        beside = self._places.setdefault(place, [])
        if window not in self._kept:
            beside.append(window)
        self._kept[window] = _Kept(place, self._clock())
        self._kept.move_to_end(window)
        if len(beside) > MOST_BEGUN_ALIKE:
            self.drop(next(one for one in self._kept if one in beside))

    def use(self, window: Window) -> None:
        """It is being read: others are older. Nothing, when it is not kept any more."""
        if kept := self._kept.get(window):
            kept.used_at = self._clock()
            self._kept.move_to_end(window)

    def drop(self, window: Window) -> None:
        """Not to be found again."""
        if kept := self._kept.pop(window, None):
            beside = self._places[kept.place]
            beside.remove(window)
            if not beside:
                del self._places[kept.place]

    def evict(
        self,
        in_use: Collection[Window] = (),
        coming: int = 0,
        awaited: Collection[Window] = (),
    ) -> None:
        """What has been idle too long, then the least recently used above the bound, when `coming`
        bytes are to have room too. What takes nothing yet, or is in use, would free nothing.

        What is `awaited` gives its room back and is found all the same, to be read again. Where
        what is in use needs it, vectors give theirs."""
        self.vectors.evict()
        oldest = self._clock() - self.idle_seconds
        size = self.bytes_kept + coming
        for window, kept in list(self._kept.items()):
            taken = window.bytes_taken
            idle = kept.used_at <= oldest
            over = taken > 0 and size > self.max_bytes and len(self._kept) > 1
            if (idle or over) and window not in in_use:
                size -= taken
                self.counts.evicted += not idle
                if window not in awaited:
                    self.drop(window)
                window.release()
        self.vectors.evict(self.max_bytes - (size - self.vectors.bytes_kept))

    def forget(self, owner: str) -> int:
        """Drop what is kept of `owner`; how many windows."""
        self.vectors.forget(owner)
        gone = [window for window, kept in self._kept.items() if kept.place[0] == owner]
        for window in gone:
            self.drop(window)
        return len(gone)


def chained(whose: str, texts: Sequence[str]) -> list[bytes]:
    """A digest for each text that covers `whose` it is and all texts before it. Ids of chunks are
    left out: no score depends on them, and a caller may make new ones for what was said long ago.
    """
    chain: list[bytes] = []
    seed = hashlib.blake2b(whose.encode(), digest_size=DIGEST_BYTES).digest()
    for text in texts:
        said = text.encode("utf-8", "surrogatepass")
        seed = hashlib.blake2b(said, digest_size=DIGEST_BYTES, key=seed).digest()
        chain.append(seed)
    return chain


def in_common(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """How many digests both chains begin with."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
