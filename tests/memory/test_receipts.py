"""Receipts are found by their id, wherever their turn has moved, and by their owner alone."""

from dataclasses import replace

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.errors import NotFound
from gateway.memory.receipts import Receipts
from gateway.memory.records import new_id
from gateway.memory.segments import TAIL_TURNS
from support.memories import ALICE, BOB, Scribe


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
