"""Requests at once: each gets what it gets alone, with its ids, its work and its figures."""

import asyncio

import pytest

from retriever.errors import TooLarge
from support.callers import LONG, MORE, OWNERS, TEXTS, Make, scores, windows
from support.engines import prefill_request, rank_request, until
from support.readers import desk
from support.tiny_models import tiny_model


async def test_callers_at_once_get_what_each_gets_alone(make: Make) -> None:
    together, lone = make(), desk(tiny_model("llama", seed=3))
    memories = [TEXTS, LONG, TEXTS[:1], TEXTS[::-1], (*TEXTS, MORE), TEXTS[1:]]
    asked = ["where is the cat?", "who sleeps?", "", "night", "summer", "the town"]
    answers = await asyncio.gather(
        *(
            together.rank(texts, query, owner=owner)
            for texts, query, owner in zip(memories, asked, OWNERS, strict=True)
        )
    )
    for texts, query, owner, answer in zip(memories, asked, OWNERS, answers, strict=True):
        assert scores(answer) == pytest.approx(lone.rank(texts, query, owner=owner)[0], abs=1e-6)


async def test_one_owners_questions_at_once_get_what_each_gets_alone(make: Make) -> None:
    together, lone = make(), desk(tiny_model("llama", seed=3))
    asked = ["where is the cat?", "who sleeps?", "at night", "where is the cat?"]
    memories = [TEXTS, (*TEXTS, MORE), TEXTS[:2], TEXTS]
    answers = await asyncio.gather(*map(together.rank, memories, asked))
    for texts, query, answer in zip(memories, asked, answers, strict=True):
        assert scores(answer) == pytest.approx(lone.rank(texts, query)[0], abs=1e-6)


async def test_scores_come_with_the_ids_they_belong_to_and_what_they_cost(make: Make) -> None:
    desk = make()
    request = rank_request(TEXTS, "cat?", "dog?")
    answer = await desk.engine.rank(request)
    wanted = [chunk.id for window in request.windows for chunk in window.chunks]
    assert [[one.id for one in of_query] for of_query in answer.scores] == [wanted, wanted]
    assert answer.work.windows == 1
    assert answer.work.tokens == desk.reader.cache.counts.tokens_read
    assert answer.work.tokens_cached == 0


async def test_nothing_to_rank_is_answered_at_once(make: Make) -> None:
    answer = await make().rank([])
    assert answer.scores == [[]]
    assert answer.work.tokens == 0


async def test_more_text_than_the_cache_could_hold_is_refused_unread(make: Make) -> None:
    desk = make(max_bytes=100_000)
    with pytest.raises(TooLarge):
        await desk.rank(["word " * 700] * 10)
    with pytest.raises(TooLarge):
        desk.engine.prefill(prefill_request(["word " * 700] * 10))
    assert desk.engine.health().waiting == 0
    assert desk.decoder.passes == []


async def test_more_tokens_than_the_cache_could_hold_are_refused_unread(make: Make) -> None:
    """Characters are guessed at first, tokens are known when they have been counted."""
    desk = make(max_bytes=300_000)
    text = "日本語の長い文章です。" * 10
    assert len(text) * 6 // 8 * desk.reader.bytes_per_token < 300_000
    with pytest.raises(TooLarge):
        await desk.rank([f"{i} {text}" for i in range(6)])
    assert desk.decoder.passes == []
    assert desk.engine.health().waiting == 0
    assert desk.engine.health().cache is not None
    assert len(scores(await desk.rank(TEXTS[:1]))) == 1


async def test_too_large_a_memory_leaves_warm_what_was_kept(make: Make) -> None:
    desk = make(max_bytes=600_000)
    await desk.rank(TEXTS)
    with pytest.raises(TooLarge):
        await desk.rank([*TEXTS, *("日本語の長い文章です。" * 10 for _ in range(6))])
    answer = await desk.rank(TEXTS)
    assert answer.work.tokens_cached == answer.work.tokens


async def test_after_a_prefill_a_question_runs_its_own_rows_alone(make: Make) -> None:
    desk = make()
    told = desk.engine.prefill(prefill_request(LONG))
    assert told.windows == 1
    await desk.idle()
    passes = len(desk.decoder.passes)
    answer = await desk.rank(LONG, "who?")
    assert answer.work.tokens_cached == answer.work.tokens
    (own,) = desk.decoder.passes[passes:]
    assert (own.questions, own.readings, own.rows) == (1, 0, len(tail_of("who?")))


def tail_of(query: str) -> list[int]:
    return list(desk(tiny_model("llama", seed=3)).prompt.tail(query))


async def test_a_prefill_of_what_is_ready_costs_no_pass(make: Make) -> None:
    desk = make()
    await desk.rank(TEXTS)
    passes = len(desk.decoder.passes)
    desk.engine.prefill(prefill_request(TEXTS))
    await desk.idle()
    assert len(desk.decoder.passes) == passes


async def test_what_nobody_asks_for_goes_when_its_time_is_over(make: Make) -> None:
    desk = make(idle_seconds=0.5)
    await desk.rank(TEXTS)
    assert windows(desk) == 1
    desk.clock.now += 1.0
    await until(lambda: windows(desk) == 0)


async def test_health_says_what_was_done(make: Make) -> None:
    desk = make()
    cold = await desk.rank(TEXTS)
    await desk.rank(TEXTS)
    await desk.rank((*TEXTS, MORE))
    await desk.idle()
    await asyncio.to_thread(desk.engine.close)
    health = desk.engine.health()
    assert health.status == "ready"
    assert health.facts is not None
    assert health.facts.model == "tiny"
    assert health.cache is not None
    assert (health.cache.hits, health.cache.misses, health.cache.evicted) == (2, 1, 0)
    assert health.cache.tokens_cached == 2 * cold.work.tokens
    assert health.cache.tokens_read == desk.reader.cache.counts.tokens_read > cold.work.tokens
    assert 0 < health.cache.bytes <= health.cache.max_bytes
    assert health.cache.windows == 1
    assert health.waiting == 0
