"""Pages of everything remembered, what was stored last first.

First what open sessions keep in their tails, then segment by segment backwards; within each by id,
which is by time. Messages move the same way, so none is missed between two pages; one that moves
meanwhile may be told on both. A page reads a bounded part of the memory: where few messages are
wanted it may hold fewer than were asked for, and say where to go on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.documents.base import Documents
from gateway.memory.heads import Head
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import Segment
from gateway.memory.storage import read_segment, segment_path
from gateway.memory.whereabouts import opened

MOST_SEGMENTS = 4  # of a page: a MiB of words

Wanted = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """Behind this id of that segment; without a segment, of the tails. An empty id: at its end."""

    segment: int | None = None
    id: str = ""

    def holds(self, record: Record) -> bool:
        return not self.id or record.id < self.id


@dataclass(frozen=True, slots=True)
class Page:
    """`sessions` are the clients' names of the records' sessions, but of those that are gone."""

    records: Sequence[Record]
    sessions: dict[str, str]
    next: Place | None


class Newest:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def page(self, owner: str, wanted: Wanted, limit: int, start: Place) -> Page:
        """At most `limit` of the `wanted`. Raises `Contested` while the memory is being erased."""
        root = owner_path(owner)
        state, heads = await opened(self._documents, root)
        found: list[tuple[Record, Place]] = []
        if start.segment is None:
            tails = [record for head in heads for record in head.tail]
            found += _placed(tails, wanted, start)
        remaining = _behind(state.segments, start)
        for _ in range(MOST_SEGMENTS):
            if not remaining or len(found) > limit:
                break
            number = remaining.pop(0).number
            at = start if number == start.segment else Place(number)
            document = (await self._documents.get(segment_path(root, number)))[0]
            found += _placed(read_segment(document), wanted, at)
        records = [record for record, _ in found[:limit]]
        names = await self._names(root, records, heads)
        return Page(records, names, _next(found, limit, remaining))

    async def _names(
        self, root: str, records: Iterable[Record], heads: Sequence[Head]
    ) -> dict[str, str]:
        known = {head.key: head.session for head in heads}
        unknown = dict.fromkeys(one.session for one in records if one.session not in known)
        if not unknown:
            return known
        read = await self._documents.get(*(f"{root}/sessions/{key}" for key in unknown))
        closed = [Head.of(one, "") for one in read if one is not None]
        return known | {head.key: head.session for head in closed}


def _placed(
    records: Iterable[Record], wanted: Wanted, start: Place
) -> Iterator[tuple[Record, Place]]:
    """Each with the place that is behind it."""
    for record in sorted(records, key=lambda one: one.id, reverse=True):
        if start.holds(record) and wanted(record):
            yield record, Place(start.segment, record.id)


def _behind(segments: Sequence[Segment], start: Place) -> list[Segment]:
    return [
        one
        for one in reversed(segments)
        if one.count and (start.segment is None or one.number <= start.segment)
    ]


def _next(
    found: Sequence[tuple[Record, Place]], limit: int, remaining: Sequence[Segment]
) -> Place | None:
    if len(found) > limit:
        return found[limit - 1][1]
    return Place(remaining[0].number) if remaining else None
