"""Packing messages: the tail inside a session's head, the owner's segments, their manifest. Pure.

A turn is a message of role user and what follows it. Turns move whole, so a question is never cut
from its reply or a tool call from its result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from gateway.memory.records import Record, made_at_milliseconds
from gateway.retrieval.sketch import BYTES, Sketch
from gateway.retrieval.terms import terms

TAIL_TURNS = 24
TAIL_BYTES = 128 * 1024
SEGMENT_BYTES = 256 * 1024
MESSAGE_BYTES = 512 * 1024  # with its head or segment still far from Firestore's 1 MiB
OPEN_SESSIONS = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """What the owner's manifest knows of one segment: enough to decide whether to read it.

    `oldest_at` is a bound, to the millisecond; `sketch` may be coarser than when it was made.
    """

    number: int
    version: int
    count: int
    bytes: int
    tokens: int
    first_sequence: int
    last_sequence: int
    made_from: int  # milliseconds, of the ids inside, receipts' too
    made_to: int
    oldest_at: float
    sketch: Sketch

    def may_hold(self, id: str) -> bool:
        made = made_at_milliseconds(id)
        return made is not None and self.made_from <= made <= self.made_to


@dataclass(frozen=True, slots=True)
class Filled:
    """A segment with its records, as it shall be written."""

    segment: Segment
    records: list[Record]


def size(record: Record) -> int:
    """Bytes of a record as stored: JSON, so that control characters count as they are escaped."""
    return len(record.stored())


def turns(records: Sequence[Record]) -> list[list[Record]]:
    """Records of one session cut into turns."""
    found: list[list[Record]] = []
    for record in records:
        if not found or (record.role == "user" and found[-1][-1].role != "system"):
            found.append([])
        found[-1].append(record)
    return found


def overflow(tail: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """What of a session's tail must leave it, and what stays.

    Nothing leaves below the bounds; above them the oldest turns leave until half the room is free.
    The newest turn stays where it can: the next request may continue it with a tool's reply.
    """
    pieces = turns(tail)
    weights = [sum(map(size, piece)) for piece in pieces]
    if len(pieces) <= TAIL_TURNS and sum(weights) <= TAIL_BYTES:
        return [], list(tail)
    cut, remaining, newest = 0, sum(weights), len(pieces) - 1
    while cut < newest and (len(pieces) - cut > TAIL_TURNS // 2 or remaining > TAIL_BYTES // 2):
        remaining -= weights[cut]
        cut += 1
    if remaining > TAIL_BYTES:
        cut = len(pieces)
    return _flat(pieces[:cut]), _flat(pieces[cut:])


def fill(
    leaving: Sequence[Record], open_segment: Segment | None, held: Sequence[Record]
) -> list[Filled]:
    """Append `leaving` to the open segment, which holds `held`, and to new ones as they fill up.

    Returns the segments to write, oldest first; the last of them is the open one.
    """
    number = open_segment.number if open_segment else 0
    version = open_segment.version if open_segment else 0
    current, weight = list(held), sum(map(size, held))
    sketched = open_segment.sketch if open_segment else None
    known = len(current) if sketched and sketched.size == BYTES else 0
    filled: list[Filled] = []
    for piece in _pieces(leaving):
        added = sum(map(size, piece))
        if current and weight + added > SEGMENT_BYTES:
            filled.append(_grown(number, version + 1, current, known, sketched))
            number, version, current, weight, known = number + 1, 0, [], 0, 0
        current.extend(piece)
        weight += added
    filled.append(_grown(number, version + 1, current, known, sketched))
    return [one for one in filled if one.records]


def _grown(
    number: int, version: int, records: Sequence[Record], known: int, sketch: Sketch | None
) -> Filled:
    """As `describe`; the first `known` records are in `sketch`, and their terms not found again."""
    if not known or sketch is None:
        return describe(number, version, records)
    joined = sketch.joined(Sketch.of(_terms(records[known:])))
    return describe(number, version, records, joined)


def describe(
    number: int, version: int, records: Sequence[Record], sketch: Sketch | None = None
) -> Filled:
    made = [made_at_milliseconds(id) or 0 for record in records for id in _ids(record)] or [0]
    sequences = [record.sequence for record in records] or [0]
    return Filled(
        Segment(
            number=number,
            version=version,
            count=len(records),
            bytes=sum(map(size, records)),
            tokens=sum(record.tokens for record in records),
            first_sequence=min(sequences),
            last_sequence=max(sequences),
            made_from=min(made),
            made_to=max(made),
            oldest_at=floor(1000 * min((record.at for record in records), default=0.0)) / 1000,
            sketch=sketch or Sketch.of(_terms(records)),
        ),
        list(records),
    )


def with_states(records: Sequence[Record], states: Mapping[str, Any]) -> list[Record] | None:
    """The records with the given states, or None when none of them changes."""
    changed = [
        replace(record, state=states[record.id]) if record.id in states else record
        for record in records
    ]
    return changed if changed != list(records) else None


def _pieces(records: Sequence[Record]) -> list[list[Record]]:
    """Whole turns, or single messages of a turn that no segment could hold whole."""
    pieces: list[list[Record]] = []
    for turn in turns(records):
        if sum(map(size, turn)) <= SEGMENT_BYTES:
            pieces.append(turn)
        else:
            pieces.extend([record] for record in turn)
    return pieces


def _ids(record: Record) -> list[str]:
    return [record.id, record.receipt["id"]] if record.receipt else [record.id]


def _flat(pieces: Iterable[list[Record]]) -> list[Record]:
    return [record for piece in pieces for record in piece]


def _terms(records: Sequence[Record]) -> Iterable[str]:
    for record in records:
        yield from terms(record.content)
