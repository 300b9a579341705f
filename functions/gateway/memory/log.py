"""The message log: append to a session, read it back, delete it, all under the owner's own path.

An append is one commit: a compare-and-set on the session's head and, only when a session opens or
its tail overflows, on the owner's document too. Losing a race means composing the addition again on
what won, so two turns at once in one session both survive. A key makes an append idempotent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    StoreUnavailable,
    Update,
    Write,
    Written,
)
from gateway.documents.patience import Patience
from gateway.errors import Contested, NotFound
from gateway.memory import fingerprints
from gateway.memory import segments as packing
from gateway.memory.growth import Addition, Compose, Loaded, grown
from gateway.memory.heads import Head, Owner
from gateway.memory.kept import Kept
from gateway.memory.records import Record, State, owner_path, session_path
from gateway.memory.segments import Filled, Segment
from gateway.memory.storage import read_segment, saved, segment_path, segment_write
from gateway.memory.turnstile import Turnstile
from gateway.telemetry.record import current


class MessageLog:
    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._patience = Patience(randomness)
        self._turnstile = Turnstile()
        self.kept = Kept()

    async def load(self, owner: str, session: str) -> Loaded:
        found = await self._documents.get(owner_path(owner), session_path(owner, session))
        return Loaded(self.kept.owner(found[0]).readable(), self.kept.head(found[1], session))

    async def append(
        self, owner: str, session: str, compose: Compose, loaded: Loaded | None = None
    ) -> Head:
        """Commit what `compose` makes of the session's head; returns the head after.

        `compose` runs again on a fresh head when another writer was first. A commit without an
        answer may have been applied all the same: once, the head is read again, where the key
        tells. Raises `TooLarge` for a message that no document could hold, `Contested` when the
        memory was erased since `loaded`, `StoreUnavailable` when the store is away or the race is
        lost too often.
        """
        async with self._turnstile.through(owner):
            begun, unanswered = loaded.owner.epoch if loaded else None, False
            known = loaded is not None and loaded.head.version is not None
            tries = self._patience.tries("The session")
            while True:
                if loaded is None or tries.failed:
                    loaded = await self.load(owner, session)
                if begun not in {None, loaded.owner.epoch}:
                    raise Contested("The memory was erased meanwhile.", code="memory_erased")
                if known and loaded.head.version is None:
                    raise Contested("The session was deleted meanwhile.", code="session_deleted")
                addition = compose(loaded.head)
                if addition.key in loaded.head.requests:
                    return loaded.head
                head, writes = await self._plan(owner, loaded, addition)
                try:
                    written = await self._documents.commit(*writes, *addition.beside)
                    self._keep(head, writes[-1], written[len(writes) - 1])
                    current().messages_created += head.messages - loaded.head.messages
                    return head
                except Conflict:
                    pass
                except StoreUnavailable:
                    if unanswered:
                        raise
                    unanswered = True
                await tries.pause()

    async def messages(self, owner: str, session: str) -> list[Record]:
        """Every message of the session whose time is not over, all branches, in order.

        Raises `NotFound`.
        """
        now = self._clock()
        return [record for record in await self.stored(owner, session) if record.alive(now)]

    async def stored(self, owner: str, session: str) -> list[Record]:
        """As `messages`, with those that the cleanup has yet to take away."""
        loaded = await self.load(owner, session)
        if loaded.head.version is None:
            raise NotFound("No such session.", code="session_not_found")
        key = loaded.head.key
        found = list(loaded.head.tail)
        if loaded.head.messages > len(found):
            for records in await self._segments(owner, loaded.owner.segments):
                found.extend(record for record in records if record.session == key)
        return sorted(found, key=lambda record: record.sequence)

    async def sessions(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> list[tuple[str, Head]]:
        """Heads with their document ids, in the order of those ids."""
        collection = f"{owner_path(owner)}/sessions"
        found = await self._documents.list(collection, limit=limit, after=after)
        return [(document.id, Head.of(document, "")) for document in found]

    async def rename(self, owner: str, session: str, title: str) -> Head:
        """The head as it is afterwards. Raises `NotFound`."""
        tries = self._patience.tries("The session")
        while True:
            loaded = await self.load(owner, session)
            if loaded.head.version is None:
                raise NotFound("No such session.", code="session_not_found")
            head = replace(loaded.head, title=title)
            path = session_path(owner, session)
            try:
                await self._documents.commit(Update(path, head.packed(), loaded.head.version))
                return head
            except Conflict:
                await tries.pause()

    async def delete_session(self, owner: str, session: str) -> int:
        """Remove a session with its messages, receipts and pointer; returns how many messages.

        Segments are rewritten one commit each, the head goes last and only while every segment is
        known to be clean, so that a rollover meanwhile leaves nothing behind. Interrupted anywhere,
        the same call finishes the work. Raises `NotFound`, `Contested` under a legal hold.
        """
        removed, clean = 0, dict[int, int]()
        tries = self._patience.tries("The session")
        while True:
            loaded = await self.load(owner, session)
            if loaded.head.version is None:
                if tries.failed:
                    return removed
                raise NotFound("No such session.", code="session_not_found")
            segments = loaded.owner.erasable().segments
            dirty = [one.number for one in segments if clean.get(one.number) != one.version]
            for number in dirty:
                count, clean[number] = await self._purge(owner, number, loaded.head.key)
                removed += count
            if not dirty and await self._dropped(owner, loaded):
                return removed + len(loaded.head.tail)
            await tries.pause()

    def _keep(self, head: Head, write: Write, written: Written) -> None:
        if isinstance(write, Create | Update):
            self.kept.wrote(write.path, head, write.fields, written.version)

    async def _plan(
        self, owner: str, loaded: Loaded, addition: Addition
    ) -> tuple[Head, list[Write]]:
        """The head as it will be, and the writes; the head's own is the last of them."""
        head, state = grown(loaded, addition, self._clock()), loaded.owner
        leaving, tail = packing.overflow(head.tail)
        head = replace(head, tail=tail)
        writes: list[Write] = []
        if not loaded.head.open:
            state, sealed = await self._open_session(owner, state, head, writes)
            leaving = sealed + leaving
        changed = await self._restated(owner, state, addition.states, loaded.head.tail)
        if leaving:
            changed = await self._rolled_over(owner, state, leaving, changed)
        writes.extend(segment_write(owner_path(owner), filled) for filled in changed)
        state = state.with_segments([filled.segment for filled in changed])
        if state != loaded.owner:
            state = replace(state, sequence=max(state.sequence, head.sequence))
            writes.append(saved(owner_path(owner), state.packed(), state.version))
        if addition.fingerprint and not loaded.head.fingerprint:
            pointer = fingerprints.path(owner, addition.fingerprint)
            writes.append(fingerprints.pointing(pointer, await self._one(pointer), head.session))
        writes.append(saved(session_path(owner, head.session), head.packed(), head.version))
        return head, writes

    async def _open_session(
        self, owner: str, state: Owner, head: Head, writes: list[Write]
    ) -> tuple[Owner, list[Record]]:
        """Give the session a tail; past `OPEN_SESSIONS` the one opened first loses its own."""
        created = head.version is None
        keys = [key for key in state.open if key != head.key]
        state = replace(state, sessions=state.sessions + created)
        sealed: list[Record] = []
        while len(keys) >= packing.OPEN_SESSIONS:
            path = f"{owner_path(owner)}/sessions/{keys.pop(0)}"
            document = await self._one(path)
            if document is not None:
                other = Head.of(document, "")
                sealed.extend(other.tail)
                closed = replace(other, tail=(), open=False, block={})
                writes.append(Update(path, closed.packed(), document.version))
        return replace(state, open=(*keys, head.key)), sealed

    async def _restated(
        self, owner: str, state: Owner, states: Mapping[str, State], tail: Sequence[Record]
    ) -> list[Filled]:
        """Segments rewritten because messages in them changed branch."""
        inside = {record.id for record in tail}
        wanted = {id: new for id, new in states.items() if id not in inside}
        candidates = [one for one in state.segments if any(map(one.may_hold, wanted))]
        changed = []
        held = await self._segments(owner, candidates)
        for segment, records in zip(candidates, held, strict=True):
            if (restated := packing.with_states(records, wanted)) is not None:
                changed.append(packing.describe(segment.number, segment.version + 1, restated))
        return changed

    async def _rolled_over(
        self, owner: str, state: Owner, leaving: Sequence[Record], changed: Sequence[Filled]
    ) -> list[Filled]:
        current = state.segments[-1] if state.segments else None
        rewritten = {filled.segment.number: filled for filled in changed}
        if current is None:
            held: Sequence[Record] = ()
        elif current.number in rewritten:
            held = rewritten.pop(current.number).records
        else:
            held = (await self._segments(owner, [current]))[0]
        return [*rewritten.values(), *packing.fill(leaving, current, held)]

    async def _one(self, path: str) -> Document | None:
        return (await self._documents.get(path))[0]

    async def _segments(self, owner: str, wanted: Sequence[Segment]) -> list[list[Record]]:
        if not wanted:
            return []
        paths = [segment_path(owner_path(owner), segment.number) for segment in wanted]
        return [read_segment(document) for document in await self._documents.get(*paths)]

    async def _purge(self, owner: str, number: int, key: str) -> tuple[int, int]:
        """Rewrite a segment without a session; how many messages left, and its version now."""
        tries = self._patience.tries()
        while True:
            root = owner_path(owner)
            found = await self._documents.get(root, segment_path(root, number))
            state, records = Owner.of(found[0]), read_segment(found[1])
            kept = [record for record in records if record.session != key]
            if len(kept) == len(records):
                return 0, found[1].fields["version"] if found[1] else 0
            segment = next(one for one in state.segments if one.number == number)
            filled = packing.describe(number, segment.version + 1, kept)
            state = state.with_segments([filled.segment])
            try:
                await self._documents.commit(
                    segment_write(owner_path(owner), filled),
                    saved(owner_path(owner), state.packed(), state.version),
                )
                return len(records) - len(kept), filled.segment.version
            except Conflict:
                await tries.pause()

    async def _dropped(self, owner: str, loaded: Loaded) -> bool:
        """Delete the head with its pointer; False when the owner or the head has changed."""
        head, state = loaded.head, loaded.owner
        state = replace(
            state,
            sessions=max(0, state.sessions - 1),
            open=tuple(key for key in state.open if key != head.key),
        )
        writes: list[Write] = [
            saved(owner_path(owner), state.packed(), state.version),
            Delete(session_path(owner, head.session), head.version),
        ]
        if head.fingerprint:
            pointer = fingerprints.path(owner, head.fingerprint)
            writes.append(fingerprints.without(pointer, await self._one(pointer), head.session))
        try:
            await self._documents.commit(*writes)
        except Conflict:
            return False
        return True
