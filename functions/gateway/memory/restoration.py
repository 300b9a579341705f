"""Messages that are brought back: written under their own ids, in their own order, once.

A batch is one commit, a compare-and-set on the owner's document: a turn, a sweep or an erasure
meanwhile wins, and the batch is decided anew on what it left. What the memory has already, live or
archived, is left as it is, so that an import may be repeated, whole or in part. A message that was
deleted comes back: the person brings it on purpose.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from gateway.documents.base import (
    Conflict,
    Create,
    Documents,
    StoreUnavailable,
    Version,
    Write,
)
from gateway.documents.patience import Patience
from gateway.errors import Contested
from gateway.memory import fingerprints
from gateway.memory import segments as packing
from gateway.memory.heads import Head, Owner
from gateway.memory.records import (
    Record,
    content_hash,
    owner_path,
    session_key,
    session_path,
)
from gateway.memory.returning import Facts, Returning, numbered, returned
from gateway.memory.segments import Filled, Segment
from gateway.memory.storage import (
    archive_fields,
    archive_path,
    read_segment,
    saved,
    segment_path,
    segment_write,
)

ARCHIVE_PAGE = 4  # documents held at once; one takes a quarter of a megabyte
EPOCH_VERSIONS = 1 << 24  # a restored segment's first version is none that any cache remembers


@dataclass(frozen=True, slots=True)
class Batch:
    """At most as many messages and sessions as one commit holds: the caller sees to that."""

    messages: Sequence[Returning] = ()
    sessions: Sequence[Facts] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`stored` and `archived` were written now, `unchanged` were there; `sessions` are new."""

    stored: int = 0
    archived: int = 0
    unchanged: int = 0
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The owner's document is the first of the writes."""

    outcome: Outcome
    writes: Sequence[Write] = ()
    archived: Sequence[Record] = ()


@dataclass(slots=True)
class _Known:
    """Ids that an import has met, as text: seventeen bytes each, searched as fast as memory."""

    epoch: int
    segments: dict[int, tuple[int, str]] = field(default_factory=dict)
    archived: str = ""
    archived_as_of: str | None = None


