"""The manifest of segments as text in the owner's document, bounded whatever their number. Pure.

A segment's numbers are stored by column, as differences from the segment before, compressed: about
thirty bytes each. What they leave of the manifest's room the sketches share, coarser as segments
become more (`retrieval/sketch.py`). Ten thousand segments hold two gigabytes of one person's words.
"""

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import orjson

from gateway.memory.segments import Segment
from gateway.retrieval.sketch import Sketch, fitted

MANIFEST_CHARACTERS = 860 * 1024  # the rest of the owner's document takes a few hundred bytes
SKETCH_CHARACTERS = 512 * 1024

_ORIGIN = Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, Sketch(b"\0"))


def packed(segments: Sequence[Segment]) -> dict[str, str]:
    """As fields of the owner's document: `segments` and `sketches`."""
    rows = [_differences(before, one) for before, one in pairwise((_ORIGIN, *segments))]
    numbers = _text(zlib.compress(orjson.dumps(list(zip(*rows, strict=True)))))
    room = min(SKETCH_CHARACTERS, MANIFEST_CHARACTERS - len(numbers)) // 4 * 3
    sketches = fitted([one.sketch for one in segments], max(0, room - len(segments)))
    sizes = bytes(one.size.bit_length() for one in sketches)
    return {
        "segments": numbers,
        "sketches": _text(sizes + b"".join(one.bits for one in sketches)),
    }


def unpacked(fields: Mapping[str, str]) -> tuple[Segment, ...]:
    columns = orjson.loads(zlib.decompress(base64.b64decode(fields["segments"])))
    rows = list(zip(*columns, strict=True))
    sketches = _sketches(base64.b64decode(fields["sketches"]), len(rows))
    found: list[Segment] = []
    before = _ORIGIN
    for row, sketch in zip(rows, sketches, strict=True):
        before = _segment(before, row, sketch)
        found.append(before)
    return tuple(found)


def _differences(before: Segment, one: Segment) -> list[int]:
    """Numbers that are small where segments are alike; negative ones may occur."""
    return [
        one.number - before.number,
        one.version,
        one.count,
        one.bytes,
        one.tokens,
        one.first_sequence - before.last_sequence,
        one.last_sequence - one.first_sequence,
        one.made_from - before.made_to,
        one.made_to - one.made_from,
        round(one.oldest_at * 1000) - one.made_from,
    ]


def _segment(before: Segment, row: Sequence[int], sketch: Sketch) -> Segment:
    number, version, count, size, tokens, sequence, sequences, made, span, oldest = row
    first_sequence, made_from = before.last_sequence + sequence, before.made_to + made
    return Segment(
        number=before.number + number,
        version=version,
        count=count,
        bytes=size,
        tokens=tokens,
        first_sequence=first_sequence,
        last_sequence=first_sequence + sequences,
        made_from=made_from,
        made_to=made_from + span,
        oldest_at=(made_from + oldest) / 1000,
        sketch=sketch,
    )


def _sketches(packed: bytes, count: int) -> Iterable[Sketch]:
    """The sizes first, a byte each: the power of two, and one."""
    place = count
    for length in packed[:count]:
        size = 1 << (length - 1)
        yield Sketch(packed[place : place + size])
        place += size


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
