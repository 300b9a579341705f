"""One message by its id: read, edited, deleted, wherever it lies: in a tail or in a segment.

A segment's rewrite counts its version up in the manifest, in the same commit: a cache of the old
text serves nothing more. The line in the session's log stays, with the hash of what the client
said, so that a resent history brings back neither a deleted message nor an edited one's old words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from gateway.documents.base import Conflict, Documents, Update, Write
from gateway.documents.patience import Patience
from gateway.errors import NotFound, TooLarge
from gateway.memory import segments as packing
from gateway.memory.growth import amended, unquoted
from gateway.memory.heads import Head, Owner
from gateway.memory.heirs import bequeathed
from gateway.memory.records import Record, made_at_milliseconds, owner_path
from gateway.memory.segments import Segment
from gateway.memory.storage import read_segment, saved, segment_path, segment_write

PREFIX = "m"
HELD_BYTES = packing.SEGMENT_BYTES + packing.MESSAGE_BYTES  # what an append may make of a segment


@dataclass(frozen=True, slots=True)
class Found:
    """A message with what surrounds it; without a `segment` it lies in its session's tail.

    `heads` are those of the open sessions and, if it still exists, the message's own.
    """

    owner: Owner
    record: Record
    heads: Mapping[str, Head]
    segment: Segment | None
    beside: list[Record]

    @property
    def session(self) -> str | None:
        """The client's name of the session, None once that is gone."""
        head = self.heads.get(self.record.session)
        return head.session if head else None


class Edits:
    """`count` counts the tokens of a text."""

    def __init__(
        self, documents: Documents, randomness: Random, count: Callable[[str], int]
    ) -> None:
        self._documents = documents
        self._patience = Patience(randomness)
        self._count = count

    async def get(self, owner: str, id: str) -> Found:
        """Raises `NotFound`: also for someone else's, at the same cost.

        Where the owner's document changes in between, the message may have moved: it is looked for
        again.
        """
        if not id.startswith(PREFIX) or made_at_milliseconds(id) is None:
            raise missing()
        root = owner_path(owner)
        state = await self._owner(root)
        tries = self._patience.tries()
        while True:
            if (found := await self._look(root, state, id)) is not None:
                return found
            before, state = state, await self._owner(root)
            if before.version == state.version:
                raise missing()
            await tries.pause()

    async def edit(
        self,
        owner: str,
        id: str,
        *,
        content: str | None = None,
        pin: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Found:
        """The message as it is afterwards; what is None stays. Raises `NotFound`, `TooLarge`."""

        def edited(record: Record) -> Record:
            return replace(
                record,
                content=record.content if content is None else content,
                pin=record.pin if pin is None else pin,
                metadata=record.metadata if metadata is None else metadata,
            )

        return await self.revise(owner, id, edited)

    async def revise(self, owner: str, id: str, change: Callable[[Record], Record]) -> Found:
        """As `edit`, by a function that is called again where another writer was first; the tokens
        follow the text. Raises what it raises, too."""

        def revised(record: Record) -> Record:
            after = change(record)
            if after.content == record.content:
                return after
            tokens = record.tokens + self._count(after.content) - self._count(record.content)
            return replace(after, tokens=max(0, tokens))

        return await self._change(owner, id, revised)

    async def delete(self, owner: str, id: str) -> None:
        """Raises `NotFound`, and `Contested` under a legal hold, as `edit` does."""
        await self._change(owner, id, lambda _: None)

    async def _change(
        self, owner: str, id: str, change: Callable[[Record], Record | None]
    ) -> Found:
        tries = self._patience.tries()
        while True:
            found = await self.get(owner, id)
            found.owner.erasable()
            after = change(found.record)
            if after == found.record:
                return found
            try:
                await self._documents.commit(*_writes(owner_path(owner), found, after))
                return replace(found, record=after or found.record)
            except Conflict:
                await tries.pause()

    async def _owner(self, root: str) -> Owner:
        return Owner.of((await self._documents.get(root))[0]).readable()

    async def _look(self, root: str, state: Owner, id: str) -> Found | None:
        candidates = [one for one in state.segments if one.count and one.may_hold(id)]
        paths = [f"{root}/sessions/{key}" for key in state.open]
        paths += [segment_path(root, one.number) for one in candidates]
        read = await self._documents.get(*paths) if paths else []
        opened = [Head.of(one, "") for one in read[: len(state.open)] if one is not None]
        heads = {head.key: head for head in opened}
        for head in opened:
            if record := _with_id(head.tail, id):
                return Found(state, record, heads, None, list(head.tail))
        for segment, document in zip(candidates, read[len(state.open) :], strict=True):
            beside = read_segment(document)
            if record := _with_id(beside, id):
                heads.update(await self._closed(root, record.session, heads))
                return Found(state, record, heads, segment, beside)
        return None

    async def _closed(self, root: str, key: str, known: Mapping[str, Head]) -> dict[str, Head]:
        if key in known:
            return {}
        document = (await self._documents.get(f"{root}/sessions/{key}"))[0]
        return {} if document is None else {key: Head.of(document, "")}


def _writes(root: str, found: Found, after: Record | None) -> list[Write]:
    before, leaving = found.record, () if after else (found.record.id,)
    passed_on = bequeathed(found.beside, leaving)
    beside = [after if one.id == before.id else one for one in passed_on]
    kept = [one for one in beside if one is not None]
    _check_size(found, after, kept)
    writes: list[Write] = []
    for key, head in found.heads.items():
        own = key == before.session
        left = replace(head, tail=bequeathed(head.tail, leaving))
        changed = amended(left, before, after) if own else unquoted(head, before)
        if changed != head:
            assert head.version is not None  # noqa: S101  it was read
            writes.append(Update(f"{root}/sessions/{key}", changed.packed(), head.version))
    if found.segment is not None:
        filled = packing.describe(found.segment.number, found.segment.version + 1, kept)
        state = found.owner.with_segments([filled.segment])
        writes += [segment_write(root, filled), saved(root, state.packed(), state.version)]
    return writes


def _check_size(found: Found, after: Record | None, kept: list[Record]) -> None:
    """No edit makes a document that the store could not hold."""
    if after is None or (size := packing.size(after)) <= packing.size(found.record):
        return
    if size > packing.MESSAGE_BYTES or sum(map(packing.size, kept)) > HELD_BYTES:
        raise TooLarge(
            "The messages beside this one leave no room for it.",
            param="content",
            code="message_too_large",
        )


def _with_id(records: Sequence[Record], id: str) -> Record | None:
    return next((record for record in records if record.id == id), None)


def missing() -> NotFound:
    return NotFound("No such message.", code="message_not_found")
