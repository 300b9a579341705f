"""Erasing a person's memory: everything beneath the owner's document, resumably, with a receipt.

First the owner's document is emptied and marked in one write: from then on every read and append
is refused, so nothing can be read half-erased or stored behind the erasure's back. Then its
collections are deleted, page by page. Interrupted anywhere, the same call goes on. What stays is
the owner's document with a count of erasures, to tell turns begun before from those begun after.

The ranker is told too, as best it goes: it keeps what it read for a while, and the receipt says
until when at the latest. A turn that had loaded the memory before may still be on its way there
and would tell it anew; it is refused for the epoch it loaded, which the erasure has passed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.documents.base import Conflict, Create, Documents, Update
from gateway.errors import Contested
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path
from gateway.retrieval.base import Forgotten, Ranker

COLLECTIONS = (
    "sessions",
    "segments",
    "fingerprints",
    "requests",
    "archive",
    "entities",
    "cards",
    "staging",
    "commits",
)
PAGE = 100
ATTEMPTS = 8
UNSEEN = 1 << 16  # messages in tails that the owner's own sequence may not know of
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """`backups_until` is when the last backup that may hold the erased text will be gone."""

    epoch: int
    erased_at: float
    documents: int
    messages_in_segments: int
    sessions: int
    backups_until: float
    retriever: Forgotten


class Erasure:
    def __init__(
        self,
        documents: Documents,
        ranker: Ranker,
        clock: Callable[[], float],
        backup_days: float,
    ) -> None:
        self._documents = documents
        self._ranker = ranker
        self._clock = clock
        self._backup_days = backup_days

    async def erase(self, owner: str) -> ErasureReceipt:
        """Erase all. Raises `Contested` under a legal hold, when turns keep winning the race, and
        where another erasure of this memory has taken it over and goes on."""
        root = owner_path(owner)
        before, marked = await self._mark(root)
        documents = 0
        for collection in COLLECTIONS:
            while deleted := await self._documents.delete_tree(f"{root}/{collection}", limit=PAGE):
                documents += deleted
        forgotten = await self._ranker.forget(owner, marked.epoch)
        now = self._clock()
        await self._finish(root, marked)
        return ErasureReceipt(
            epoch=marked.epoch,
            erased_at=now,
            documents=documents,
            messages_in_segments=sum(segment.count for segment in before.segments),
            sessions=before.sessions,
            backups_until=now + self._backup_days * DAY_SECONDS,
            retriever=forgotten,
        )

    async def _finish(self, root: str, marked: Owner) -> None:
        """Who marked last ends it: an earlier one would let in what the later one still deletes."""
        unmarked = replace(marked, erasing=False).packed()
        try:
            await self._documents.commit(Update(root, unmarked, str(marked.version)))
        except Conflict:
            Owner.of((await self._documents.get(root))[0]).readable()

    async def _mark(self, root: str) -> tuple[Owner, Owner]:
        """Empty and mark the owner's document; what it was, and what it is now."""
        for _ in range(ATTEMPTS):
            before = Owner.of((await self._documents.get(root))[0]).erasable()
            marked = Owner(
                sequence=before.sequence + (0 if before.erasing else UNSEEN),
                epoch=before.epoch if before.erasing else before.epoch + 1,
                erasing=True,
            )
            write = (
                Create(root, marked.packed())
                if before.version is None
                else Update(root, marked.packed(), before.version)
            )
            try:
                written = await self._documents.commit(write)
            except Conflict:
                continue
            return before, replace(marked, version=written[0].version)
        raise Contested("The memory is in use; try again.", retry_after_seconds=1)
