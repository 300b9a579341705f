"""Vectors of texts kept between questions: a text once for each owner and epoch.

They lie beside the windows and share their bound in bytes, of which they take a part at most; what
nobody has asked about for long enough goes, and what was forgotten at once. A vector is found by
what is said, so a window that is cut differently, or was dropped, costs no vector.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

SHARE = 8  # of the bytes of all that is kept, one in so many
OVERHEAD_BYTES = 400  # about, of a tensor and its place beside its numbers
DIGEST_BYTES = 16

Key = tuple[str, int, bytes]  # owner, epoch, digest of the text


@dataclass(slots=True)
class _Kept:
    vector: Tensor  # (width,)
    used_at: float


class Vectors:
    """`clock` in seconds, monotonic. Not safe for threads: one worker has it."""

    def __init__(self, max_bytes: int, idle_seconds: float, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self.bytes_kept = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key) -> Tensor | None:
        kept, now = self._kept.get(key), self._clock()
        if kept is None or kept.used_at + self._idle_seconds <= now:
            return None
        kept.used_at = now
        self._kept.move_to_end(key)
        return kept.vector

    def keep(self, key: Key, vector: Tensor) -> None:
        self._drop(key)
        self._kept[key] = _Kept(vector, self._clock())
        self.bytes_kept += _size(vector)

    def evict(self, left: int | None = None) -> None:
        """What has been idle too long, then what was used least recently above the bound, or above
        the bytes that are `left`."""
        oldest = self._clock() - self._idle_seconds
        most = self._max_bytes if left is None else min(left, self._max_bytes)
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.used_at > oldest and self.bytes_kept <= most:
                return
            self._drop(key)

    def forget(self, owner: str) -> None:
        for key in [key for key in self._kept if key[0] == owner]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        if kept := self._kept.pop(key, None):
            self.bytes_kept -= _size(kept.vector)


def digests(texts: Sequence[str]) -> list[bytes]:
    return [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
        for text in texts
    ]


def _size(vector: Tensor) -> int:
    return vector.numel() * vector.element_size() + OVERHEAD_BYTES
