"""Receipts are found by their id, wherever their turn has moved, and by their owner alone."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.errors import NotFound
from gateway.memory import whereabouts as bounds
from gateway.memory.archived import Archived
from gateway.memory.edits import Edits
from gateway.memory.receipts import Receipts
from gateway.memory.records import Record, new_id, text_digest
from gateway.memory.segments import TAIL_TURNS
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from support.memories import ALICE, BOB, NOON, Scribe


async def told(scribe: Scribe, turns: int) -> list[str]:
    """Turns of one session, each with a receipt; returns the receipts' ids."""
    ids = []
    for n in range(turns):
        question, answer = scribe.turn(f"question {n}")
        ids.append(new_id(scribe.clock(), scribe.randomness.getrandbits, "r"))
        receipt = {"id": ids[-1], "tokens": {"before": n}}
        await scribe.append("s", replace(question, receipt=receipt), answer)
    return ids


async def test_every_receipt_is_found_also_in_segments(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    ids = await told(scribe, 3 * TAIL_TURNS)
    receipts = Receipts(documents)
    for n, id in enumerate(ids):
        found = await receipts.find(ALICE, id)
        assert (found["object"], found["id"]) == ("memory.receipt", id)
        assert found["tokens"] == {"before": n}


async def test_a_receipt_that_an_answer_carries_is_found_in_a_segment(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    id = new_id(scribe.clock(), scribe.randomness.getrandbits, "r")
    scribe.clock.now += 30  # the answer's own id is younger than its receipt's
    question, answer = scribe.turn("asked again")
    await scribe.append("s", replace(answer, receipt={"id": id}), question)
    await told(scribe, 2 * TAIL_TURNS)
    assert (await Receipts(documents).find(ALICE, id))["id"] == id


async def test_nobody_elses_receipt_is_found(scribe: Scribe, documents: MeteredDocuments) -> None:
    (id,) = await told(scribe, 1)
    other = Scribe(documents, owner=BOB)
    await other.append("s", *other.turn("mine"))
    receipts = Receipts(documents)
    with pytest.raises(NotFound) as theirs:
        await receipts.find(BOB, id)
    with pytest.raises(NotFound) as never:
        await receipts.find(BOB, new_id(0, scribe.randomness.getrandbits, "r"))
    assert theirs.value.body() == never.value.body()


@pytest.mark.parametrize("id", ["", "r", "rUPPERCASE0000000", "m0000000000000000", "r/../x"])
async def test_a_string_that_is_no_receipts_id_costs_no_read(
    documents: MeteredDocuments, id: str
) -> None:
    with pytest.raises(NotFound):
        await Receipts(documents).find(ALICE, id)
    assert documents.reset().reads == 0


async def test_a_deleted_sessions_receipts_are_gone(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    ids = await told(scribe, TAIL_TURNS + 2)
    await scribe.log.delete_session(ALICE, "s")
    for id in ids:
        with pytest.raises(NotFound):
            await Receipts(documents).find(ALICE, id)


@pytest.mark.parametrize("turns", [0, 2 * TAIL_TURNS])
async def test_a_receipt_stands_as_long_as_anything_of_its_turn(
    turns: int, scribe: Scribe, documents: MeteredDocuments
) -> None:
    """Whether the turn lies in a tail still, or in a segment."""
    question, answer = scribe.turn("And now?")
    receipt = quoting(scribe)
    await scribe.append("asked", replace(question, receipt=receipt), answer)
    await told(scribe, turns)
    receipts = Receipts(documents)
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    await edits.delete(ALICE, question.id)
    assert (await receipts.find(ALICE, receipt["id"]))["created_at"] == receipt["created_at"]
    assert (await edits.get(ALICE, answer.id)).record.receipt == receipt
    await edits.delete(ALICE, answer.id)
    with pytest.raises(NotFound):
        await receipts.find(ALICE, receipt["id"])


async def test_a_receipt_stays_where_a_part_of_its_turn_does_and_goes_to_the_archive_with_all(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    part, whole = scribe.turn("fine"), scribe.turn("the weather is fine")
    first, second = quoting(scribe), quoting(scribe)
    await scribe.append("s", replace(part[0], receipt=first), replace(part[1], pin=True))
    await scribe.append("t", replace(whole[0], receipt=second), whole[1])
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    receipts, archive = Receipts(documents), Archived(documents, scribe.clock, Random(3))
    assert (await edits.get(ALICE, part[1].id)).record.receipt == first
    assert (await archive.get(ALICE, part[0].id)).record.receipt is None
    for receipt in (first, second):
        assert (await receipts.find(ALICE, receipt["id"]))["id"] == receipt["id"]
    await archive.delete(ALICE, whole[0].id)
    assert (await receipts.find(ALICE, second["id"]))["id"] == second["id"]
    await archive.delete(ALICE, whole[1].id)
    with pytest.raises(NotFound):
        await receipts.find(ALICE, second["id"])


def quoting(scribe: Scribe, *quoted: Record) -> dict[str, Any]:
    """A receipt as a turn keeps it, whose prompt quoted these messages."""
    lines = [{"id": one.id, "digest": text_digest(one.id, one.content)} for one in quoted]
    id = new_id(scribe.clock(), scribe.randomness.getrandbits, "r")
    return {"id": id, "created_at": scribe.clock(), "lines": lines}


async def asked(scribe: Scribe, *quoted: Record, session: str = "asked") -> str:
    receipt = quoting(scribe, *quoted)
    await scribe.append(session, replace(scribe.turn("And now?")[0], receipt=receipt))
    return str(receipt["id"])


def since(found: Any) -> list[tuple[bool | None, bool | None, bool | None]]:
    return [(one["deleted"], one["archived"], one["changed"]) for one in found["lines"]]


KEPT, CHANGED, DELETED = (False, False, False), (False, False, True), (True, False, None)
ARCHIVED, UNKNOWN = (False, True, False), (None, None, None)


@pytest.mark.parametrize("turns", [0, 2 * TAIL_TURNS])
async def test_a_receipt_tells_what_was_changed_or_deleted_since(
    turns: int, scribe: Scribe, documents: MeteredDocuments
) -> None:
    """Whether the messages lie in a tail still, or in a segment."""
    kept, edited, deleted, pinned = said = [scribe.turn(f"remark {n}")[0] for n in range(4)]
    await scribe.append("said", *said)
    id = await asked(scribe, *said)
    await told(scribe, turns)
    receipts = Receipts(documents)
    assert since(await receipts.find(ALICE, id)) == [KEPT] * 4
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    await edits.edit(ALICE, edited.id, content="another remark")
    await edits.edit(ALICE, pinned.id, pin=True)
    await edits.delete(ALICE, deleted.id)
    found = await receipts.find(ALICE, id)
    assert [one["id"] for one in found["lines"]] == [one.id for one in said]
    assert since(found) == [KEPT, CHANGED, DELETED, KEPT]
    assert not any("digest" in one for one in found["lines"])
    await edits.edit(ALICE, edited.id, content=edited.content)
    assert since(await receipts.find(ALICE, id))[1] == KEPT
    assert kept.content == "remark 0"


async def test_what_was_archived_is_neither_deleted_nor_changed(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    said = scribe.turn("the weather is fine")
    await scribe.append("said", *said)
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    id = await asked(scribe)
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    id = await asked(scribe, *said)
    assert since(await Receipts(documents).find(ALICE, id)) == [ARCHIVED, ARCHIVED]


async def test_what_nobody_looked_through_is_not_called_deleted(
    monkeypatch: pytest.MonkeyPatch, scribe: Scribe, documents: MeteredDocuments
) -> None:
    said = scribe.turn("the weather is fine")[0]
    await scribe.append("said", said)
    await told(scribe, 2 * TAIL_TURNS)
    for n in range(4):
        await scribe.append(f"s{n}", *scribe.turn("hello"))
    id = await asked(scribe, said)
    monkeypatch.setattr(bounds, "MAX_SEGMENTS", 0)
    monkeypatch.setattr(bounds, "MAX_ARCHIVES", 0)
    assert since(await Receipts(documents).find(ALICE, id)) == [UNKNOWN]


async def test_a_receipt_of_before_the_digests_knows_no_change(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    said = scribe.turn("the weather is fine")[0]
    await scribe.append("said", said)
    receipt = {**quoting(scribe), "lines": [{"id": said.id}]}
    await scribe.append("asked", replace(scribe.turn("And?")[0], receipt=receipt))
    found = await Receipts(documents).find(ALICE, receipt["id"])
    assert since(found) == [(False, False, None)]


async def test_what_a_receipt_reads_is_bounded(scribe: Scribe, documents: MeteredDocuments) -> None:
    said = scribe.turn("the weather is fine")[0]
    await scribe.append("said", said)
    id = await asked(scribe, said)
    documents.reset()
    await Receipts(documents).find(ALICE, id)
    owner_twice, heads = 2, 2
    assert documents.reset().reads == owner_twice + heads


def test_equal_texts_of_two_messages_have_two_digests() -> None:
    assert text_digest("m1", "yes") != text_digest("m2", "yes")
    assert text_digest("m1", "yes") == text_digest("m1", "yes") != text_digest("m1", "no")
    assert text_digest("", "\ud800")
