"""Erasure: nothing is left beneath the owner, at once unreadable, resumable, and never undone."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.documents.base import Document, Documents, Set, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested
from gateway.memory.growth import Addition
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path
from gateway.portability.erasure import COLLECTIONS, Erasure
from gateway.retrieval.base import Forgotten
from gateway.retrieval.lexical import LexicalRanker
from support.memories import ALICE, BOB, Scribe


def erasure(documents: Documents) -> Erasure:
    return Erasure(documents, LexicalRanker(), lambda: 1_000.0, backup_days=7)


async def tell(scribe: Scribe, session: str, turns: int) -> None:
    for number in range(turns):
        await scribe.append(session, *scribe.turn(f"Question {number} of {session}"))


async def left(documents: Documents, owner: str) -> list[Document]:
    root = owner_path(owner)
    found = [await documents.list(f"{root}/{name}") for name in COLLECTIONS]
    return [document for some in found for document in some]


async def test_everything_beneath_the_owner_is_gone_and_nobody_elses(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 60)
    await tell(scribe, "s2", 3)
    await tell(Scribe(documents, owner=BOB), "s1", 3)
    receipt = await erasure(documents).erase(ALICE)
    assert await left(documents, ALICE) == []
    assert len(await left(documents, BOB)) > 0
    assert receipt.documents > 0
    assert receipt.sessions == 2
    assert receipt.backups_until == 1_000 + 7 * 86_400


async def test_two_thousand_turns_take_under_a_hundred_deletes(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    for session in range(20):
        turns = [one for number in range(100) for one in scribe.turn(f"Question {number}")]
        await scribe.append(f"s{session}", *turns)
    documents.reset()
    await erasure(documents).erase(ALICE)
    assert 0 < documents.operations.deletes < 100


class Forgetful(LexicalRanker):
    """A ranker that is told to forget, and what is stored when it is."""

    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self._documents = documents
        self.left: list[Document] | None = None
        self.epochs: list[int] = []

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        self.epochs.append(epoch)
        self.left = await left(self._documents, owner)
        return Forgotten(forgotten=False, horizon_seconds=600.0)


async def test_the_ranker_is_told_once_nothing_can_be_read_any_more(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 3)
    ranker = Forgetful(documents)
    receipt = await Erasure(documents, ranker, lambda: 1_000.0, backup_days=7).erase(ALICE)
    assert ranker.left == []
    assert ranker.epochs == [receipt.epoch]
    assert receipt.retriever == Forgotten(forgotten=False, horizon_seconds=600.0)


class Failing:
    """Documents whose n-th page of deletions fails."""

    def __init__(self, inner: Documents, at: int) -> None:
        self._inner, self._left = inner, at
        self.get, self.list, self.close = inner.get, inner.list, inner.close

    async def commit(self, *writes: Write) -> list[Written]:
        return await self._inner.commit(*writes)

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable
        return await self._inner.delete_tree(path, limit=1)


async def test_interrupted_it_leaves_nothing_readable_and_goes_on(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 60)
    with pytest.raises(StoreUnavailable):
        await erasure(Failing(documents, 1)).erase(ALICE)
    with pytest.raises(Contested):
        await scribe.log.load(ALICE, "s1")
    receipt = await erasure(documents).erase(ALICE)
    assert (await left(documents, ALICE), receipt.epoch) == ([], 1)
    assert (await scribe.log.load(ALICE, "s1")).head.version is None


async def test_a_turn_begun_before_is_not_stored_after(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 1)
    begun = await scribe.log.load(ALICE, "s1")
    await erasure(documents).erase(ALICE)
    with pytest.raises(Contested):
        await scribe.log.append(ALICE, "s1", lambda _: Addition("k", scribe.turn("late")), begun)
    assert await left(documents, ALICE) == []


async def test_what_is_said_afterwards_is_remembered(documents: Documents, scribe: Scribe) -> None:
    await tell(scribe, "s1", 1)
    await erasure(documents).erase(ALICE)
    await tell(scribe, "s1", 2)
    assert len(await scribe.log.messages(ALICE, "s1")) == 4


async def test_there_may_be_nothing_to_erase(documents: Documents) -> None:
    receipt = await erasure(documents).erase(ALICE)
    assert (receipt.documents, receipt.sessions) == (0, 0)
    found = (await documents.get(owner_path(ALICE)))[0]
    assert not Owner.of(found).erasing


async def test_a_legal_hold_keeps_everything(documents: Documents, scribe: Scribe) -> None:
    await tell(scribe, "s1", 1)
    found = (await documents.get(owner_path(ALICE)))[0]
    held = replace(Owner.of(found), hold=True)
    await documents.commit(Set(owner_path(ALICE), held.packed()))
    with pytest.raises(Contested, match="legal hold"):
        await erasure(documents).erase(ALICE)
    assert len(await scribe.log.messages(ALICE, "s1")) == 2


class Interrupted(LexicalRanker):
    """Does something else once while an erasure tells it to forget."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._act = act

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        await self._act()
        return await super().forget(owner, epoch)


async def test_of_two_erasures_at_once_either_has_erased(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 1)

    async def another() -> None:
        await erasure(documents).erase(ALICE)

    ranker = Interrupted(another)
    receipt = await Erasure(documents, ranker, lambda: 1_000.0, backup_days=7).erase(ALICE)
    assert (receipt.epoch, await left(documents, ALICE)) == (1, [])
    await tell(scribe, "s1", 1)


async def test_an_erasure_that_another_took_over_lets_nothing_in_before_that_one_ends(
    documents: Documents, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 1)

    async def another() -> None:
        with pytest.raises(StoreUnavailable):
            await erasure(Failing(documents, 0)).erase(ALICE)

    ranker = Interrupted(another)
    with pytest.raises(Contested):
        await Erasure(documents, ranker, lambda: 1_000.0, backup_days=7).erase(ALICE)
    with pytest.raises(Contested):
        await tell(scribe, "s1", 1)
    await erasure(documents).erase(ALICE)
    await tell(scribe, "s1", 1)
