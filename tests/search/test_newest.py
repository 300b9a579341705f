"""Pages of everything remembered: all of it, once, in a bounded number of reads."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.documents.metered import MeteredDocuments
from gateway.memory.edits import Edits
from gateway.memory.records import Record, owner_path, session_key
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.erasure import Erasure
from gateway.retrieval.lexical import LexicalRanker
from gateway.search.newest import MOST_SEGMENTS, Newest, Place
from support.memories import ALICE, BOB, NOON, Scribe
from support.stores import sqlite_only

LONG = "word " * 8_000  # 40 kB: six of them fill a segment


def everything(_: Record) -> bool:
    return True


async def paged(
    newest: Newest,
    limit: int = 10,
    wanted: Callable[[Record], bool] = everything,
    owner: str = ALICE,
) -> list[Record]:
    found: list[Record] = []
    place: Place | None = Place()
    while place is not None:
        page = await newest.page(owner, wanted, limit, place)
        assert len(page.records) <= limit
        assert page.next != place
        found += page.records
        place = page.next
    return found


async def talked(scribe: Scribe, sessions: int, turns: int, text: str = "a walk") -> list[str]:
    """Turns of several sessions, one after another; the ids in the order of their storing."""
    ids = []
    for n in range(turns):
        for session in range(sessions):
            turn = scribe.turn(f"{text} {n}", "Noted.")
            await scribe.append(f"s{session}", *turn)
            ids += [one.id for one in turn]
    return ids


async def test_of_nothing_there_is_one_empty_page(documents: MeteredDocuments) -> None:
    page = await Newest(documents).page(ALICE, everything, 10, Place())
    assert (list(page.records), page.next) == ([], None)


async def test_the_last_come_first(scribe: Scribe, documents: MeteredDocuments) -> None:
    ids = await talked(scribe, sessions=2, turns=3)
    newest = Newest(documents)
    assert [one.id for one in await paged(newest, 5)] == sorted(ids, reverse=True)
    page = await newest.page(ALICE, everything, 50, Place())
    assert page.sessions == {session_key("s0"): "s0", session_key("s1"): "s1"}
    assert await paged(newest, owner=BOB) == []


@sqlite_only
@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_each_message_is_on_one_page(
    scribe: Scribe, documents: MeteredDocuments, limit: int
) -> None:
    """Of tails and segments; more sessions than stay open."""
    ids = await talked(scribe, OPEN_SESSIONS + 2, TAIL_TURNS + 3)
    found = [one.id for one in await paged(Newest(documents), limit)]
    assert (len(found), set(found)) == (len(ids), set(ids))


@sqlite_only
async def test_a_page_of_few_matches_reads_a_bounded_part_and_goes_on(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    first = scribe.turn("the borzoi")
    await scribe.append("s0", *first)
    await talked(scribe, 1, 60, LONG)
    newest = Newest(documents)
    places: list[Place | None] = [Place()]
    found: list[str] = []
    while (place := places[-1]) is not None:
        documents.reset()
        page = await newest.page(ALICE, lambda one: "borzoi" in one.content, 5, place)
        assert documents.reset().reads <= 3 + OPEN_SESSIONS + MOST_SEGMENTS
        found += [one.id for one in page.records]
        places.append(page.next)
    assert found == [first[0].id]
    assert len(places) > 3


@sqlite_only
async def test_none_is_missed_that_moves_between_two_pages(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    ids = await talked(scribe, 3, TAIL_TURNS)
    newest = Newest(documents)
    found: list[Record] = []
    page = await newest.page(ALICE, everything, 4, Place())
    while page.next is not None:
        found += page.records
        await talked(scribe, 5, 2, "later")
        page = await newest.page(ALICE, everything, 4, page.next)
    found += page.records
    assert set(ids) <= {one.id for one in found}


async def test_a_deleted_message_is_on_no_page_and_pages_go_on_behind_it(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    ids = sorted(await talked(scribe, 1, 3))
    newest = Newest(documents)
    page = await newest.page(ALICE, everything, 2, Place())
    assert [one.id for one in page.records] == [ids[5], ids[4]]
    edits = Edits(documents, Random(1), len)
    for id in (ids[4], ids[2]):  # one that the page ended with, one that was to come
        await edits.delete(ALICE, id)
    assert page.next is not None
    later = await newest.page(ALICE, everything, 9, page.next)
    assert [one.id for one in later.records] == [ids[3], ids[1], ids[0]]


async def test_nothing_is_left_after_an_erasure(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talked(scribe, 2, TAIL_TURNS + 2)
    erasure = Erasure(documents, LexicalRanker(0.0), lambda: NOON, 0)
    await erasure.erase(ALICE)
    assert await paged(Newest(documents)) == []
    assert await documents.list(f"{owner_path(ALICE)}/segments") == []


@sqlite_only
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 30)), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(0, 1_000_000),
)
async def test_whatever_was_said_is_paged_once(
    documents: MeteredDocuments, runs: list[tuple[int, int]], limit: int, seed: int
) -> None:
    owner = f"key:{seed}-{limit}-{hash(tuple(runs))}"
    scribe = Scribe(documents, owner=owner, seed=seed)
    ids = set()
    for session, count in runs:
        for n in range(count):
            turn = scribe.turn(f"{n} " + "x" * Random(seed + n).randrange(9_000))
            await scribe.append(f"s{session}", *turn)
            ids |= {one.id for one in turn}
    found = [one.id for one in await paged(Newest(documents), limit, owner=owner)]
    assert (len(found), set(found)) == (len(ids), ids)
