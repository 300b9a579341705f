"""What a search finds, by whom it is ranked, what it reads, and what may happen meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.documents.base import Document, Documents, StoreUnavailable, Update
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested
from gateway.memory.edits import Edits
from gateway.memory.heads import Owner
from gateway.memory.recall import IndexCache
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import OPEN_SESSIONS, SEGMENT_BYTES, TAIL_TURNS
from gateway.portability.erasure import Erasure
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from gateway.retrieval.base import Forgotten, Passage, Question, Ranking, Scale, Scored
from gateway.retrieval.lexical import LexicalRanker
from gateway.search import library as shelves
from gateway.search.library import Library
from gateway.search.scoring import Weights
from gateway.search.search import Found, Search, Valued, Wanted
from support.memories import ALICE, BOB, NOON, Scribe
from support.stores import sqlite_only

MEGABYTE = 1_000_000
DOG = "My borzoi is called Anastasia"
ASKED = "What is my borzoi called?"


class Attentive:
    """Ranks as a model would that attends to `words` alone, and sees only what it is `shown`."""

    def __init__(self, *words: str, shown: Callable[[Passage], bool] = lambda _: True) -> None:
        self._words = words
        self._shown = shown
        self.asked: list[Question] = []

    async def rank(self, question: Question) -> Ranking:
        self.asked.append(question)
        chunks = [chunk for index in question.indexes for chunk in index.chunks]
        scored = [
            Scored(chunk, max(scores), scores, place)
            for place, chunk in enumerate(chunks)
            if max(scores := tuple(map(self._score, chunk.passages))) > 0
        ]
        ids = [each.id for one in scored for each in one.chunk.passages]
        ranks = {id: {"gpu": n} for n, id in enumerate(ids, start=1)}
        return Ranking(sorted(scored, key=lambda one: -one.score), "gpu", Scale(0.0), ranks=ranks)

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        raise AssertionError("a search reads nothing ahead")

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        raise AssertionError("a search forgets nothing")

    def _score(self, passage: Passage) -> float:
        held = sum(word in passage.text for word in self._words)
        return held / len(self._words) if self._words and self._shown(passage) else 0.0


def searching(
    documents: Documents, scribe: Scribe, ranker: Any = None, cache_bytes: int = MEGABYTE
) -> Search:
    library = Library(documents, IndexCache(cache_bytes))
    return Search(library, ranker or LexicalRanker(), Weights(), scribe.clock)


@pytest.fixture
def search(documents: MeteredDocuments, scribe: Scribe) -> Search:
    return searching(documents, scribe)


def texts(found: Found) -> list[str]:
    return [hit.passage.text for hit in found.hits]


async def chatter(scribe: Scribe, session: str, turns: int, words: str = "") -> None:
    for n in range(turns):
        text = f"walk number {n} of {session} in the rain {words}"
        await scribe.append(session, *scribe.turn(text, "I see."))


async def segments(documents: Documents) -> int:
    return len(Owner.of((await documents.get(owner_path(ALICE)))[0]).segments)


async def test_an_empty_memory_has_nothing(search: Search) -> None:
    found = await search.find(ALICE, Wanted(ASKED))
    assert (found.hits, found.searched, found.relevant) == ((), 0, False)
    assert found.retriever == "none; reason=no-memory"


async def test_it_is_found_in_a_tail_and_in_a_segment(scribe: Scribe, search: Search) -> None:
    await scribe.append("dogs", *scribe.turn(DOG))
    await chatter(scribe, "walks", 5)
    first = await search.find(ALICE, Wanted(ASKED))
    assert texts(first)[0] == DOG
    for n in range(OPEN_SESSIONS):
        await chatter(scribe, f"s{n}", TAIL_TURNS + 2)
    later = await search.find(ALICE, Wanted(ASKED))
    assert texts(later)[0] == DOG
    assert [hit.session for hit in later.hits if hit.passage.text == DOG] == ["dogs"]
    assert (later.retriever, later.relevant) == ("lexical; reason=configured", True)
    assert later.searched == 2 * (1 + 5 + OPEN_SESSIONS * (TAIL_TURNS + 2))


async def test_what_was_stored_a_moment_ago_is_found_by_every_instance(
    scribe: Scribe, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    here, there = searching(documents, scribe), searching(another, scribe)
    await chatter(scribe, "walks", 2)
    for n in range(2 * TAIL_TURNS):
        word = f"zyxonite{n}"
        await scribe.append("dogs", *scribe.turn(f"My {word} sleeps", "Noted."))
        for one in (here, there):
            assert texts(await one.find(ALICE, Wanted(word)))[0] == f"My {word} sleeps"
        assert texts(await there.find(ALICE, Wanted("zyxonite0")))[0] == "My zyxonite0 sleeps"


async def test_what_was_edited_or_deleted_is_not_found_by_any_instance(
    scribe: Scribe, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    here, there = searching(documents, scribe), searching(another, scribe)
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    told, other = scribe.turn(DOG)[0], scribe.turn("The vet is called Anastasia too")[0]
    await scribe.append("dogs", told, other)
    await chatter(scribe, "dogs", TAIL_TURNS + 1)
    for one in (here, there):
        assert {DOG, other.content} <= set(texts(await one.find(ALICE, Wanted("Anastasia"))))
    await edits.edit(ALICE, other.id, content="The vet is called Igor")
    await edits.delete(ALICE, told.id)
    for one in (here, there):
        found = await one.find(ALICE, Wanted("Anastasia"))
        assert not any("Anastasia" in text for text in texts(found))


async def test_every_hit_is_deletable_by_its_id(
    scribe: Scribe, search: Search, documents: MeteredDocuments
) -> None:
    edits = Edits(documents, Random(3), lambda text: len(text.split()))
    for n in range(3):
        await chatter(scribe, f"s{n}", 20, "with the borzoi")
    while hits := (await search.find(ALICE, Wanted("borzoi", top_k=50))).hits:
        for hit in hits:
            await edits.delete(ALICE, hit.passage.id)
    assert (await search.find(ALICE, Wanted("rain"))).hits == []


async def test_somebody_elses_memory_is_not_searched(
    scribe: Scribe, search: Search, documents: MeteredDocuments
) -> None:
    other = Scribe(documents, owner=BOB)
    await other.append("dogs", *other.turn(DOG))
    await scribe.append("dogs", *scribe.turn("Nothing of note"))
    assert texts(await search.find(ALICE, Wanted(ASKED))) == []
    assert texts(await search.find(ALICE, Wanted(ASKED, session="dogs"))) == []


@pytest.mark.parametrize("ranker", [LexicalRanker(), Attentive("borzoi")])
async def test_filters_admit_what_is_wanted_alone(
    ranker: Any, scribe: Scribe, documents: MeteredDocuments
) -> None:
    search = searching(documents, scribe, ranker)
    await scribe.append("dogs", *scribe.turn("the borzoi is one", "one borzoi noted"))
    await scribe.append("cats", *scribe.turn("the borzoi is two", "two borzoi noted"))
    by_session = await search.find(ALICE, Wanted("borzoi", session="cats"))
    assert sorted(texts(by_session)) == ["the borzoi is two", "two borzoi noted"]
    by_role = await search.find(ALICE, Wanted("borzoi", role="assistant"))
    assert sorted(texts(by_role)) == ["one borzoi noted", "two borzoi noted"]
    since = await search.find(ALICE, Wanted("borzoi", since=NOON + 2))
    assert sorted(texts(since)) == ["the borzoi is two", "two borzoi noted"]
    until = await search.find(ALICE, Wanted("borzoi", until=NOON + 2))
    assert sorted(texts(until)) == ["one borzoi noted", "the borzoi is one"]
    assert texts(await search.find(ALICE, Wanted("borzoi", session="nowhere"))) == []


@sqlite_only
async def test_a_narrow_filter_finds_behind_hundreds_of_better_matches(
    scribe: Scribe, search: Search
) -> None:
    records = []
    for _ in range(400):
        records += scribe.turn("borzoi", "borzoi")
    await scribe.append("noise", *records)
    told = replace(scribe.turn("and later on we met a borzoi by the river")[0], role="tool")
    await scribe.append("noise", told)
    found = await search.find(ALICE, Wanted("borzoi", role="tool"))
    assert texts(found) == [told.content]


async def test_importance_keeps_out_what_matters_less(scribe: Scribe, search: Search) -> None:
    plain, pinned, given = (scribe.turn(f"the borzoi {n}")[0] for n in range(3))
    await scribe.append(
        "dogs",
        plain,
        replace(pinned, pin=True),
        replace(given, metadata={"importance_override": 0.9}),
    )
    found = await search.find(ALICE, Wanted("borzoi", importance_min=0.85))
    assert {hit.passage.text: hit.importance.reason for hit in found.hits} == {
        pinned.content: "pinned",
        given.content: "override",
    }
    assert texts(await search.find(ALICE, Wanted("borzoi", importance_min=1))) == [pinned.content]


async def test_uses_make_a_message_matter_more(scribe: Scribe, search: Search) -> None:
    told = scribe.turn("the borzoi sleeps")[0]
    await scribe.append("dogs", told)
    scribe.clock.now += 60 * DAY_SECONDS
    before = (await search.find(ALICE, Wanted("borzoi"))).hits[0]
    assert before.uses == 0
    asked = replace(scribe.turn("And now?")[0], receipt=receipt(told, scribe.clock()))
    await scribe.append("other", asked)
    after = (await search.find(ALICE, Wanted("borzoi"))).hits[0]
    assert (after.passage.id, after.uses) == (told.id, 1)
    assert after.importance.value > before.importance.value
    assert after.score > before.score
    assert await search.importances(ALICE, [told]) == [Valued(after.importance, after.uses)]


def receipt(used: Record, at: float) -> dict[str, Any]:
    return {"id": "r" + used.id[1:], "created_at": at, "lines": [{"id": used.id}]}


async def test_the_ranker_is_asked_for_the_whole_memory_whatever_the_filter(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    """What it keeps of a memory is good for every search, and only the filters differ."""
    ranker = Attentive("borzoi")
    search = searching(documents, scribe, ranker)
    await scribe.append("dogs", *scribe.turn("the borzoi is one", "one borzoi noted"))
    await search.find(ALICE, Wanted("borzoi"))
    await search.find(ALICE, Wanted("borzoi", role="user"))
    every, users = ranker.asked
    assert [one.chunks for one in every.indexes] == [one.chunks for one in users.indexes]
    said = [each for one in users.indexes for chunk in one.chunks for each in chunk.passages]
    assert [users.in_hand(one) for one in said] == [False, True]
    assert users.owner == ALICE


async def test_what_the_model_was_not_shown_is_found_by_its_words(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    ranker = Attentive("sleeps", shown=lambda one: "stove" in one.text)
    search = searching(documents, scribe, ranker)
    await scribe.append("dogs", *scribe.turn("she sleeps under the stove"))
    await scribe.append("cats", *scribe.turn("the borzoi sleeps outside"))
    found = await search.find(ALICE, Wanted("where does the borzoi sleeps"))
    assert texts(found)[:2] == ["she sleeps under the stove", "the borzoi sleeps outside"]
    assert found.retriever == "gpu"
    assert [dict(hit.ranks) for hit in found.hits[:2]] == [{"gpu": 1}, {}]
    assert [hit.parts.relevance for hit in found.hits[:2]] == [1, 0.5]


async def test_a_model_that_finds_nothing_leaves_the_field_to_words(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    search = searching(documents, scribe, Attentive())
    await scribe.append("dogs", *scribe.turn(DOG))
    found = await search.find(ALICE, Wanted("borzoi"))
    assert texts(found)[0] == DOG
    assert (found.retriever, found.relevant) == ("lexical; reason=below-floor", False)


@pytest.mark.parametrize("query", ["???", "\x00", "的", "𝔘𝔫𝔦", "a" * 10_000, "'; DROP TABLE x"])
async def test_an_odd_query_finds_nothing_and_breaks_nothing(
    query: str, scribe: Scribe, search: Search
) -> None:
    await scribe.append("dogs", *scribe.turn(DOG))
    assert texts(await search.find(ALICE, Wanted(query))) == []


async def test_what_left_the_branch_or_its_time_is_not_found(
    scribe: Scribe, search: Search
) -> None:
    ending, forked, system = (scribe.turn(f"the borzoi {n}")[0] for n in range(3))
    await scribe.append(
        "dogs",
        replace(ending, expires_at=scribe.clock() + 5),
        replace(forked, state="forked"),
        replace(system, role="system"),
    )
    assert texts(await search.find(ALICE, Wanted("borzoi"))) == [ending.content]
    scribe.clock.now += 5
    assert texts(await search.find(ALICE, Wanted("borzoi"))) == []


async def test_the_archive_is_searched_when_asked_for(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    await chatter(scribe, "walks", 3, "with the borzoi")
    search = searching(documents, scribe)
    scribe.clock.now = NOON + 40 * DAY_SECONDS
    await Sweep(documents, scribe.clock, Random(3), Policy(), 100.0).run()
    assert texts(await search.find(ALICE, Wanted("borzoi"))) == []
    found = await search.find(ALICE, Wanted("borzoi", include_archived=True))
    assert len([text for text in texts(found) if "borzoi" in text]) == 3
    assert all(hit.archived and hit.session == "walks" for hit in found.hits)
    scribe.clock.now += 90 * DAY_SECONDS
    assert texts(await search.find(ALICE, Wanted("borzoi", include_archived=True))) == []


async def test_nothing_is_searched_while_it_is_erased_nor_found_after(
    scribe: Scribe, search: Search, documents: MeteredDocuments
) -> None:
    await chatter(scribe, "walks", TAIL_TURNS + 5)
    await search.find(ALICE, Wanted("rain"))
    root = owner_path(ALICE)
    state = Owner.of((await documents.get(root))[0])
    erasing = replace(state, erasing=True)
    await documents.commit(Update(root, erasing.packed(), str(state.version)))
    with pytest.raises(Contested):
        await search.find(ALICE, Wanted("rain"))
    await Erasure(documents, LexicalRanker(), scribe.clock, 7).erase(ALICE)
    assert (await search.find(ALICE, Wanted("rain"))).searched == 0
    await chatter(scribe, "walks", TAIL_TURNS + 5, "again")
    found = await search.find(ALICE, Wanted("rain", top_k=50))
    assert all("again" in text for text in texts(found) if "rain" in text)


class Interrupting(MeteredDocuments):
    """Does something of its own once, right before a read of a segment or a head."""

    def __init__(self, inner: Documents, before: str, act: Callable[[], Awaitable[None]]) -> None:
        super().__init__(inner)
        self._before, self._act = before, act

    async def get(self, *paths: str) -> list[Document | None]:
        if self._before and any(self._before in path for path in paths):
            self._before = ""
            await self._act()
        return await super().get(*paths)


@pytest.mark.parametrize("before", ["/sessions/", "/segments/"])
async def test_a_message_that_moves_meanwhile_is_not_missed(
    before: str, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await chatter(scribe, "walks", TAIL_TURNS + 2)
    await scribe.append("dogs", *scribe.turn(DOG))

    async def move() -> None:
        for n in range(OPEN_SESSIONS):
            await chatter(scribe, f"s{n}", 1)

    search = searching(Interrupting(documents, before, move), scribe)
    assert DOG in texts(await search.find(ALICE, Wanted(ASKED)))
    assert DOG in texts(await search.find(ALICE, Wanted(ASKED)))


@pytest.mark.parametrize("before", ["owners/", "/sessions/", "/segments/"])
async def test_a_store_that_is_away_is_told_and_found_again(
    before: str, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await chatter(scribe, "walks", TAIL_TURNS + 2)

    async def fail() -> None:
        raise StoreUnavailable

    search = searching(Interrupting(documents, before, fail), scribe)
    with pytest.raises(StoreUnavailable):
        await search.find(ALICE, Wanted("rain"))
    assert (await search.find(ALICE, Wanted("rain"))).searched == 2 * (TAIL_TURNS + 2)


async def test_searches_at_once_find_the_same(scribe: Scribe, search: Search) -> None:
    await chatter(scribe, "walks", TAIL_TURNS + 2)
    found = await asyncio.gather(*(search.find(ALICE, Wanted("rain 7")) for _ in range(8)))
    assert all(one == found[0] for one in found)


@sqlite_only
async def test_a_large_memory_is_read_within_bounds_and_says_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch, scribe: Scribe, documents: MeteredDocuments
) -> None:
    monkeypatch.setattr(shelves, "MAX_SEGMENTS", 2)
    filler = "rain " * (SEGMENT_BYTES // 5 // 4)
    for n in range(12):
        await scribe.append("walks", *scribe.turn(f"{filler} zyxonite{n}", filler))
    await chatter(scribe, "walks", TAIL_TURNS + 2)
    there = await segments(documents)
    assert there > 4
    documents.reset()
    search = searching(documents, scribe, cache_bytes=100 * MEGABYTE)
    found = await search.find(ALICE, Wanted("zyxonite3", top_k=1))
    owner_twice, head = 2, 1
    assert documents.reset().reads == owner_twice + head + 2
    assert "zyxonite3" in texts(found)[0]
    assert found.left_out.segments == there - 2
    assert found.left_out.messages > 0
    await search.find(ALICE, Wanted("zyxonite3", top_k=1))
    assert documents.reset().reads == owner_twice + head


async def test_what_a_search_reads_is_counted(
    scribe: Scribe, search: Search, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS + 2):
        await chatter(scribe, f"s{n}", 4)
    there = await segments(documents)
    documents.reset()
    await search.find(ALICE, Wanted("nowhere"))
    first = documents.reset()
    assert (first.reads, first.writes) == (2 + OPEN_SESSIONS + there, 0)
    await search.find(ALICE, Wanted("nowhere"))
    assert documents.reset().reads == 2 + OPEN_SESSIONS


async def test_a_cache_too_small_for_anything_changes_no_result(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS + 2):
        await chatter(scribe, f"s{n}", 12)
    roomy, narrow = searching(documents, scribe), searching(documents, scribe, cache_bytes=1)
    wanted = Wanted("walk number 7", top_k=20)
    expected = texts(await roomy.find(ALICE, wanted))
    assert len(expected) == 20
    assert texts(await narrow.find(ALICE, wanted)) == expected
    assert texts(await narrow.find(ALICE, wanted)) == expected


async def test_an_importance_reads_each_segment_once_and_makes_no_index(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    told = scribe.turn("the borzoi sleeps")[0]
    await scribe.append("dogs", told)
    for n in range(OPEN_SESSIONS + 2):
        await chatter(scribe, f"s{n}", 4)
    asked = replace(scribe.turn("And now?")[0], receipt=receipt(told, scribe.clock()))
    await scribe.append("other", asked)
    cache = IndexCache(MEGABYTE)
    library = Library(documents, cache)
    search = Search(library, LexicalRanker(), Weights(), scribe.clock)
    there = await segments(documents)
    documents.reset()
    valued = await search.importances(ALICE, [told])
    assert documents.reset().reads == 2 + OPEN_SESSIONS + there
    assert (valued[0].uses, library.drop(ALICE)) == (1, 0)
    await search.importances(ALICE, [told])
    assert documents.reset().reads == 2 + OPEN_SESSIONS + there
    assert await search.importances(ALICE, [told]) == valued
    assert documents.reset().reads == 2 + OPEN_SESSIONS
