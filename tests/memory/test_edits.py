"""Editing and deleting one message: found wherever it lies, and never brought back."""

from dataclasses import replace
from random import Random

import pytest

from gateway.documents.base import Document, Documents, Set, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested, NotFound, TooLarge
from gateway.memory.alignment import align
from gateway.memory.edits import Edits
from gateway.memory.heads import Head, Owner
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.records import Record, new_id, owner_path
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from support.memories import ALICE, BOB, Scribe

OLD, NEW = "The password is zyxonite.", "The password is barium."
MANY = TAIL_TURNS + 1


def edits(documents: Documents) -> Edits:
    return Edits(documents, Random(3), lambda text: len(text.split()))


async def told(scribe: Scribe, *, rolled_over: bool, session: str = "s1") -> Record:
    """A message in a tail, or in a segment when turns have come after it."""
    first, *rest = scribe.turn(OLD)
    await scribe.append(session, first, *rest)
    for number in range(MANY if rolled_over else 0):
        await scribe.append(session, *scribe.turn(f"Question {number}"))
    state = (await scribe.log.load(scribe.owner, session)).owner
    assert bool(state.segments) == rolled_over
    return first


async def head_of(scribe: Scribe, session: str = "s1") -> Head:
    return (await scribe.log.load(scribe.owner, session)).head


async def recalled(recall: Recall, scribe: Scribe) -> list[str]:
    """What could be remembered in another session."""
    loaded = await scribe.log.load(scribe.owner, "another")
    found = await recall.candidates(scribe.owner, loaded, OLD, "user", scribe.clock())
    return [passage.text for chunk in found.chunks for passage in chunk.passages]


def consistent(head: Head, records: list[Record]) -> None:
    active = [record for record in records if record.state == "active"]
    assert head.messages == len(records)
    assert head.turns == sum(record.role == "user" for record in records)
    assert head.tokens == sum(record.tokens for record in active)
    weights = {record.id: record.tokens for record in records}
    assert all(entry.tokens == weights.get(entry.id, 0) for entry in head.log)


