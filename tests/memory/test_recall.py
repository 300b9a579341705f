"""Which remembered messages are candidates, what reading them costs, and what a cache may keep."""

from dataclasses import replace
from random import Random

from gateway.documents.metered import MeteredDocuments
from gateway.memory.recall import MAX_READ, IndexCache, Recall, Scope, chunks
from gateway.memory.records import Record
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.erasure import Erasure
from gateway.retrieval.lexical import LexicalIndex, LexicalRanker
from support.memories import ALICE, BOB, NOON, Scribe, record

MEGABYTE = 1_000_000


async def recalled(
    recall: Recall, scribe: Scribe, session: str, scope: Scope = "user", query: str = "question"
) -> list[str]:
    loaded = await scribe.log.load(scribe.owner, session)
    found = await recall.candidates(scribe.owner, loaded, query, scope, scribe.clock())
    return sorted(passage.text for chunk in found.chunks for passage in chunk.passages)


def said(*texts: str, session: str = "s") -> list[Record]:
    """`u: ...`, `a: ...`, `t: ...`, `s: ...`"""
    roles = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    randomness = Random(1)
    return [record(randomness, roles[text[0]], text, session=session) for text in texts]


def test_a_chunk_is_a_question_with_its_reply() -> None:
    found = chunks(said("u: 1", "a: 1", "t: 1", "a: 2", "u: 2", "a: 3"), NOON)
    assert [[passage.text for passage in one.passages] for one in found] == [
        ["u: 1", "a: 1", "t: 1", "a: 2"],
        ["u: 2", "a: 3"],
    ]


def test_a_chunk_never_crosses_sessions() -> None:
    found = chunks([*said("u: 1"), *said("a: 1", session="another")], NOON)
    assert [len(one.passages) for one in found] == [1, 1]


def test_what_left_the_branch_is_no_candidate() -> None:
    first, second = said("u: 1", "a: 1")
    assert chunks([replace(first, state="forked"), replace(second, state="forked")], NOON) == []
    assert chunks([replace(first, expires_at=NOON - 1)], NOON) == []
    assert len(chunks([first, replace(second, state="superseded")], NOON)[0].passages) == 1


async def test_all_sessions_of_the_owner_are_candidates_open_or_sealed(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS + 3):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}", f"answer {n}"))
    other = Scribe(documents, owner=BOB)
    await other.append("s0", *other.turn("question of another"))
    recall = Recall(documents, IndexCache(MEGABYTE))
    expected = [f"{word} {n}" for word in ("answer", "question") for n in range(OPEN_SESSIONS + 3)]
    assert await recalled(recall, scribe, "s0") == expected
    assert await recalled(recall, scribe, "new") == expected


async def test_the_scope_of_a_session_is_that_session(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS + 3):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}", f"answer {n}"))
    recall = Recall(documents, IndexCache(MEGABYTE))
    assert await recalled(recall, scribe, "s1", "session") == ["answer 1", "question 1"]
    assert len(await recalled(recall, scribe, "s1", "user")) == 2 * (OPEN_SESSIONS + 3)


