"""Which segments may hold a query's terms, known without reading them. Pure.

A Bloom filter (Bloom 1970, https://doi.org/10.1145/362686.362692) of 4 KiB: a segment's 5,000
distinct terms set four bits each, and one in twenty strangers is taken for one of them; never the
reverse.
"""

import base64
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

BYTES = 4096
_HASHES = struct.Struct("<4H")  # of 16 bits each; one is more than the bits' number needs


@dataclass(frozen=True, slots=True)
class Sketch:
    bits: bytes

    @staticmethod
    def of(terms: Iterable[str]) -> "Sketch":
        bits = bytearray(BYTES)
        for term in set(terms):
            for place, bit in _places(term):
                bits[place] |= bit
        return Sketch(bytes(bits))

    @staticmethod
    def from_text(text: str) -> "Sketch":
        """Raises `ValueError` when `text` is no sketch."""
        bits = base64.b64decode(text, validate=True)
        if len(bits) != BYTES:
            raise ValueError(f"a sketch has {BYTES} bytes, not {len(bits)}")
        return Sketch(bits)

    def to_text(self) -> str:
        return base64.b64encode(self.bits).decode()

    def might_hold(self, term: str) -> bool:
        """False means certainly not."""
        return self._holds(_places(term))

    def _holds(self, places: Iterable[tuple[int, int]]) -> bool:
        return all(self.bits[place] & bit for place, bit in places)


def choose(query_terms: Iterable[str], sketches: Sequence[Sketch], limit: int) -> list[int]:
    """Numbers of the sketches most likely to hold the rare query terms: best first, then latest.

    A term counts by how few sketches hold it; sketches that hold none are left out.
    """
    scores = [0.0] * len(sketches)
    for term in sorted(set(query_terms)):
        places = _places(term)
        holders = [i for i, sketch in enumerate(sketches) if sketch._holds(places)]
        weight = math.log(1 + (len(sketches) - len(holders) + 0.5) / (len(holders) + 0.5))
        for i in holders:
            scores[i] += weight
    best = sorted((i for i, score in enumerate(scores) if score), key=lambda i: (-scores[i], -i))
    return best[:limit]


def _places(term: str) -> list[tuple[int, int]]:
    """Byte and bit of each of a term's hashes; the same in every process."""
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=_HASHES.size).digest()
    return [(hash // 8 % BYTES, 1 << hash % 8) for hash in _HASHES.unpack(digest)]
