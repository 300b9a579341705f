"""From the schema a document was written in to today's, when it is read. Pure.

A document is rewritten in today's schema whenever it is next written for its own reasons: nothing
migrates, nothing waits. A step takes the fields of one kind of document from its schema to the next
one; kinds without a step are the same in both. The limits' documents have no schema: they are
counters that live for two days.

Schema 1: the manifest was a list of lists in JSON, each with a sketch of four hashes over one slice
as wide as the four of today, and at first without `epoch`, `erasing` and `hold`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import floor
from typing import Any, Literal

import orjson

from gateway.documents.base import Document, Fields
from gateway.errors import Unavailable
from gateway.memory import manifest
from gateway.memory.segments import Segment
from gateway.retrieval.sketch import BYTES, SLICES, Sketch

SCHEMA = 2

Kind = Literal["owner", "head", "segment", "fingerprint", "request", "archive"]
Step = Callable[[Fields], Fields]


class NewerSchema(Unavailable):
    """A newer version of the service wrote this; it is not guessed at."""

    code = "schema_newer"

    def __init__(self, schema: int) -> None:
        super().__init__(
            f"A newer version of this service wrote this memory (schema {schema});"
            f" this one reads up to {SCHEMA}.",
            retry_after_seconds=30,
        )


def current(document: Document, kind: Kind) -> Fields:
    """The document's fields in today's schema. Raises `NewerSchema`."""
    fields = document.fields
    schema = fields.get("schema", 1)
    if schema > SCHEMA:
        raise NewerSchema(schema)
    for number in range(schema, SCHEMA):
        fields = _steps().get((kind, number), _as_it_was)(fields)
    return fields


def _steps() -> Mapping[tuple[Kind, int], Step]:
    return {("owner", 1): _owner_from_1}


def _as_it_was(fields: Fields) -> Fields:
    return fields


def _owner_from_1(fields: Fields) -> Fields:
    segments = [_segment_from_1(values) for values in orjson.loads(fields["segments"])]
    born_later = {"epoch": 0, "erasing": False, "hold": False}
    return {**born_later, **fields, **manifest.packed(segments)}


def _segment_from_1(values: Sequence[Any]) -> Segment:
    """`oldest_at` is a bound, to the millisecond now."""
    named = dict(zip(Segment.__slots__, values, strict=True))
    oldest_at = floor(named["oldest_at"] * 1000) / 1000
    return Segment(**{**named, "oldest_at": oldest_at, "sketch": _sketch_from_1(named["sketch"])})


def _sketch_from_1(text: str) -> Sketch:
    """Its one wide slice folded to the width of today's and repeated: no term is denied, more
    strangers pass until the segment is next written."""
    bits = Sketch.from_text(text).bits
    width = BYTES // SLICES
    folded = 0
    for start in range(0, BYTES, width):
        folded |= int.from_bytes(bits[start : start + width], "big")
    return Sketch(folded.to_bytes(width, "big") * SLICES)