class Restoration:
    """One import of one owner. Not for use by two tasks at once."""

    def __init__(
        self,
        documents: Documents,
        clock: Callable[[], float],
        randomness: Random,
        owner: str,
        archive_seconds: float,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._patience = Patience(randomness)
        self._owner = owner
        self._root = owner_path(owner)
        self._archive_seconds = archive_seconds
        self._known: _Known | None = None

    async def restore(self, batch: Batch) -> Outcome:
        """One commit at most. Raises `Contested` when the memory was erased since the import's
        first batch, `StoreUnavailable` when the store is away or the race is lost too often.
        """
        unanswered: Outcome | None = None
        tries = self._patience.tries()
        while True:
            state, heads = await self._read(batch)
            plan = await self._plan(batch, state, heads)
            if not plan.writes:
                return unanswered or plan.outcome
            try:
                written = await self._documents.commit(*plan.writes)
                self._learn(plan, state, written[0].version)
                return plan.outcome
            except Conflict:
                pass
            except StoreUnavailable:
                if unanswered:
                    raise
                unanswered = plan.outcome
            await tries.pause()

    def _learn(self, plan: "_Plan", state: Owner, version: Version) -> None:
        """What this import has archived it need not read back, unless somebody came between."""
        assert self._known is not None  # noqa: S101  set by the first read
        if self._known.archived_as_of == state.version:
            self._known.archived += " " + _ids(plan.archived)
            self._known.archived_as_of = version

    async def _read(self, batch: Batch) -> tuple[Owner, dict[str, Head]]:
        """The owner's document, and the heads of the batch's sessions and of the open ones.

        Heads come before the segments, the way that messages move.
        """
        names = {one.session for one in batch.messages if one.session is not None}
        names |= {one.session for one in batch.sessions}
        paths = {session_key(name): session_path(self._owner, name) for name in names}
        state = Owner.of((await self._documents.get(self._root))[0]).readable()
        if self._known is None:
            self._known = _Known(state.epoch)
        if self._known.epoch != state.epoch:
            raise Contested("The memory was erased meanwhile.", code="memory_erased")
        paths |= {key: f"{self._root}/sessions/{key}" for key in state.open}
        read = await self._documents.get(*paths.values())
        heads = {session_key(name): Head(session=name) for name in names}
        heads |= {key: Head.of(one, "") for key, one in zip(paths, read, strict=True) if one}
        return state, heads

    async def _plan(self, batch: Batch, state: Owner, heads: Mapping[str, Head]) -> "_Plan":
        fresh = await self._fresh(batch.messages, state, heads)
        last = max([state.sequence, *(head.sequence for head in heads.values())])
        fresh = numbered(fresh, last)
        archived = [one for one in fresh if one.archived]
        live = [one for one in fresh if not one.archived]
        changed, older, after = self._sessions(batch, fresh, state, heads)
        created = sum(head.version is None for head in changed)
        outcome = Outcome(len(live), len(archived), len(batch.messages) - len(fresh), created)
        if not (changed or archived):
            return _Plan(outcome)
        after = replace(
            after,
            sequence=max([last, *(one.record.sequence for one in fresh)]),
            sessions=after.sessions + created,
        )
        filled = await self._filled(older, state)
        after = after.with_segments([one.segment for one in filled])
        writes: list[Write] = [
            saved(self._root, after.packed(), state.version),
            *(segment_write(self._root, one) for one in filled),
            *(saved(self._head_path(one), one.packed(), one.version) for one in changed),
            *await self._pointers(changed, heads),
            *self._archive(archived),
        ]
        return _Plan(outcome, writes, [one.record for one in archived])

    def _sessions(
        self, batch: Batch, fresh: Sequence[Returning], state: Owner, heads: Mapping[str, Head]
    ) -> tuple[list[Head], list[Record], Owner]:
        """The heads that change, what goes to segments, and the owner with the sessions open.

        An import closes no session that is open: it opens new ones while there is room.
        """
        facts = {session_key(one.session): one for one in batch.sessions}
        named = {*facts, *(session_key(one.session) for one in fresh if one.session is not None)}
        said = {key: list[Record]() for key in sorted(named) if heads[key].version is None}
        for one in fresh:
            if not one.archived:
                said.setdefault(session_key(one.session or ""), []).append(one.record)
        changed, older = [], list[Record]()
        for key, records in said.items():
            head = heads[key]
            opened = key in state.open or len(state.open) < packing.OPEN_SESSIONS
            found = returned(head, facts.get(key), records, self._owner, opened=opened)
            leaving, tail = packing.overflow(found.head.tail)
            older += [*found.older, *leaving]
            changed.append(replace(found.head, tail=tail))
            if found.head.open and key not in state.open:
                state = replace(state, open=(*state.open, key))
        return changed, older, state

    async def _filled(self, older: Sequence[Record], state: Owner) -> list[Filled]:
        if not older:
            return []
        current = state.segments[-1] if state.segments else None
        held = await self._segment(current) if current else []
        filled = packing.fill(older, current, held)
        before = {one.number for one in state.segments}
        return [one if one.segment.number in before else unseen(one, state) for one in filled]

    async def _segment(self, segment: Segment) -> list[Record]:
        path = segment_path(self._root, segment.number)
        return read_segment((await self._documents.get(path))[0])

    async def _pointers(self, changed: Sequence[Head], before: Mapping[str, Head]) -> list[Write]:
        """So that a resent conversation finds its session again without a header."""
        named: dict[str, list[str]] = {}
        for head in changed:
            if head.fingerprint and not before[head.key].fingerprint:
                path = fingerprints.path(self._owner, head.fingerprint)
                named.setdefault(path, []).append(head.session)
        found = await self._documents.get(*named) if named else []
        return [
            fingerprints.pointing(path, pointer, *sessions)
            for (path, sessions), pointer in zip(named.items(), found, strict=True)
        ]

    def _archive(self, archived: Sequence[Returning]) -> list[Write]:
        """The time until they go for good begins anew."""
        now = self._clock()
        records = [_shelved(one) for one in archived]
        writes: list[Write] = []
        for one in packing.fill(records, None, []) if records else []:
            ids = tuple(record.id for record in one.records)
            name = f"import-{content_hash(self._owner, 'archive', '', ids)}"
            path = archive_path(self._root, now + self._archive_seconds, name)
            fields = archive_fields(one.records, now)
            writes.append(Create(path, fields, now + self._archive_seconds))
        return writes

    def _head_path(self, head: Head) -> str:
        return f"{self._root}/sessions/{head.key}"

    async def _fresh(
        self, given: Sequence[Returning], state: Owner, heads: Mapping[str, Head]
    ) -> list[Returning]:
        """Those that the memory has not, each once: an export may tell one twice."""
        there = {record.id for head in heads.values() for record in head.tail}
        wanted = {one.record.id: one for one in reversed(given) if one.record.id not in there}
        for segment in state.segments:
            ids = [id for id in wanted if segment.may_hold(id)] if segment.count else []
            held = await self._ids_of(segment) if ids else ""
            for id in ids:
                if id in held:
                    del wanted[id]
        archived = await self._archived(state) if wanted else ""
        return [
            one
            for one in given
            if wanted.get(one.record.id) is one and one.record.id not in archived
        ]

    async def _ids_of(self, segment: Segment) -> str:
        """Read once per version and import, however many batches ask."""
        assert self._known is not None  # noqa: S101  set by the first read
        version, ids = self._known.segments.get(segment.number, (-1, ""))
        if version != segment.version:
            ids = _ids(await self._segment(segment))
            self._known.segments[segment.number] = segment.version, ids
        return ids

    async def _archived(self, state: Owner) -> str:
        """Ids in the archive: read again when another writer has changed the owner's document."""
        assert self._known is not None  # noqa: S101  set by the first read
        if state.version is not None and self._known.archived_as_of == state.version:
            return self._known.archived
        pieces, after = [], None
        while True:
            page = await self._documents.list(
                f"{self._root}/archive", after=after, limit=ARCHIVE_PAGE
            )
            kept = [document for document in page if not document.expired(self._clock())]
            pieces += [_ids(read_segment(document)) for document in kept]
            if len(page) < ARCHIVE_PAGE:
                break
            after = page[-1].id
        self._known.archived, self._known.archived_as_of = " ".join(pieces), state.version
        return self._known.archived


def _shelved(one: Returning) -> Record:
    parent = one.record.parent or None
    return replace(one.record, session=session_key(one.session or ""), parent=parent)


def _ids(records: Iterable[Record]) -> str:
    return " ".join(record.id for record in records)


def unseen(filled: Filled, state: Owner) -> Filled:
    """Restored after an erasure a segment may have the number and the times of one that was
    erased, which an instance may still hold an index of: never the version too."""
    version = filled.segment.version + state.epoch * EPOCH_VERSIONS
    return replace(filled, segment=replace(filled.segment, version=version))
