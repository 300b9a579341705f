"""How much is remembered of one person: from the manifest, open tails and the index of entities.

Receipts are counted in as many segments as a search reads, archived messages in a bounded number of
documents; what more there is, is not counted, and said so.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.documents.base import Documents
from gateway.entities.cards import Index
from gateway.entities.paths import index_path
from gateway.memory.records import owner_path
from gateway.memory.segments import size
from gateway.memory.storage import read_segment
from gateway.memory.whereabouts import opened
from gateway.retention.lease import NEVER, Lease
from gateway.retention.sweep import LEASE_PATH
from gateway.search.library import Bounds, Facts, Holdings, Library

MAX_ARCHIVES = 32
PAGE = 4


@dataclass(frozen=True, slots=True)
class Archived:
    """`complete` is False where there are more documents than were counted."""

    messages: int
    documents: int
    complete: bool


@dataclass(frozen=True, slots=True)
class ReceiptCount:
    """`complete` is False where there are segments in which none were counted."""

    count: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """`entities` stand now; `last_sweep` is when the cleanup last ended a whole round, over all
    owners."""

    sessions: int
    open_sessions: int
    messages: int
    segments: int
    bytes: int
    tokens: int
    entities: int
    commits: int
    receipts: ReceiptCount
    archived: Archived
    legal_hold: bool
    erasures: int
    last_sweep: float | None

    @property
    def average_tokens(self) -> float:
        return round(self.tokens / self.messages, 1) if self.messages else 0.0


class Status:
    def __init__(self, documents: Documents, library: Library, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._library = library
        self._clock = clock

    async def of(self, owner: str) -> Standing:
        """Raises `Contested` while the memory is being erased."""
        root, now = owner_path(owner), self._clock()
        state, heads = await opened(self._documents, root)
        held = await self._library.held(root, state, heads, "", Bounds(), now)
        index = Index.of((await self._documents.get(index_path(root)))[0])
        tails = [record for head in heads for record in head.tail]
        kept = [one for one in state.segments if one.count]
        return Standing(
            sessions=state.sessions,
            open_sessions=len(state.open),
            messages=sum(one.count for one in kept) + len(tails),
            segments=len(kept),
            bytes=sum(one.bytes for one in kept) + sum(map(size, tails)),
            tokens=sum(one.tokens for one in kept) + sum(one.tokens for one in tails),
            entities=sum(card.stands_at(now) for card in index.cards.values()),
            commits=index.commits,
            receipts=_receipts(held),
            archived=await self._archived(root),
            legal_hold=state.hold,
            erasures=state.epoch,
            last_sweep=await self._last_sweep(),
        )

    async def _archived(self, root: str) -> Archived:
        """Counted from the one that will be deleted last on."""
        messages, documents = 0, 0
        before: str | None = None
        while documents < MAX_ARCHIVES:
            page = await self._documents.list(
                f"{root}/archive", before=before, limit=PAGE, newest_first=True
            )
            alive = [one for one in page if not one.expired(self._clock())]
            messages += sum(len(read_segment(one)) for one in alive)
            documents += len(alive)
            if len(page) < PAGE:
                return Archived(messages, documents, complete=True)
            before = page[-1].id
        return Archived(messages, documents, complete=False)

    async def _last_sweep(self) -> float | None:
        progress = await Lease(self._documents, LEASE_PATH, self._clock, "", 0.0).progress()
        return progress.finished if progress.finished != NEVER else None


def _receipts(held: Holdings) -> ReceiptCount:
    facts = Facts.joined(one.facts for one in held.shelves)
    return ReceiptCount(facts.receipts, complete=not held.left_out.segments)
