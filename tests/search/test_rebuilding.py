"""The index made anew: what it repairs, what it never touches, and who may be at work beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

import pytest

from gateway.documents.base import Documents, StoreUnavailable, Update, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.documents.patience import ATTEMPTS
from gateway.errors import Contested
from gateway.memory.heads import Owner
from gateway.memory.recall import IndexCache
from gateway.memory.records import owner_path
from gateway.memory.segments import TAIL_TURNS
from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.sketch import Sketch
from gateway.search import rebuilding as bounds
from gateway.search.library import Library
from gateway.search.rebuilding import Rebuilding
from gateway.search.scoring import Weights
from gateway.search.search import Search, Wanted
from support.memories import ALICE, BOB, Scribe

LONG_WORDS = "weather " * 1200


class Interrupting(MeteredDocuments):
    """Does something of its own right before a commit, as often as it is told to."""

    def __init__(self, inner: Documents, times: int, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inner)
        self._times, self._act = times, act

    async def commit(self, *writes: Write) -> list[Written]:
        if self._times:
            self._times -= 1
            await self._act()
        return await super().commit(*writes)


class Hurried(Random):
    """Pauses of no length."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


def rebuilding(documents: Documents, library: Library | None = None) -> Rebuilding:
    shelves = library or Library(documents, IndexCache(1_000_000))
    return Rebuilding(documents, shelves, LexicalRanker(), Hurried(3))


async def talk(scribe: Scribe, session: str, turns: int = TAIL_TURNS + 2) -> None:
    for n in range(turns):
        await scribe.append(session, *scribe.turn(f"{n} {LONG_WORDS}", LONG_WORDS))


async def owner_of(documents: Documents) -> Owner:
    return Owner.of((await documents.get(owner_path(ALICE)))[0])


async def spoil(documents: Documents) -> Owner:
    """A manifest that tells nothing of what its segments hold; returns what it told before."""
    state = await owner_of(documents)
    spoilt = [replace(one, sketch=Sketch(b"\0"), tokens=1, bytes=1) for one in state.segments]
    after = state.with_segments(spoilt)
    await documents.commit(Update(owner_path(ALICE), after.packed(), str(state.version)))
    return state


async def test_an_empty_memory_has_nothing_to_rebuild(documents: MeteredDocuments) -> None:
    done = await rebuilding(documents).rebuild(ALICE)
    assert (done.segments, done.messages, done.changed, done.next) == (0, 0, 0, None)
    assert await documents.get(owner_path(ALICE)) == [None]


async def test_a_sound_index_is_read_and_left_as_it_is(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s")
    before = await documents.get(owner_path(ALICE))
    documents.reset()
    done = await rebuilding(documents).rebuild(ALICE)
    operations = documents.reset()
    assert (operations.reads, operations.writes) == (1 + done.segments, 0)
    state = await owner_of(documents)
    assert done.segments == len(state.segments) > 0
    assert done.messages == sum(one.count for one in state.segments)
    assert done.changed == 0
    assert await documents.get(owner_path(ALICE)) == before


async def test_a_spoilt_index_is_as_it_was_and_then_stays(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s")
    before = await spoil(documents)
    done = await rebuilding(documents).rebuild(ALICE)
    assert done.changed == done.segments == len(before.segments)
    assert (await owner_of(documents)).segments == before.segments
    again = await rebuilding(documents).rebuild(ALICE)
    assert (again.segments, again.changed) == (done.segments, 0)


async def test_a_large_memory_takes_several_calls(
    monkeypatch: pytest.MonkeyPatch, scribe: Scribe, documents: MeteredDocuments
) -> None:
    monkeypatch.setattr(bounds, "MAX_SEGMENTS", 1)
    await talk(scribe, "s")
    before = await spoil(documents)
    assert len(before.segments) > 1
    after, calls = -1, 0
    while True:
        done = await rebuilding(documents).rebuild(ALICE, after)
        calls += 1
        assert done.segments == done.changed == 1
        if done.next is None:
            break
        after = done.next
    assert calls == len(before.segments)
    assert (await owner_of(documents)).segments == before.segments
    beyond = await rebuilding(documents).rebuild(ALICE, 99_999_999)
    assert (beyond.segments, beyond.next) == (0, None)


async def test_turns_beside_it_lose_nothing(
    scribe: Scribe, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    await talk(scribe, "s")
    await spoil(documents)
    await asyncio.gather(rebuilding(another).rebuild(ALICE), talk(scribe, "other"))
    await rebuilding(documents).rebuild(ALICE)
    assert len(await scribe.texts("s")) == len(await scribe.texts("other")) == 2 * (TAIL_TURNS + 2)
    assert (await rebuilding(documents).rebuild(ALICE)).changed == 0


async def test_a_rollover_meanwhile_begins_it_again(
    scribe: Scribe, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    await talk(scribe, "s")
    await spoil(documents)
    interrupted = Interrupting(another, 1, lambda: talk(scribe, "other"))
    done = await rebuilding(interrupted).rebuild(ALICE)
    assert done.messages == sum(one.count for one in (await owner_of(documents)).segments)
    assert (await rebuilding(documents).rebuild(ALICE)).changed == 0


async def test_a_race_lost_for_good_changes_nothing(
    scribe: Scribe, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    await talk(scribe, "s")
    await spoil(documents)
    scribed = 0

    async def open_a_session() -> None:
        nonlocal scribed
        scribed += 1
        await scribe.append(f"new{scribed}", *scribe.turn("hello"))

    interrupted = Interrupting(another, ATTEMPTS, open_a_session)
    with pytest.raises(StoreUnavailable):
        await rebuilding(interrupted).rebuild(ALICE)
    assert (await rebuilding(documents).rebuild(ALICE)).changed > 0


async def test_an_erasure_wins(scribe: Scribe, documents: MeteredDocuments) -> None:
    await talk(scribe, "s")
    state = await owner_of(documents)
    erasing = replace(state, erasing=True)
    await documents.commit(Update(owner_path(ALICE), erasing.packed(), str(state.version)))
    with pytest.raises(Contested):
        await rebuilding(documents).rebuild(ALICE)


async def test_what_the_instance_keeps_of_the_owner_is_dropped_and_of_nobody_else(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    other = Scribe(documents, owner=BOB)
    library = Library(documents, IndexCache(100_000_000))
    search = Search(library, LexicalRanker(), Weights(), scribe.clock)
    for one in (scribe, other):
        await talk(one, "s")
        await search.find(one.owner, Wanted("weather"))
    segments = len((await owner_of(documents)).segments)
    done = await rebuilding(documents, library).rebuild(ALICE)
    assert done.indexes_dropped == segments + 1
    documents.reset()
    await search.find(BOB, Wanted("weather"))
    assert documents.reset().reads == 3
    await search.find(ALICE, Wanted("weather"))
    assert documents.reset().reads == 3 + segments
