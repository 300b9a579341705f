"""What could be remembered for a question: candidate chunks of all the owner's sessions, indexed.

Segments are immutable at a version, so an instance keeps the indexes of those it has read, bounded
in bytes; the manifest, read fresh on every turn, says which version counts, so a stale cache can
bring nothing back. One turn reads `MAX_READ` documents at most: the other open sessions' tails, and
the segments that term sketches favour.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.documents.base import Document, Documents
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head
from gateway.memory.kept import Kept
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import Segment, turns
from gateway.memory.storage import read_segment, segment_path
from gateway.retrieval.base import Chunk, Passage
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.recent import RecentIndex
from gateway.retrieval.sketch import choose
from gateway.retrieval.terms import terms

MAX_READ = 8
NEVER = float("inf")

Scope = Literal["user", "session"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Indexes to rank over; `skipped` segments were not read because their sketch says so."""

    indexes: Sequence[LexicalIndex]
    skipped: int = 0

    @property
    def chunks(self) -> Iterable[Chunk]:
        return (chunk for index in self.indexes for chunk in index.chunks)


@dataclass(frozen=True, slots=True)
class _Cached:
    key: tuple[str, ...]
    index: LexicalIndex
    good_until: float
    bytes: int


class IndexCache:
    """Least recently used indexes of one instance, one for each path and session filter.

    A newer version takes the place of an older one, and what that knew of messages that are still
    there: a turn adds two messages to a tail of many.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[str, str], _Cached] = OrderedDict()

    def get(self, key: tuple[str, ...], now: float) -> LexicalIndex | None:
        """`key` begins with a path and ends with a filter; what stands between is the version."""
        cached = self._entries.get(_place(key))
        if cached is None or cached.key != key or cached.good_until <= now:
            return None
        self._entries.move_to_end(_place(key))
        return cached.index

    def put(
        self,
        key: tuple[str, ...],
        records: Sequence[Record],
        now: float,
        make: type[LexicalIndex] = LexicalIndex,
    ) -> LexicalIndex:
        before = self._entries.get(_place(key))
        index = make(chunks(records, now), before.index if before else None)
        ends = [record.expires_at or NEVER for record in records]
        good_until = min((end for end in ends if end > now), default=NEVER)
        weight = index.bytes + sum(len(record.content) for record in records)
        self._forget(_place(key))
        self._entries[_place(key)] = _Cached(key, index, good_until, weight)
        self._bytes += weight
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            self._forget(next(iter(self._entries)))
        return index

    def drop(self, root: str) -> int:
        """Forget what lies beneath `root`; returns how many indexes that were."""
        places = [place for place in self._entries if place[0].startswith(f"{root}/")]
        for place in places:
            self._forget(place)
        return len(places)

    def _forget(self, place: tuple[str, str]) -> None:
        if gone := self._entries.pop(place, None):
            self._bytes -= gone.bytes


def _place(key: tuple[str, ...]) -> tuple[str, str]:
    return key[0], key[-1]


class Recall:
    def __init__(self, documents: Documents, cache: IndexCache, kept: Kept | None = None) -> None:
        self._documents = documents
        self._cache = cache
        self._kept = kept or Kept()

    async def candidates(
        self, owner: str, loaded: Loaded, query: str, scope: Scope, now: float
    ) -> Candidates:
        """Everything rankable for `query`, the session's own tail included."""
        root, head = owner_path(owner), loaded.head
        only = head.key if scope == "session" else ""
        filled = {segment_path(root, one.number): one for one in loaded.owner.segments if one.count}
        tails = [] if only else [key for key in loaded.owner.open if key != head.key]
        heads = [f"{root}/sessions/{key}" for key in tails]
        cached = {path for path in filled if self._has(path, filled[path], only, now)}
        wanted = _favoured(filled, cached, query, room=MAX_READ - len(heads))
        chosen = [path for path in filled if path in cached or path in wanted]
        found = await self._documents.get(*wanted, *heads) if wanted or heads else []
        read = dict(zip([*wanted, *heads], found, strict=True))
        indexes = [self._tail(head, root, now)]
        indexes += [self._tail(self._kept.head(read[path], ""), root, now) for path in heads]
        indexes += [self._segment(path, filled[path], read.get(path), only, now) for path in chosen]
        skipped = len(filled) - len(chosen)
        return Candidates([index for index in indexes if index.chunks], skipped)

    def _has(self, path: str, segment: Segment, only: str, now: float) -> bool:
        return self._cache.get(segment_key(path, segment, only), now) is not None

    def _segment(
        self, path: str, segment: Segment, document: Document | None, only: str, now: float
    ) -> LexicalIndex:
        key = segment_key(path, segment, only)
        if (cached := self._cache.get(key, now)) is not None:
            return cached
        if document is None:
            return LexicalIndex([])
        records = [one for one in read_segment(document) if not only or one.session == only]
        if document.fields["version"] != segment.version:
            return LexicalIndex(chunks(records, now))  # rewritten since the manifest was read
        return self._cache.put(key, records, now)

    def _tail(self, head: Head, root: str, now: float) -> LexicalIndex:
        if head.version is None or not head.tail:
            return LexicalIndex([])
        key = tail_key(root, head)
        return self._cache.get(key, now) or self._cache.put(key, head.tail, now, RecentIndex)


def tail_key(root: str, head: Head) -> tuple[str, ...]:
    return f"{root}/sessions/{head.key}", str(head.version), "tail"


def segment_key(path: str, segment: Segment, only: str = "") -> tuple[str, ...]:
    """After an erasure numbers and versions begin again; the time the ids were made in does not."""
    made = f"{segment.made_from}-{segment.made_to}"
    return path, str(segment.version), made, only


def _favoured(
    filled: Mapping[str, Segment], cached: Collection[str], query: str, room: int
) -> list[str]:
    """Segments to read: all that are not cached while there are few, else of the best ones."""
    uncached = [path for path in filled if path not in cached]
    if len(filled) <= MAX_READ and len(uncached) <= room:
        return uncached
    paths = list(filled)
    best = choose(terms(query), [filled[path].sketch for path in paths], MAX_READ)
    return [paths[i] for i in best if paths[i] not in cached][:room]


def chunks(records: Sequence[Record], now: float) -> list[Chunk]:
    """Rankable messages as chunks: a user message with its reply, never across sessions."""
    found: list[Chunk] = []
    for run in _runs(records):
        for turn in turns(run):
            passages = tuple(_passage(record) for record in turn if record.rankable(now))
            if passages:
                found.append(Chunk(passages))
    return found


def _runs(records: Sequence[Record]) -> list[list[Record]]:
    runs: list[list[Record]] = []
    for record in records:
        if not runs or runs[-1][-1].session != record.session:
            runs.append([])
        runs[-1].append(record)
    return runs


def _passage(record: Record) -> Passage:
    return Passage(record.id, record.session, record.role, record.content, record.tokens, record.at)
