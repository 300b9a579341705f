"""What an instance keeps of people's memories: the gateway's own cache over stand-ins for segments.

A stand-in is a text a fiftieth as long as the segment's, and the cache's bound a fiftieth of the
configured one, so that what is evicted when is the gateway's own decision at a bearable cost.
"""

from gateway.memory.recall import MAX_READ, IndexCache
from gateway.memory.records import Record
from gateway.memory.segments import SEGMENT_BYTES, TAIL_TURNS, overflow, turns

SCALE = 50
INDEXED = 1.7  # times its text: what an index of long messages adds (ARCHITECTURE.md)


class InstanceMemory:
    def __init__(self, max_bytes: int, tail_bytes: int) -> None:
        self._cache = IndexCache(max_bytes // SCALE)
        self._tail = [_stand_in(tail_bytes)]
        self._segment = [_stand_in(SEGMENT_BYTES)]

    def recall(self, person: int, segments: int, turn: int) -> int:
        """How many documents the turn reads of the person's segments; they are cached then. The
        tail's index is made anew on each turn, as the gateway does."""
        self._cache.put((f"{person}/tail", str(turn), ""), self._tail, 0.0)
        wanted = range(max(0, segments - MAX_READ), segments)
        keys = [(f"{person}/{number}", "1", "") for number in wanted]
        missing = [key for key in keys if self._cache.get(key, 0.0) is None]
        for key in missing:
            self._cache.put(key, self._segment, 0.0)
        return len(missing)


def turns_that_roll_over(bytes_per_turn: int) -> int:
    """How many turns a full tail gives to a segment at once: the gateway's own packing decides."""
    text = "x" * max(1, bytes_per_turn // 2 - 300)
    tail = [
        _record(f"m{number}", role, text)
        for number in range(TAIL_TURNS + 1)
        for role in ("user", "assistant")
    ]
    leaving, _ = overflow(tail)
    return len(turns(leaving))


def _stand_in(real_bytes: int) -> Record:
    return _record("m0", "user", "x" * int(INDEXED * real_bytes / SCALE))


def _record(id: str, role: str, text: str) -> Record:
    return Record(id, "s", 0, None, role, text, len(text) // 4, 0.0, "")