async def test_what_is_cached_is_not_read_again(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(3 * TAIL_TURNS):
        await scribe.append("s", *scribe.turn(f"question {n}"))
    recall = Recall(documents, IndexCache(MEGABYTE))
    loaded = await scribe.log.load(ALICE, "s")
    documents.reset()
    await recall.candidates(ALICE, loaded, "question", "user", scribe.clock())
    assert documents.reset().reads == len(loaded.owner.segments)
    await recall.candidates(ALICE, loaded, "question", "user", scribe.clock())
    assert documents.reset().reads == 0


async def test_other_open_tails_cost_a_read_each(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(OPEN_SESSIONS):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}"))
    loaded = await scribe.log.load(ALICE, "s0")
    documents.reset()
    recall = Recall(documents, IndexCache(MEGABYTE))
    await recall.candidates(ALICE, loaded, "question", "user", scribe.clock())
    assert documents.reset().reads == OPEN_SESSIONS - 1


async def test_a_deleted_session_is_no_candidate_for_a_warm_cache(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(2 * TAIL_TURNS):
        await scribe.append("gone", *scribe.turn(f"secret {n}", f"answer {n}"))
    await scribe.append("kept", *scribe.turn("question", "harmless"))
    recall = Recall(documents, IndexCache(MEGABYTE))
    assert len(await recalled(recall, scribe, "kept")) == 4 * TAIL_TURNS + 2
    await scribe.log.delete_session(ALICE, "gone")
    assert await recalled(recall, scribe, "kept") == ["harmless", "question"]


async def test_a_forked_message_in_a_segment_leaves_a_warm_cache(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    first = scribe.turn("question asked first", "first")
    await scribe.append("s", *first)
    for n in range(TAIL_TURNS):
        await scribe.append("s", *scribe.turn(f"question {n}", f"answer {n}"))
    recall = Recall(documents, IndexCache(MEGABYTE))
    assert "first" in await recalled(recall, scribe, "s")
    await scribe.append("s", *scribe.turn("now"), states={first[1].id: "forked"})
    assert "first" not in await recalled(recall, scribe, "s")


async def test_no_more_segments_are_read_than_may_be(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(3 * MAX_READ):
        await scribe.append("s", *scribe.turn(f"question {n}", "word " * 40_000))
    loaded = await scribe.log.load(ALICE, "s")
    assert len(loaded.owner.segments) > MAX_READ
    documents.reset()
    recall = Recall(documents, IndexCache(100 * MEGABYTE))
    found = await recall.candidates(ALICE, loaded, "question 3", "user", scribe.clock())
    assert documents.reset().reads <= MAX_READ
    assert found.skipped >= len(loaded.owner.segments) - MAX_READ


def test_the_cache_keeps_to_its_bytes_and_drops_the_least_used() -> None:
    records = said("u: " + "x" * 200)
    each = LexicalIndex(chunks(records, NOON)).bytes + 200
    cache = IndexCache(max_bytes=int(2.5 * each))
    for name in ("a", "b", "c"):
        cache.put((name,), records, NOON)
        cache.get(("a",), NOON)
    assert cache.get(("a",), NOON) is not None
    assert cache.get(("b",), NOON) is None
    assert cache.get(("c",), NOON) is not None


def test_a_newer_version_takes_the_place_of_an_older_one() -> None:
    cache, records = IndexCache(max_bytes=1_000_000), said("u: a lake", "u: a boat")
    cache.put(("tail", "1", ""), records[:1], NOON)
    newer = cache.put(("tail", "2", ""), records, NOON)
    assert cache.get(("tail", "1", ""), NOON) is None
    assert cache.get(("tail", "2", ""), NOON) is newer
    cache.put(("tail", "2", "of one session"), records, NOON)
    assert cache.get(("tail", "2", ""), NOON) is newer


def test_a_cached_index_ends_with_what_expires_in_it() -> None:
    cache = IndexCache(max_bytes=3_000)
    lasting, passing = said("u: 1", "u: 2")
    cache.put(("a",), [lasting, replace(passing, expires_at=NOON + 10)], NOON)
    assert cache.get(("a",), NOON + 9) is not None
    assert cache.get(("a",), NOON + 10) is None


async def test_a_segment_that_begins_anew_after_an_erasure_is_read_anew(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    recall = Recall(documents, IndexCache(100 * MEGABYTE))
    for said_before in ("the vault code is 1234", "the weather is fine"):
        await scribe.append("s", *(one for n in range(30) for one in scribe.turn(said_before)))
        loaded = await scribe.log.load(ALICE, "s")
        assert loaded.owner.segments[0].version == 1
        found = await recall.candidates(ALICE, loaded, "vault", "user", scribe.clock())
        texts = {passage.text for chunk in found.chunks for passage in chunk.passages}
        assert texts == {said_before, "Noted."}
        await Erasure(documents, LexicalRanker(), scribe.clock, backup_days=0).erase(ALICE)
