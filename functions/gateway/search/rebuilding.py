"""What is derived of a memory, made anew from what is stored: the manifest's numbers and sketches.

The owner's document is written once for each call, by compare-and-set, and every write to a
segment writes it too: so what was read is of one moment, or the call begins again. Messages are not
touched. Beside it this instance's indexes are dropped, and the ranker forgets what it read; both
come back by themselves. Other instances' indexes go by the versions of what they were made from.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gateway.documents.base import Conflict, Documents, Update
from gateway.documents.patience import Patience
from gateway.memory import manifest
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path
from gateway.memory.segments import Segment, describe
from gateway.memory.storage import read_segment, segment_path
from gateway.retrieval.base import Forgotten, Ranker
from gateway.search.library import Library

MAX_SEGMENTS = 32  # of one call: 8 MiB of words
PAGE = 4
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`changed` are segments of which the manifest said something else before; `next`, the number
    after which a further call goes on."""

    segments: int
    messages: int
    tokens: int
    bytes: int
    changed: int
    indexes_dropped: int
    retriever: Forgotten
    next: int | None


class Rebuilding:
    def __init__(
        self, documents: Documents, library: Library, ranker: Ranker, randomness: Random
    ) -> None:
        self._documents = documents
        self._library = library
        self._ranker = ranker
        self._patience = Patience(randomness)

    async def rebuild(self, owner: str, after: int = NOWHERE) -> Rebuilt:
        """Up to `MAX_SEGMENTS` segments numbered above `after`. Run again it changes nothing.

        Raises `Contested` while the memory is being erased, `StoreUnavailable` when turns keep
        winning the race.
        """
        root = owner_path(owner)
        described: dict[tuple[int, int], Segment] = {}
        tries = self._patience.tries()
        while True:
            state = Owner.of((await self._documents.get(root))[0]).readable()
            later = [one for one in state.segments if one.number > after]
            chosen = later[:MAX_SEGMENTS]
            await self._describe(root, chosen, described)
            fresh = [described[one.number, one.version] for one in chosen]
            try:
                changed = await self._written(root, state, fresh)
            except Conflict:
                await tries.pause()
                continue
            return Rebuilt(
                segments=len(fresh),
                messages=sum(one.count for one in fresh),
                tokens=sum(one.tokens for one in fresh),
                bytes=sum(one.bytes for one in fresh),
                changed=changed,
                indexes_dropped=self._library.drop(owner),
                retriever=await self._ranker.forget(owner, state.epoch),
                next=chosen[-1].number if len(later) > len(chosen) else None,
            )

    async def _describe(
        self, root: str, wanted: Sequence[Segment], described: dict[tuple[int, int], Segment]
    ) -> None:
        """Of segments that were read before at the same version nothing is read again."""
        unread = [one for one in wanted if (one.number, one.version) not in described]
        for start in range(0, len(unread), PAGE):
            page = unread[start : start + PAGE]
            paths = [segment_path(root, one.number) for one in page]
            for one, document in zip(page, await self._documents.get(*paths), strict=True):
                filled = describe(one.number, one.version, read_segment(document))
                described[one.number, one.version] = filled.segment
                await asyncio.sleep(0)  # others get their turn

    async def _written(self, root: str, state: Owner, fresh: Sequence[Segment]) -> int:
        """How many segments the manifest now describes otherwise; nothing is written for none."""
        told = _as_told(state.segments)
        after = state.with_segments(fresh)
        now = _as_told(after.segments)
        changed = sum(told[number] != one for number, one in now.items())
        if changed and state.version is not None:
            await self._documents.commit(Update(root, after.packed(), state.version))
        return changed


def _as_told(segments: Sequence[Segment]) -> Mapping[int, Segment]:
    """As the manifest says it, whose sketches are coarser where there are many."""
    return {one.number: one for one in manifest.unpacked(manifest.packed(segments))}
