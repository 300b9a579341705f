"""An archived message brought back to its session, pinned, under its own id.

One commit takes it out of the archive and puts it where an import would: at its place in the
session's tail, or among the owner's segments. Unpinned, the next cleanup would archive it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from gateway.documents.base import Conflict, Documents, Write
from gateway.documents.patience import Patience
from gateway.errors import NotFound
from gateway.memory import segments as packing
from gateway.memory.archived import Archived, Shelved, without
from gateway.memory.growth import ROOT
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record, owner_path, session_key, session_path
from gateway.memory.restoration import unseen
from gateway.memory.returning import Returned, returned
from gateway.memory.segments import Filled
from gateway.memory.storage import read_segment, saved, segment_path, segment_write

NAMELESS = "restored"  # the session of what came from one that is deleted


class Unarchiving:
    def __init__(
        self,
        documents: Documents,
        archived: Archived,
        clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        self._documents = documents
        self._archived = archived
        self._clock = clock
        self._patience = Patience(randomness)

    async def restore(self, owner: str, id: str) -> tuple[Record, str]:
        """The message as it is afterwards, and its session. Raises `NotFound` for what is not in
        the archive, `StoreUnavailable` where the race is lost too often."""
        tries = self._patience.tries()
        while True:
            found = await self._archived.get(owner, id)
            if not found.record.alive(self._clock()):
                raise NotFound("No such message.", code="message_not_found")
            session = found.session or NAMELESS
            record = replace(found.record, session=session_key(session), pin=True)
            try:
                await self._documents.commit(*await self._writes(owner, found, record, session))
                return record, session
            except Conflict:
                await tries.pause()

    async def _writes(
        self, owner: str, found: Shelved, record: Record, session: str
    ) -> list[Write]:
        """The owner's document is compared: a sweep, a turn or an erasure meanwhile wins."""
        root, state = owner_path(owner), found.owner
        path = session_path(owner, session)
        head = Head.of((await self._documents.get(path))[0], session)
        opened = head.key in state.open or len(state.open) < packing.OPEN_SESSIONS
        placed = replace(record, parent=record.parent or ROOT)
        back = returned(head, None, [placed], owner, opened=opened)
        leaving, tail = packing.overflow(back.head.tail)
        after = _grown(state, back, created=head.version is None)
        filled = await self._filled(root, state, [*back.older, *leaving])
        after = after.with_segments([one.segment for one in filled])
        return [
            saved(root, after.packed(), state.version),
            *(segment_write(root, one) for one in filled),
            saved(path, replace(back.head, tail=tail).packed(), head.version),
            without(found),
        ]

    async def _filled(self, root: str, state: Owner, records: Sequence[Record]) -> list[Filled]:
        if not records:
            return []
        current = state.segments[-1] if state.segments else None
        held = []
        if current is not None:
            held = read_segment((await self._documents.get(segment_path(root, current.number)))[0])
        before = {one.number for one in state.segments}
        filled = packing.fill(records, current, held)
        return [one if one.segment.number in before else unseen(one, state) for one in filled]


def _grown(state: Owner, back: Returned, *, created: bool) -> Owner:
    head = back.head
    joins = head.open and head.key not in state.open
    return replace(
        state,
        sequence=max(state.sequence, head.sequence),
        sessions=state.sessions + created,
        open=(*state.open, head.key) if joins else state.open,
    )