@pytest.mark.parametrize("rolled_over", [False, True])
async def test_an_edited_message_keeps_its_place_and_its_hash(
    documents: MeteredDocuments, scribe: Scribe, rolled_over: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    before = (await edits(documents).get(ALICE, first.id)).record
    await edits(documents).edit(ALICE, first.id, content="Forgotten.", pin=True, metadata={"k": 1})
    found = await edits(documents).get(ALICE, first.id)
    assert found.session == "s1"
    assert found.record == replace(
        before, content="Forgotten.", tokens=1, pin=True, metadata={"k": 1}
    )
    records = await scribe.log.messages(ALICE, "s1")
    assert records[0] == found.record
    head = await head_of(scribe)
    consistent(head, records)
    assert head.title == "Forgotten."


@pytest.mark.parametrize("rolled_over", [False, True])
async def test_a_deleted_message_is_gone_and_the_others_stay(
    documents: MeteredDocuments, scribe: Scribe, rolled_over: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    before = await scribe.log.messages(ALICE, "s1")
    await edits(documents).delete(ALICE, first.id)
    with pytest.raises(NotFound):
        await edits(documents).get(ALICE, first.id)
    records = await scribe.log.messages(ALICE, "s1")
    assert records == before[1:]
    head = await head_of(scribe)
    consistent(head, records)
    assert OLD not in head.title


@pytest.mark.parametrize("rolled_over", [False, True])
@pytest.mark.parametrize("delete", [False, True])
async def test_a_resent_history_brings_nothing_back(
    documents: MeteredDocuments, scribe: Scribe, rolled_over: bool, delete: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    log = (await head_of(scribe)).log
    if delete:
        await edits(documents).delete(ALICE, first.id)
    else:
        await edits(documents).edit(ALICE, first.id, content=NEW)
    head = await head_of(scribe)
    resent = [*((entry.role, entry.hash) for entry in log), ("user", "a new one")]
    aligned = align(resent, head.log, earlier_in_log=head.earlier_in_log)
    assert aligned.new == [len(resent) - 1]
    assert (aligned.forked, aligned.superseded) == ([], [])


@pytest.mark.parametrize("rolled_over", [False, True])
async def test_no_warm_cache_resurrects_a_message(
    documents: MeteredDocuments, another: MeteredDocuments, scribe: Scribe, rolled_over: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    recall = Recall(another, IndexCache(1_000_000))
    assert OLD in await recalled(recall, scribe)
    await edits(documents).edit(ALICE, first.id, content=NEW)
    texts = await recalled(recall, scribe)
    assert (NEW in texts, OLD in texts) == (True, False)
    await edits(documents).delete(ALICE, first.id)
    assert NEW not in await recalled(recall, scribe)


@pytest.mark.parametrize("rolled_over", [False, True])
async def test_a_block_that_quotes_the_message_is_not_repeated(
    documents: MeteredDocuments, scribe: Scribe, rolled_over: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    block = {"for": "hash", "text": f'{{"id":"{first.id}","text":"{OLD}"}}'}
    await scribe.append("s2", *scribe.turn("What is it?"), block=block)
    await scribe.append("s3", *scribe.turn("And?"), block={"for": "hash", "text": "other"})
    await edits(documents).delete(ALICE, first.id)
    assert (await head_of(scribe, "s2")).block == {}
    assert (await head_of(scribe, "s3")).block["text"] == "other"


async def test_a_session_without_a_tail_is_kept_right_too(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    first, second = scribe.turn(OLD)
    await scribe.append("s1", first, second)
    for number in range(OPEN_SESSIONS):
        await scribe.append(f"other{number}", *scribe.turn("Hello"))
    assert not (await head_of(scribe)).open
    found = await edits(documents).get(ALICE, first.id)
    assert (found.session, found.record.content) == ("s1", OLD)
    await edits(documents).delete(ALICE, first.id)
    await edits(documents).delete(ALICE, second.id)
    consistent(await head_of(scribe), await scribe.log.messages(ALICE, "s1"))


@pytest.mark.parametrize("rolled_over", [False, True])
async def test_somebody_elses_message_is_not_there(
    documents: MeteredDocuments, scribe: Scribe, rolled_over: bool
) -> None:
    first = await told(scribe, rolled_over=rolled_over)
    await told(Scribe(documents, owner=BOB, seed=8), rolled_over=rolled_over)
    found: list[str] = []
    for id in (first.id, new_id(first.at, Random(1).getrandbits), "r" + first.id[1:], "", "é" * 17):
        with pytest.raises(NotFound) as missing:
            await edits(documents).delete(BOB, id)
        found.append(str(missing.value))
        assert missing.value.code == "message_not_found"
    assert len(set(found)) == 1
    assert (await edits(documents).get(ALICE, first.id)).record.content == OLD


async def test_an_edit_that_changes_nothing_writes_nothing(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    first = await told(scribe, rolled_over=False)
    documents.reset()
    await edits(documents).edit(ALICE, first.id, content=OLD, pin=False)
    assert documents.operations.writes == 0


class Overtaken:
    """Documents that lose the race before the n-th commit: somebody else appends."""

    def __init__(self, inner: Documents, scribe: Scribe, times: int) -> None:
        self._inner, self._scribe, self._left = inner, scribe, times
        self.get, self.list = inner.get, inner.list
        self.delete_tree, self.close = inner.delete_tree, inner.close

    async def commit(self, *writes: Write) -> list[Written]:
        if self._left:
            self._left -= 1
            await self._scribe.append("s1", *self._scribe.turn(f"Meanwhile {self._left}"))
        return await self._inner.commit(*writes)


async def test_a_message_that_rolls_over_meanwhile_is_deleted_all_the_same(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    first = await told(scribe, rolled_over=False)
    for number in range(TAIL_TURNS - 2):
        await scribe.append("s1", *scribe.turn(f"Question {number}"))
    overtaken = Overtaken(documents, scribe, times=3)
    await edits(overtaken).delete(ALICE, first.id)
    records = await scribe.log.messages(ALICE, "s1")
    assert (await scribe.log.load(ALICE, "s1")).owner.segments
    assert first.id not in {record.id for record in records}
    assert len(records) == 1 + 2 * (TAIL_TURNS - 2) + 6
    consistent(await head_of(scribe), records)


class Moving:
    """Documents whose tail rolls over right after the owner's document was read."""

    def __init__(self, inner: Documents, scribe: Scribe) -> None:
        self._inner, self._scribe, self._moved = inner, scribe, False
        self.commit, self.list = inner.commit, inner.list
        self.delete_tree, self.close = inner.delete_tree, inner.close

    async def get(self, *paths: str) -> list[Document | None]:
        found = await self._inner.get(*paths)
        if not self._moved:
            self._moved = True
            for number in range(MANY):
                await self._scribe.append("s1", *self._scribe.turn(f"Question {number}"))
        return found


async def test_a_message_that_moves_while_it_is_looked_for_is_found(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    first = await told(scribe, rolled_over=False)
    found = await edits(Moving(documents, scribe)).get(ALICE, first.id)
    assert found.segment is not None
    assert (found.record.content, found.session) == (OLD, "s1")


async def test_edits_leave_no_document_that_the_store_could_not_hold(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    said = [scribe.record("user", f"Short {number}") for number in range(3)]
    await scribe.append("s1", *said)
    long = "a" * 500_000
    await edits(documents).edit(ALICE, said[0].id, content=long)
    with pytest.raises(TooLarge) as refused:
        await edits(documents).edit(ALICE, said[1].id, content=long)
    assert refused.value.code == "message_too_large"
    await edits(documents).edit(ALICE, said[0].id, content="short")
    assert (await edits(documents).get(ALICE, said[1].id)).record.content == "Short 1"


@pytest.mark.parametrize(("hold", "erasing"), [(True, False), (False, True)])
async def test_a_memory_on_hold_or_being_erased_is_left_alone(
    documents: MeteredDocuments, scribe: Scribe, hold: bool, erasing: bool
) -> None:
    first = await told(scribe, rolled_over=False)
    state = Owner.of((await documents.get(owner_path(ALICE)))[0])
    marked = replace(state, hold=hold, erasing=erasing)
    await documents.commit(Set(owner_path(ALICE), marked.packed()))
    with pytest.raises(Contested):
        await edits(documents).delete(ALICE, first.id)
    with pytest.raises(Contested):
        await edits(documents).edit(ALICE, first.id, content=NEW)
