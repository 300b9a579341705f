"""A tier that embeds: what else it is sent, and what it may leave out."""

from collections.abc import Iterator

import pytest

from gateway.retrieval.base import Question
from gateway.retrieval.lexical import LexicalIndex
from retrieval.asked import OWNER, Make, texts
from retrieval.passages import monologue
from retriever_contract.wire import Failure
from support.retriever import EMBEDDING, LoopbackRetriever, beyond_of, chunks_of
from support.upstream import Answer

MANY = LexicalIndex(monologue(*(f"{i} alike" if i == 3 else f"{i} other" for i in range(9))))
FEW = {"window_tokens": 30, "max_tokens": 60}
MUCH = Question("other?", [MANY], OWNER, epoch=3)


@pytest.fixture
def embedding() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(fusion_weight=1.0, floor=0.0, embedding=EMBEDDING) as running:
        yield running


async def test_to_a_tier_that_embeds_the_rest_of_the_memory_is_named_too(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    await ranker.rank(MUCH)
    ranking = await ranker.rank(MUCH)
    first, second = embedding.asked("rank")
    assert {"beyond", "partial"}.isdisjoint(first.json)
    assert second.json["partial"] is True
    assert second.json["windows"] == first.json["windows"]
    named = [one["id"] for one in (*chunks_of(second), *beyond_of(second))]
    assert sorted(named) == [f"m{i}" for i in range(9)]
    assert texts(ranking)[0] == "3 alike"
    assert ranking.ranks["m3"]["embedding"] == 1


async def test_a_tier_without_an_embedding_is_never_sent_more(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(**FEW)
    for _ in range(2):
        await ranker.rank(MUCH)
    first, second = (one.json for one in retriever.asked("rank"))
    assert first.keys() == second.keys()
    assert "beyond" not in second


async def test_a_late_tier_that_embeds_is_named_the_rest_next_time(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    told = Failure(code="deadline", message="Scripted.", embeds=True).model_dump()
    embedding.queue(Answer.json(told, 504), path="rank")
    assert (await ranker.rank(MUCH)).retriever == "lexical; reason=timeout"
    assert (await ranker.rank(MUCH)).retriever == "gpu"
    assert beyond_of(embedding.asked("rank")[1])


async def test_a_part_of_the_scores_will_do_where_it_was_asked_for(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    await ranker.rank(MUCH)
    (asked,) = embedding.asked("rank")
    part = embedding.ranking(asked)
    rest = [f"m{i}" for i in range(9) if f"m{i}" not in {one["id"] for one in part["scores"][0]}]
    part["embedded"][0] += [{"id": one, "score": float(one == "m3")} for one in rest]
    part["scores"] = [[]]
    embedding.queue(Answer.json(part), path="rank")
    ranking = await ranker.rank(MUCH)
    assert (ranking.retriever, texts(ranking)[0]) == ("gpu", "3 alike")
    assert not any("gpu" in ranks for ranks in ranking.ranks.values())


@pytest.mark.parametrize("lie", ["other ids", "a part", "no facts", "two queries"])
async def test_likeness_of_anything_but_all_that_was_sent_is_no_answer(
    make: Make, embedding: LoopbackRetriever, lie: str
) -> None:
    ranker = make(embedding.origin)
    await ranker.rank(MUCH)
    answer = embedding.ranking(embedding.asked("rank")[0])
    if lie == "other ids":
        answer["embedded"][0][0]["id"] = "stranger"
    elif lie == "a part":
        del answer["embedded"][0][0]
    elif lie == "no facts":
        answer["facts"] = {**answer["facts"], "embedding": None}
    else:
        answer["embedded"] *= 2
    embedding.queue(Answer.json(answer), path="rank")
    assert (await ranker.rank(MUCH)).retriever == "lexical; reason=invalid-answer"
