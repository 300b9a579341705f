"""Which segments may hold a query's terms, known without reading them. Pure.

A Bloom filter (Bloom 1970, https://doi.org/10.1145/362686.362692) of 4 KiB in four slices with one
hash each: of a segment's 5,000 distinct terms one in twenty strangers is taken for one of them;
never the reverse.

Sketches of many segments share a budget and get coarser as segments become more: first a sketch
loses slices, then the last slice is folded, its halves laid over one another. Both keep every term.
Dropping slices first leaves fewer bits set than folding a filter of four hashes would: at 1 KiB,
5,000 terms leave 46 strangers in a hundred instead of 70.
"""

import base64
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

BYTES = 4096
SLICES = 4
LEAST_TRUST = 0.001  # a full sketch proves nothing and may hold anything
_HASHES = struct.Struct(f"<{SLICES}H")

Places = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sketch:
    """`bits` are a power of two of bytes, up to `BYTES`."""

    bits: bytes

    @staticmethod
    def of(terms: Iterable[str]) -> "Sketch":
        bits = bytearray(BYTES)
        for term in set(terms):
            for place, bit in _places(_hashes(term), BYTES):
                bits[place] |= bit
        return Sketch(bytes(bits))

    @staticmethod
    def from_text(text: str) -> "Sketch":
        """Raises `ValueError` when `text` is no sketch."""
        bits = base64.b64decode(text, validate=True)
        if not 1 <= len(bits) <= BYTES or len(bits).bit_count() != 1:
            raise ValueError(f"a sketch has a power of two of bytes up to {BYTES}, not {len(bits)}")
        return Sketch(bits)

    def joined(self, other: "Sketch") -> "Sketch":
        """Of what either was made of, where both are of one size."""
        return Sketch(_either(self.bits, other.bits))

    def to_text(self) -> str:
        return base64.b64encode(self.bits).decode()

    @property
    def size(self) -> int:
        return len(self.bits)

    def might_hold(self, term: str) -> bool:
        """False means certainly not."""
        return self._holds(_places(_hashes(term), self.size))

    def trust(self) -> float:
        """How much a yes proves: 1 less the share of strangers that get one, never nothing."""
        filled = int.from_bytes(self.bits, "big").bit_count() / (8 * self.size)
        return max(LEAST_TRUST, 1 - filled ** _slices(self.size))

    def shrunk(self, size: int) -> "Sketch":
        """Itself in at most `size` bytes, a power of two."""
        bits = self.bits
        while len(bits) > size:
            half = len(bits) // 2
            bits = bits[:half] if _slices(len(bits)) > 1 else _either(bits[:half], bits[half:])
        return Sketch(bits)

    def _holds(self, places: Places) -> bool:
        bits = self.bits
        for place, bit in places:  # noqa: SIM110  `all` takes three times as long, and this is hot
            if not bits[place] & bit:
                return False
        return True


def fitted(sketches: Sequence[Sketch], budget: int) -> list[Sketch]:
    """The sketches, oldest first, in `budget` bytes together; none below one byte.

    All get the same size but for the oldest, which get half of it as far as the budget demands.
    """
    count, size = len(sketches), BYTES
    while size > 1 and count * size // 2 > budget:
        size //= 2
    half = max(1, size // 2)
    excess = count * size - budget
    smaller = min(count, -(-excess // half)) if excess > 0 else 0
    sizes = [half] * smaller + [size] * (count - smaller)
    return [sketch.shrunk(size) for sketch, size in zip(sketches, sizes, strict=True)]


def choose(query_terms: Iterable[str], sketches: Sequence[Sketch], limit: int) -> list[int]:
    """Numbers of the sketches most likely to hold the rare query terms: best first, then latest.

    A term counts by how few sketches hold it, and each yes by how much it proves. Sketches that
    hold no term are left out.
    """
    trusts = [sketch.trust() for sketch in sketches]
    sizes = {sketch.size for sketch in sketches}
    scores = [0.0] * len(sketches)
    for term in sorted(set(query_terms)):
        hashes = _hashes(term)
        places = {size: _places(hashes, size) for size in sizes}
        holders = [i for i, one in enumerate(sketches) if one._holds(places[one.size])]
        held = sum(trusts[i] for i in holders)
        weight = math.log(1 + (len(sketches) - held + 0.5) / (held + 0.5))
        for i in holders:
            scores[i] += weight * trusts[i]
    best = sorted((i for i, score in enumerate(scores) if score), key=lambda i: (-scores[i], -i))
    return best[:limit]


def _hashes(term: str) -> tuple[int, ...]:
    """One for each slice; the same in every process."""
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=_HASHES.size).digest()
    return _HASHES.unpack(digest)


def _places(hashes: Sequence[int], size: int) -> Places:
    """Byte and bit of a term in each slice of a sketch of `size` bytes."""
    slices = _slices(size)
    width = size // slices
    return [(i * width + hashes[i] // 8 % width, 1 << hashes[i] % 8) for i in range(slices)]


def _slices(size: int) -> int:
    return max(1, size * SLICES // BYTES)


def _either(a: bytes, b: bytes) -> bytes:
    both = int.from_bytes(a, "big") | int.from_bytes(b, "big")
    return both.to_bytes(len(a), "big")
