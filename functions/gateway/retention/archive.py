"""One owner's messages that have had their time move to the archive, one segment at a time.

Every commit compares the owner's version, so that a turn, an erasure or a legal hold meanwhile wins
and the rest is decided anew on what it left.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from gateway.documents.base import (
    Conflict,
    Create,
    Document,
    Documents,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.memory.heads import Head, Owner
from gateway.memory.heirs import bequeathed
from gateway.memory.records import Record
from gateway.memory.segments import Segment, describe
from gateway.memory.storage import (
    archive_fields,
    archive_path,
    read_segment,
    segment_path,
    segment_write,
)
from gateway.retention.decisions import Decision, Policy, Uses, decide, without
from gateway.retention.expiry import delete_expired

HEADS_PER_COMMIT = 16  # a head may take 200 KiB, Firestore's commit 10 MiB


@dataclass(slots=True)
class Tally:
    """`archived` and `expired` count messages, `deleted` documents, the others owners."""

    archived: int = 0
    expired: int = 0
    deleted: int = 0
    skipped: int = 0
    held: int = 0


class Archivist:
    def __init__(
        self,
        documents: Documents,
        randomness: Random,
        policy: Policy,
        now: float,
        tally: Tally,
        *,
        dry_run: bool = False,
    ) -> None:
        self._documents = documents
        self._patience = Patience(randomness)
        self._policy = policy
        self._now = now
        self._tally = tally
        self._dry_run = dry_run

    async def sweep(self, document: Document) -> None:
        """See to the owner whose document this is. A segment is read only if it may lose one."""
        root, state = document.path, Owner.of(document)
        if state.hold:
            self._tally.held += 1
            return
        if state.erasing:
            self._tally.skipped += 1
            return
        deleted, heads = await asyncio.gather(
            delete_expired(self._documents, root, self._now, dry_run=self._dry_run),
            self._heads(root, state.open),
        )
        self._tally.deleted += deleted
        old = [one for one in state.segments if self._is_old(one)]
        idle = [head for head in heads if self._is_idle(head)]
        if old or idle:
            await self._relieve(root, state, old, heads)
        else:
            self._tally.skipped += 1

    async def _relieve(
        self, root: str, state: Owner, old: Sequence[Segment], heads: Sequence[Head]
    ) -> None:
        """Uses make a message matter more, never less: what stays without them needs no learning.

        Where something may leave, the receipts of the whole memory say what was used.
        """
        uses = Uses()
        for head in heads:
            uses.learn(head.tail)
        tails = [head.key for head in heads if self._is_idle(head) and self._may_lose(head.tail)]
        numbers = [one.number for one in old if self._may_lose(await self._learn(root, one, uses))]
        if not tails and not numbers:
            return
        for segment in state.segments:
            if segment.count and segment not in old:
                await self._learn(root, segment, uses)
        for number in numbers:
            await self._relieve_segment(root, number, uses)
        for key in tails:
            await self._relieve_tail(root, key, uses)

    async def _learn(self, root: str, segment: Segment, uses: Uses) -> list[Record]:
        records = read_segment(await self._one(segment_path(root, segment.number)))
        uses.learn(records)
        return records

    async def _relieve_segment(self, root: str, number: int, uses: Uses) -> None:
        tries = self._patience.tries()
        while True:
            found = await self._documents.get(root, segment_path(root, number))
            state, records = Owner.of(found[0]), read_segment(found[1])
            if not _may_change(state):
                return
            decision = self._decide(records, uses)
            if self._dry_run:
                self._count(decision.leaving)
                return
            try:
                await self._rewrite(root, state, number, records, decision)
                return
            except Conflict:
                await tries.pause()

    async def _rewrite(
        self, root: str, state: Owner, number: int, records: Sequence[Record], decision: Decision
    ) -> None:
        """One commit for some sessions at a time, so that each session's counters are never off."""
        sessions = sorted({record.session for record in decision.leaving})
        kept, leaving = list(records), decision.leaving
        for start in range(0, len(sessions), HEADS_PER_COMMIT):
            keys = sessions[start : start + HEADS_PER_COMMIT]
            ids = {record.id for record in leaving if record.session in keys}
            passed_on = bequeathed(kept, ids)
            gone = [record for record in passed_on if record.id in ids]
            kept = [record for record in passed_on if record.id not in ids]
            version = next(one.version for one in state.segments if one.number == number)
            filled = describe(number, version + 1, kept)
            state = await self._commit(
                root,
                state.with_segments([filled.segment]),
                f"{number:08d}-{version:08d}",
                gone,
                [
                    segment_write(root, filled),
                    *(_relieved(root, head, gone) for head in await self._heads(root, keys)),
                ],
            )

    async def _relieve_tail(self, root: str, key: str, uses: Uses) -> None:
        tries = self._patience.tries()
        while True:
            found = await self._documents.get(root, f"{root}/sessions/{key}")
            state, head = Owner.of(found[0]), Head.of(found[1], "")
            if not _may_change(state) or not self._is_idle(head):
                return
            ids = {record.id for record in self._decide(head.tail, uses).leaving}
            passed_on = bequeathed(head.tail, ids)
            gone = [record for record in passed_on if record.id in ids]
            if self._dry_run or not gone:
                self._count(gone)
                return
            head = replace(head, tail=passed_on)
            last = max(record.sequence for record in gone)
            try:
                writes = [_relieved(root, head, gone)]
                await self._commit(root, state, f"{key}-{last:08d}", gone, writes)
                return
            except Conflict:
                await tries.pause()

    async def _commit(
        self, root: str, state: Owner, name: str, gone: Sequence[Record], writes: Sequence[Write]
    ) -> Owner:
        """The owner as it stands after; `name` is the archive's, in case there will be one."""
        assert state.version is not None  # noqa: S101  it was read, or nothing could leave
        archived = [record for record in gone if not self._is_expired(record)]
        archive = [self._archive(root, name, archived)] if archived else []
        written = await self._documents.commit(
            Update(root, state.packed(), state.version), *writes, *archive
        )
        self._count(gone)
        return replace(state, version=written[0].version)

    def _archive(self, root: str, name: str, archived: Sequence[Record]) -> Write:
        expires_at = self._policy.deleted_at(self._now)
        fields = archive_fields(archived, self._now)
        return Create(archive_path(root, expires_at, name), fields, expires_at)

    def _count(self, gone: Sequence[Record]) -> None:
        expired = sum(map(self._is_expired, gone))
        self._tally.expired += expired
        self._tally.archived += len(gone) - expired

    def _decide(self, records: Sequence[Record], uses: Uses) -> Decision:
        return decide(records, uses, self._policy, self._now)

    def _may_lose(self, records: Sequence[Record]) -> bool:
        return bool(self._decide(records, Uses()).leaving)

    def _is_expired(self, record: Record) -> bool:
        return record.expires_at is not None and record.expires_at <= self._now

    def _is_old(self, segment: Segment) -> bool:
        return bool(segment.count) and segment.oldest_at < self._policy.oldest_kept(self._now)

    def _is_idle(self, head: Head) -> bool:
        return bool(head.tail) and head.updated_at < self._policy.oldest_kept(self._now)

    async def _heads(self, root: str, keys: Sequence[str]) -> list[Head]:
        if not keys:
            return []
        found = await self._documents.get(*(f"{root}/sessions/{key}" for key in keys))
        return [Head.of(document, "") for document in found if document]

    async def _one(self, path: str) -> Document | None:
        return (await self._documents.get(path))[0]


def _may_change(state: Owner) -> bool:
    return state.version is not None and not state.hold and not state.erasing


def _relieved(root: str, head: Head, gone: Sequence[Record]) -> Write:
    assert head.version is not None  # noqa: S101  it was read
    own = [record for record in gone if record.session == head.key]
    return Update(f"{root}/sessions/{head.key}", without(head, own).packed(), head.version)
