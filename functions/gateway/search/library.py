"""What there is to search of one person: open tails, segments and, where asked for, the archive.

Read in the order that messages move, so that none is missed: the tails of open sessions together
with the manifest, at one moment; then its segments, page by page; then the archive. Indexes are
shared with recall. What a search would have to read beyond its bounds is left out, and said so.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.documents.base import Document, Documents
from gateway.memory.heads import Head, Owner
from gateway.memory.recall import NEVER, IndexCache, chunks, segment_key, tail_key
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import Segment
from gateway.memory.storage import read_segment, segment_path
from gateway.memory.whereabouts import opened
from gateway.retention.decisions import Uses, override_of, said_again
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.recent import RecentIndex
from gateway.retrieval.sketch import choose
from gateway.retrieval.terms import terms

MAX_SEGMENTS = 32  # eight MiB of words, some twenty thousand messages
MAX_ARCHIVES = 16
PAGE = 4  # a MiB at once
FACTS_KEPT = 512

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What an index does not keep of its messages, and their importance needs."""

    pinned: frozenset[str]
    overrides: Mapping[str, float]
    repeated: frozenset[str]
    uses: Uses
    receipts: int = 0

    @staticmethod
    def of(records: Sequence[Record]) -> "Facts":
        uses = Uses()
        uses.learn(records)
        overrides = {one.id: override_of(one) for one in records}
        return Facts(
            frozenset(one.id for one in records if one.pin),
            {id: given for id, given in overrides.items() if given is not None},
            frozenset(said_again(records)),
            uses,
            sum(one.receipt is not None for one in records),
        )

    @staticmethod
    def joined(several: Iterable["Facts"]) -> "Facts":
        pinned, repeated = set[str](), set[str]()
        overrides: dict[str, float] = {}
        uses, receipts = Uses(), 0
        for one in several:
            receipts += one.receipts
            pinned |= one.pinned
            repeated |= one.repeated
            overrides |= one.overrides
            uses.counts.update(one.uses.counts)
            for id, at in one.uses.last.items():
                uses.last[id] = max(at, uses.last.get(id, at))
        return Facts(frozenset(pinned), overrides, frozenset(repeated), uses, receipts)


