"""An archived message brought back: at its place, pinned, once."""

import asyncio
from random import Random

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.errors import NotFound
from gateway.memory.archived import Archived
from gateway.memory.records import Record
from gateway.memory.unarchiving import NAMELESS, Unarchiving
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from support.memories import ALICE, BOB, Scribe

SESSIONS = 6  # more than keep a tail


@pytest.fixture
def unarchiving(documents: MeteredDocuments, scribe: Scribe) -> Unarchiving:
    archived = Archived(documents, scribe.clock, Random(3))
    return Unarchiving(documents, archived, scribe.clock, Random(3))


async def shelved(scribe: Scribe, documents: MeteredDocuments) -> list[Record]:
    said: list[Record] = []
    for n in range(SESSIONS):
        turn = scribe.turn(f"the weather on walk {n}", f"turned out fine on walk {n}")
        await scribe.append(f"s{n}", *turn)
        said += turn
    await swept(scribe, documents, 40)
    return said


async def swept(scribe: Scribe, documents: MeteredDocuments, days: int) -> None:
    scribe.clock.now += days * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()


async def test_each_is_back_in_its_session_in_its_order(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    for record in reversed(said):
        found, session = await unarchiving.restore(ALICE, record.id)
        assert (found.id, found.content, found.pin) == (record.id, record.content, True)
        assert record.content in await scribe.texts(session)
    for n in range(SESSIONS):
        assert await scribe.texts(f"s{n}") == [one.content for one in said[2 * n : 2 * n + 2]]
        head = (await scribe.log.load(ALICE, f"s{n}")).head
        assert (head.messages, head.turns) == (2, 1)
        assert head.tokens == sum(one.tokens for one in said[2 * n : 2 * n + 2])


async def test_what_is_back_is_in_the_archive_no_more(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    await unarchiving.restore(ALICE, said[0].id)
    with pytest.raises(NotFound):
        await unarchiving.restore(ALICE, said[0].id)
    archived = Archived(documents, scribe.clock, Random(3))
    kept: list[str] = []
    before: str | None = None
    while True:
        page, before = await archived.page(ALICE, before)
        kept += [one.record.id for one in page]
        if before is None:
            break
    assert sorted(kept) == sorted(one.id for one in said[1:])


async def test_the_next_cleanup_leaves_it_where_it_is(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    await unarchiving.restore(ALICE, said[0].id)
    await swept(scribe, documents, 40)
    assert await scribe.texts("s0") == [said[0].content]


async def test_of_two_at_once_one_finds_it(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    both = [unarchiving.restore(ALICE, said[0].id) for _ in range(2)]
    found = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(one, NotFound) for one in found) == 1
    assert await scribe.texts("s0") == [said[0].content]


async def test_without_its_session_it_goes_to_one_of_its_own(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    await scribe.log.delete_session(ALICE, "s0")
    for record in said[:2]:
        _, session = await unarchiving.restore(ALICE, record.id)
        assert session == NAMELESS
    assert await scribe.texts(NAMELESS) == [one.content for one in said[:2]]


async def test_somebody_elses_is_not_there(
    scribe: Scribe, documents: MeteredDocuments, unarchiving: Unarchiving
) -> None:
    said = await shelved(scribe, documents)
    with pytest.raises(NotFound):
        await unarchiving.restore(BOB, said[0].id)


async def test_a_living_message_is_not_restored(scribe: Scribe, unarchiving: Unarchiving) -> None:
    turn = scribe.turn("the weather today")
    await scribe.append("s", *turn)
    with pytest.raises(NotFound):
        await unarchiving.restore(ALICE, turn[0].id)
