"""How much is remembered, counted over tails, segments and the archive."""

from dataclasses import replace
from random import Random

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.memory.edits import Edits
from gateway.memory.heads import Owner
from gateway.memory.recall import IndexCache
from gateway.memory.records import new_id, owner_path
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.erasure import Erasure
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from gateway.retrieval.lexical import LexicalRanker
from gateway.search import library as shelves
from gateway.search import status as bounds
from gateway.search.library import Library
from gateway.search.status import Archived, ReceiptCount, Status
from support.facts import Records
from support.memories import ALICE, BOB, NOON, Scribe


@pytest.fixture
def status(documents: MeteredDocuments, scribe: Scribe) -> Status:
    return Status(documents, Library(documents, IndexCache(1_000_000)), scribe.clock)


async def talk(scribe: Scribe, session: str, turns: int) -> None:
    for n in range(turns):
        await scribe.append(session, *scribe.turn(f"the weather on walk {n}", "turned out fine"))


async def test_nobody_has_nothing(status: Status) -> None:
    told = await status.of(ALICE)
    assert (told.sessions, told.messages, told.segments, told.bytes, told.tokens) == (0,) * 5
    assert (told.archived, told.average_tokens) == (Archived(0, 0, complete=True), 0.0)
    assert told.last_sweep is None
    assert (told.entities, told.commits, told.receipts) == (0, 0, ReceiptCount(0, complete=True))


async def test_receipts_count_wherever_they_lie(
    monkeypatch: pytest.MonkeyPatch, status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(TAIL_TURNS + 4):
        question, answer = scribe.turn(f"question {n}")
        id = new_id(scribe.clock(), scribe.randomness.getrandbits, "r")
        paid = {"id": id, "created_at": scribe.clock(), "lines": []}
        await scribe.append("s", replace(question, receipt=paid), answer)
    told = await status.of(ALICE)
    assert told.segments == 1
    assert told.receipts == ReceiptCount(TAIL_TURNS + 4, complete=True)
    monkeypatch.setattr(shelves, "MAX_SEGMENTS", 0)
    part = (await status.of(ALICE)).receipts
    assert part.count < TAIL_TURNS + 4
    assert not part.complete


async def test_entities_and_commits_count(
    status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    records = Records(documents)
    records.clock.now = scribe.clock()
    first = await records.create("Rex", "Likes apples.")
    await records.create("Oslo")
    await records.add(first, "Sleeps under the stove.")
    told = await status.of(ALICE)
    assert (told.entities, told.commits) == (2, 3)
    assert (await status.of(BOB)).entities == 0


async def test_messages_count_wherever_they_lie(
    status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS + 1):
        await talk(scribe, f"s{n}", TAIL_TURNS + n)
    await talk(Scribe(documents, owner=BOB), "s", 3)
    said = 2 * sum(TAIL_TURNS + n for n in range(OPEN_SESSIONS + 1))
    documents.reset()
    told = await status.of(ALICE)
    owner_twice, entities, archive, sweep = 2, 1, 1, 1
    cold = documents.reset().reads
    assert cold == owner_twice + OPEN_SESSIONS + told.segments + entities + archive + sweep
    assert await status.of(ALICE) == told
    assert documents.reset().reads == cold - told.segments
    assert (told.sessions, told.open_sessions) == (OPEN_SESSIONS + 1, OPEN_SESSIONS)
    assert (told.messages, told.tokens) == (said, said // 2 * 5 + said // 2 * 3)
    assert told.average_tokens == 4.0
    assert told.segments >= 1
    assert told.bytes > 100 * said


async def test_a_deleted_message_no_longer_counts(
    status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", TAIL_TURNS + 4)
    before = await status.of(ALICE)
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    records = await scribe.log.messages(ALICE, "s")
    for record in (records[0], records[-1]):
        await edits.delete(ALICE, record.id)
    after = await status.of(ALICE)
    assert (after.messages, after.tokens) == (before.messages - 2, before.tokens - 8)
    assert after.bytes < before.bytes


async def test_the_archive_and_the_last_sweep_are_told(
    status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", 10)
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    told = await status.of(ALICE)
    assert (told.messages, told.archived) == (0, Archived(20, 1, complete=True))
    assert told.last_sweep == scribe.clock.now
    scribe.clock.now += 90 * DAY_SECONDS
    assert (await status.of(ALICE)).archived == Archived(0, 0, complete=True)


async def test_of_a_large_archive_a_part_is_counted_and_told_as_such(
    monkeypatch: pytest.MonkeyPatch, status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    monkeypatch.setattr(bounds, "MAX_ARCHIVES", 2)
    monkeypatch.setattr(bounds, "PAGE", 1)
    for n in range(3):
        await talk(scribe, f"s{n}", 1)
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    assert (await status.of(ALICE)).archived == Archived(4, 2, complete=False)


async def test_after_an_erasure_nothing_counts_but_the_erasure(
    status: Status, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", TAIL_TURNS + 4)
    assert Owner.of((await documents.get(owner_path(ALICE)))[0]).segments
    await Erasure(documents, LexicalRanker(), scribe.clock, 7).erase(ALICE)
    told = await status.of(ALICE)
    assert (told.sessions, told.messages, told.segments, told.bytes) == (0, 0, 0, 0)
    assert told.erasures == 1
