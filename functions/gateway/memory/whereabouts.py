"""Where messages lie now: in a tail, in a segment, in the archive, or nowhere any more.

Read in the order in which messages move, so that none is missed: tails together with the manifest,
at one moment; then segments; then the archive. What lies beyond the bounds is not looked at.
"""

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field

from gateway.documents.base import Documents
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record
from gateway.memory.segments import Segment
from gateway.memory.storage import read_segment, segment_path

MAX_SEGMENTS = 16  # of one question: four MiB of words
MAX_ARCHIVES = 16
PAGE = 4  # a MiB at once


@dataclass(slots=True)
class Whereabouts:
    """`archived` are ids; without `complete` one that was not found may lie where nobody looked."""

    records: dict[str, Record] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    complete: bool = True

    def learn(self, records: Iterable[Record], wanted: Collection[str]) -> list[str]:
        """The first place that tells of a message counts; returns what was new."""
        new = {one.id: one for one in records if one.id in wanted and one.id not in self.records}
        self.records |= new
        return list(new)


async def opened(documents: Documents, root: str) -> tuple[Owner, list[Head]]:
    """The owner and the heads of open sessions as of one moment: between two, messages move.

    A session that opens in between had its first message after the call began. Raises `Contested`
    while the memory is being erased.
    """
    state = Owner.of((await documents.get(root))[0]).readable()
    if not state.open:
        return state, []
    paths = [f"{root}/sessions/{key}" for key in state.open]
    first, *heads = await documents.get(root, *paths)
    return Owner.of(first).readable(), [Head.of(one, "") for one in heads if one]


async def located(
    documents: Documents, root: str, state: Owner, heads: Iterable[Head], ids: Collection[str]
) -> Whereabouts:
    """Of these messages; `state` and `heads` as they were `opened`."""
    found = Whereabouts()
    for head in heads:
        found.learn(head.tail, ids)
    missing = _missing(found, ids)
    holding = [one for one in state.segments if one.count and any(map(one.may_hold, missing))]
    await _in_segments(documents, root, holding[:MAX_SEGMENTS], found, ids)
    if _missing(found, ids):
        await _in_archive(documents, root, found, ids)
        found.complete = found.complete and len(holding) <= MAX_SEGMENTS
    return found


async def _in_segments(
    documents: Documents,
    root: str,
    segments: list[Segment],
    found: Whereabouts,
    ids: Collection[str],
) -> None:
    for start in range(0, len(segments), PAGE):
        page = segments[start : start + PAGE]
        paths = [segment_path(root, one.number) for one in page]
        for document in await documents.get(*paths):
            found.learn(read_segment(document), ids)


async def _in_archive(
    documents: Documents, root: str, found: Whereabouts, ids: Collection[str]
) -> None:
    """Those archived last come first."""
    read = 0
    async for records in archives(documents, root):
        read += 1
        found.archived.update(found.learn(records, ids))
        if not _missing(found, ids):
            return
    found.complete = read < MAX_ARCHIVES


async def archives(documents: Documents, root: str) -> AsyncIterator[list[Record]]:
    """The records of one archive after another, those archived last first, up to the bound."""
    before: str | None = None
    for _ in range(MAX_ARCHIVES // PAGE):
        page = await documents.list(f"{root}/archive", before=before, limit=PAGE, newest_first=True)
        for document in page:
            yield read_segment(document)
        if len(page) < PAGE:
            return
        before = page[-1].id


def _missing(found: Whereabouts, ids: Collection[str]) -> list[str]:
    return [id for id in ids if id not in found.records]