@dataclass(frozen=True, slots=True)
class Shelf:
    index: LexicalIndex
    facts: Facts


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`archives` tells that there are older ones than those that were read."""

    segments: int = 0
    messages: int = 0
    archives: bool = False


@dataclass(frozen=True, slots=True)
class Holdings:
    """`sessions` are the names of those whose head was read, by their key."""

    epoch: int
    shelves: Sequence[Shelf]
    archived: Sequence[Shelf]
    sessions: Mapping[str, str]
    left_out: LeftOut

    @property
    def indexes(self) -> list[LexicalIndex]:
        shelves = (*self.shelves, *self.archived)
        return [one.index for one in shelves if one.index.chunks]


@dataclass(frozen=True, slots=True)
class Bounds:
    """`only` is the key of one session; nothing said at or after `until` is wanted."""

    only: str = ""
    until: float = NEVER
    archived: bool = False


class Library:
    def __init__(self, documents: Documents, indexes: IndexCache) -> None:
        self._documents = documents
        self._indexes = indexes
        self._facts: OrderedDict[Key, Facts] = OrderedDict()

    async def open(self, owner: str, query: str, bounds: Bounds, now: float) -> Holdings:
        """Raises `Contested` while the memory is being erased."""
        root = owner_path(owner)
        return await self.held(root, *await opened(self._documents, root), query, bounds, now)

    async def held(
        self,
        root: str,
        state: Owner,
        heads: Sequence[Head],
        query: str,
        bounds: Bounds,
        now: float,
    ) -> Holdings:
        """As `open`, of an owner and heads that were `opened`."""
        segments = [one for one in state.segments if one.count and one.oldest_at < bounds.until]
        wanted = _favoured(segments, query)
        shelves = [self._tail(root, head, bounds, now) for head in heads]
        for start in range(0, len(wanted), PAGE):
            shelves += await self._page(root, wanted[start : start + PAGE], bounds, now)
        archived: list[Shelf] = []
        more = False
        if bounds.archived:
            archived, more = await self._archive(root, bounds, now)
        left = len(segments) - len(wanted)
        messages = sum(one.count for one in segments) - sum(one.count for one in wanted)
        names = {head.key: head.session for head in heads}
        return Holdings(state.epoch, shelves, archived, names, LeftOut(left, messages, more))

    async def facts(self, owner: str) -> Facts:
        """What messages tell of one another, as far as a search would read; makes no index."""
        root = owner_path(owner)
        state, heads = await opened(self._documents, root)
        several = [Facts.of(head.tail) for head in heads]
        wanted = _favoured([one for one in state.segments if one.count], "")
        for start in range(0, len(wanted), PAGE):
            several += await self._facts_of(root, wanted[start : start + PAGE])
        return Facts.joined(several)

    async def names(
        self, owner: str, keys: Iterable[str], known: Mapping[str, str]
    ) -> dict[str, str]:
        """The clients' names of sessions; one that is gone has none."""
        unknown = [key for key in dict.fromkeys(keys) if key not in known]
        if not unknown:
            return dict(known)
        paths = [f"{owner_path(owner)}/sessions/{key}" for key in unknown]
        heads = [Head.of(one, "") for one in await self._documents.get(*paths) if one]
        return {**known, **{head.key: head.session for head in heads}}

    def drop(self, owner: str) -> int:
        """Forget what this instance keeps of the owner; returns how many indexes that were."""
        root = owner_path(owner)
        for key in [key for key in self._facts if key[0].startswith(f"{root}/")]:
            del self._facts[key]
        return self._indexes.drop(root)

    def _tail(self, root: str, head: Head, bounds: Bounds, now: float) -> Shelf:
        """Of another session than the one wanted only what it tells of uses."""
        key, facts = tail_key(root, head), Facts.of(head.tail)
        if not head.tail or bounds.only not in {"", head.key}:
            return Shelf(LexicalIndex([]), facts)
        kept = self._indexes.get(key, now)
        return Shelf(kept or self._indexes.put(key, head.tail, now, RecentIndex), facts)

    async def _page(
        self, root: str, page: Sequence[Segment], bounds: Bounds, now: float
    ) -> list[Shelf]:
        paths = [segment_path(root, one.number) for one in page]
        held = [self._held(path, one, bounds, now) for path, one in zip(paths, page, strict=True)]
        missing = [path for path, shelf in zip(paths, held, strict=True) if shelf is None]
        found = await self._documents.get(*missing) if missing else []
        read = dict(zip(missing, found, strict=True))
        shelves: list[Shelf] = []
        for path, one, shelf in zip(paths, page, held, strict=True):
            shelves.append(shelf or self._shelved(path, one, read[path], bounds, now))
            await asyncio.sleep(0)  # an index takes a tenth of a second: others get their turn
        return shelves

    async def _facts_of(self, root: str, page: Sequence[Segment]) -> list[Facts]:
        paths = {segment_path(root, one.number): one for one in page}
        known = {path: self._facts.get(segment_key(path, one)) for path, one in paths.items()}
        missing = [path for path, facts in known.items() if facts is None]
        found = await self._documents.get(*missing) if missing else []
        for path, document in zip(missing, found, strict=True):
            records, segment = read_segment(document), paths[path]
            as_told = document is not None and document.fields["version"] == segment.version
            key = segment_key(path, segment)
            known[path] = self._kept(key, records) if as_told else Facts.of(records)
            await asyncio.sleep(0)  # others get their turn
        return [facts for facts in known.values() if facts is not None]

    def _held(self, path: str, segment: Segment, bounds: Bounds, now: float) -> Shelf | None:
        index = self._indexes.get(segment_key(path, segment, bounds.only), now)
        facts = self._facts.get(segment_key(path, segment))
        return Shelf(index, facts) if index is not None and facts is not None else None

    def _shelved(
        self, path: str, segment: Segment, document: Document | None, bounds: Bounds, now: float
    ) -> Shelf:
        """A segment that was rewritten since the manifest was read is kept for nobody else."""
        records = read_segment(document)
        wanted = [one for one in records if bounds.only in {"", one.session}]
        if document is None or document.fields["version"] != segment.version:
            return Shelf(LexicalIndex(chunks(wanted, now)), Facts.of(records))
        index = self._indexes.put(segment_key(path, segment, bounds.only), wanted, now)
        return Shelf(index, self._kept(segment_key(path, segment), records))

    async def _archive(self, root: str, bounds: Bounds, now: float) -> tuple[list[Shelf], bool]:
        """What was archived last, and whether there is more."""
        shelves: list[Shelf] = []
        before: str | None = None
        while len(shelves) < MAX_ARCHIVES:
            page = await self._documents.list(
                f"{root}/archive", before=before, limit=PAGE, newest_first=True
            )
            shelves += [self._archived(one, bounds, now) for one in page if not one.expired(now)]
            if len(page) < PAGE:
                return shelves, False
            before = page[-1].id
        more = await self._documents.list(
            f"{root}/archive", before=before, limit=1, newest_first=True
        )
        return shelves, any(not one.expired(now) for one in more)

    def _archived(self, document: Document, bounds: Bounds, now: float) -> Shelf:
        key = (document.path, document.version, "archive", bounds.only)
        records = read_segment(document)
        wanted = [one for one in records if bounds.only in {"", one.session}]
        return Shelf(
            self._indexes.get(key, now) or self._indexes.put(key, wanted, now),
            Facts.of(records),
        )

    def _kept(self, key: Key, records: Sequence[Record]) -> Facts:
        facts = self._facts[key] = Facts.of(records)
        self._facts.move_to_end(key)
        if len(self._facts) > FACTS_KEPT:
            self._facts.popitem(last=False)
        return facts


def _favoured(segments: Sequence[Segment], query: str) -> list[Segment]:
    """All while there are few; else those that may hold the query's words, then the latest."""
    if len(segments) <= MAX_SEGMENTS:
        return list(segments)
    best = choose(terms(query), [one.sketch for one in segments], MAX_SEGMENTS)
    latest = reversed(range(len(segments)))
    chosen = list(dict.fromkeys([*best, *latest]))[:MAX_SEGMENTS]
    return [segments[i] for i in sorted(chosen)]
