"""One archived message: read by its id, and deleted before its time."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

import pytest

from gateway.documents.base import Documents, Update, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested, NotFound
from gateway.memory.archived import Archived
from gateway.memory.heads import Owner
from gateway.memory.records import Record, owner_path
from gateway.memory.storage import read_segment
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from support.memories import ALICE, BOB, NOON, Scribe

SESSIONS = 6  # more documents than a page holds


class Interrupting(MeteredDocuments):
    """Does something of its own once, right before a commit."""

    def __init__(self, inner: Documents, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inner)
        self._acts = [act]

    async def commit(self, *writes: Write) -> list[Written]:
        if self._acts:
            await self._acts.pop()()
        return await super().commit(*writes)


@pytest.fixture
def archive(documents: MeteredDocuments, scribe: Scribe) -> Archived:
    return Archived(documents, scribe.clock, Random(3))


async def shelved(scribe: Scribe, documents: Documents) -> list[Record]:
    """Two messages of each session that were said and archived; the sessions' heads remain."""
    said: list[Record] = []
    for n in range(SESSIONS):
        turn = scribe.turn(f"the weather on walk {n}", f"turned out fine on walk {n}")
        await scribe.append(f"s{n}", *turn)
        said += turn
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    assert len(await texts(documents)) == 2 * SESSIONS
    return said


async def texts(documents: Documents) -> list[str]:
    found = await documents.list(f"{owner_path(ALICE)}/archive")
    return [record.content for document in found for record in read_segment(document)]


async def test_it_is_read_by_its_id(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    for n, record in enumerate(await shelved(scribe, documents)):
        found = await archive.get(ALICE, record.id)
        assert (found.record.content, found.session) == (record.content, f"s{n // 2}")


async def test_a_deleted_one_is_gone_and_the_others_stay(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    said = await shelved(scribe, documents)
    kept = {record.content for record in said}
    for record in said:
        ends = (await archive.get(ALICE, record.id)).document.expires_at
        await archive.delete(ALICE, record.id)
        kept.discard(record.content)
        assert set(await texts(documents)) == kept
        with pytest.raises(NotFound):
            await archive.delete(ALICE, record.id)
        for document in await documents.list(f"{owner_path(ALICE)}/archive"):
            assert document.expires_at == pytest.approx(ends)
    assert await documents.list(f"{owner_path(ALICE)}/archive") == []


async def test_somebody_elses_or_none_at_all_is_not_there(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    record = (await shelved(scribe, documents))[0]
    for owner, id in ((BOB, record.id), (ALICE, record.id[:-4] + "0000"), (ALICE, "../x")):
        with pytest.raises(NotFound):
            await archive.get(owner, id)
        with pytest.raises(NotFound):
            await archive.delete(owner, id)
    assert len(await texts(documents)) == 2 * SESSIONS


async def test_what_is_past_its_time_is_not_there(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    record = (await shelved(scribe, documents))[0]
    scribe.clock.now += 90 * DAY_SECONDS
    with pytest.raises(NotFound):
        await archive.get(ALICE, record.id)


async def test_a_legal_hold_keeps_it(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    record = (await shelved(scribe, documents))[0]
    state = Owner.of((await documents.get(owner_path(ALICE)))[0])
    held = replace(state, hold=True)
    await documents.commit(Update(owner_path(ALICE), held.packed(), str(state.version)))
    with pytest.raises(Contested):
        await archive.delete(ALICE, record.id)
    assert record.content in await texts(documents)


async def test_a_memory_block_that_quotes_it_is_cleared(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    record, other = (await shelved(scribe, documents))[:2]
    for session, quoted in (("quoting", record), ("silent", other)):
        asked = scribe.turn("And now?")[0]
        block = {"for": asked.hash, "text": f'{{"id": "{quoted.id}", "text": "..."}}'}
        await scribe.append(session, asked, block=block)
    await archive.delete(ALICE, record.id)
    assert (await scribe.log.load(ALICE, "quoting")).head.block == {}
    assert (await scribe.log.load(ALICE, "silent")).head.block != {}


async def test_two_deleted_at_once_are_both_gone(
    scribe: Scribe, archive: Archived, documents: MeteredDocuments
) -> None:
    first, second = (await shelved(scribe, documents))[:2]
    beside = Interrupting(documents, lambda: archive.delete(ALICE, second.id))
    await Archived(beside, scribe.clock, Random(4)).delete(ALICE, first.id)
    assert not {first.content, second.content} & set(await texts(documents))
    assert len(await texts(documents)) == 2 * SESSIONS - 2
