"""The GPU tier's ranker against a tier on loopback: what is sent, and what becomes of answers."""

import json
import logging

import httpx
import pytest

from gateway.memory.records import owner_path
from gateway.retrieval.base import Forgotten, Passage, Question, Ranking
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.request import owner_key
from gateway.retrieval.tier import Tier
from retrieval.asked import INDEX, KEY, OWNER, QUESTION, SECRET, Clock, Make, by_words, texts
from retrieval.passages import chunk, passage
from retriever_contract.wire import MAX_QUERY_CHARACTERS
from support.retriever import (
    HORIZON_SECONDS,
    LoopbackRetriever,
    chunks_of,
    failure,
    proxy_refusal,
    texts_of,
)
from support.upstream import PATIENCE_SECONDS, Answer


async def test_the_models_order_is_used(make: Make) -> None:
    ranker = make()
    ranking = await ranker.rank(QUESTION)
    assert texts(ranking) == ["Rex likes apples."]
    assert (ranking.retriever, ranking.shortfall, ranking.warms) == ("gpu", None, True)
    assert ranking.ranks["m2"]["gpu"] == 1
    assert ranker.outcomes == {"gpu": 1}


class Ticking(Clock):
    """A second passes between any two looks at it."""

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


async def test_the_seconds_that_the_tier_worked_are_told(
    retriever: LoopbackRetriever, client: httpx.AsyncClient
) -> None:
    options = RemoteOptions(deadline_seconds=PATIENCE_SECONDS, small_tokens=0)
    ranking = await RemoteRanker(Tier(retriever.origin, client), options, Ticking()).rank(QUESTION)
    assert (ranking.retriever, ranking.seconds) == ("gpu", 0.01)


async def test_no_more_seconds_are_believed_than_have_passed(make: Make) -> None:
    ranking = await make().rank(QUESTION)  # the clock stands still
    assert (ranking.retriever, ranking.seconds) == ("gpu", 0.0)


async def test_what_a_tier_that_was_not_asked_cost_is_known(make: Make) -> None:
    assert (await make(small_tokens=10_000).rank(QUESTION)).seconds == 0.0


async def test_a_model_with_a_weight_is_fused_with_the_words(
    make: Make, retriever: LoopbackRetriever
) -> None:
    retriever.facts["fusion_weight"] = 1.0
    question = Question("Which boat?", [INDEX], OWNER)
    ranking = await make().rank(question)
    assert texts(ranking) == ["Rex likes apples.", "The boat is called Vega.", "Rent is due."]
    assert ranking.ranks["m0"] == {"lexical": 1, "gpu": 3}
    assert ranking.ranks["m2"] == {"gpu": 1}


async def test_what_is_sent_names_nobody_and_says_how_long_there_is(
    make: Make, retriever: LoopbackRetriever
) -> None:
    await make(deadline_seconds=2.0).rank(QUESTION)
    (request,) = retriever.asked("rank")
    told = request.json
    assert (told["version"], told["epoch"], told["queries"]) == (1, 3, [QUESTION.query])
    assert 1000 < told["deadline_milliseconds"] < 2000
    assert texts_of(request)[0] == "[1970-01-01] user: The boat is called Vega."
    assert [one["id"] for one in chunks_of(request)] == ["m0", "m1", "m2"]
    assert (request.headers["modal-key"], request.headers["modal-secret"]) == (KEY, SECRET)
    assert "alice" not in request.body.decode()
    assert told["owner"] == owner_key(OWNER) not in owner_path(OWNER)


async def test_two_owners_never_share_a_key() -> None:
    assert owner_key("a") != owner_key("b")


@pytest.mark.parametrize("query", ["字" * 9000 + " end", "\ud800 end"])
async def test_of_a_query_that_does_not_fit_the_end_is_sent(
    make: Make, retriever: LoopbackRetriever, query: str
) -> None:
    ranking = await make().rank(Question(query, [INDEX], OWNER))
    (sent,) = retriever.asked("rank")[0].json["queries"]
    assert ranking.retriever == "gpu"
    assert sent.endswith(" end")
    assert len(sent) <= MAX_QUERY_CHARACTERS


async def test_a_small_memory_is_left_to_the_words(
    make: Make, retriever: LoopbackRetriever
) -> None:
    tokens = sum(one.tokens for each in INDEX.chunks for one in each.passages)
    ranking = await make(small_tokens=tokens).rank(QUESTION)
    assert ranking == Ranking((await by_words()).scored, "lexical; reason=small")
    assert retriever.requests == []
    assert (await make(small_tokens=tokens - 1).rank(QUESTION)).retriever == "gpu"


async def test_one_message_that_is_too_large_is_not_sent(
    make: Make, retriever: LoopbackRetriever
) -> None:
    huge = LexicalIndex([chunk(passage("m0", "word", tokens=101))])
    ranking = await make(max_tokens=100).rank(Question("word", [huge], OWNER))
    assert (ranking.retriever, ranking.shortfall) == ("lexical; reason=too-large", "degraded")
    assert retriever.requests == []


async def test_nothing_of_what_was_sent_is_logged(
    make: Make, retriever: LoopbackRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    retriever.queue(Answer.html(200), proxy_refusal(), Answer.hang_up(), path="rank")
    ranker = make()
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            await ranker.rank(QUESTION)
    told = caplog.text + repr(ranker)
    for secret in (KEY, SECRET, "Vega", "alice", QUESTION.query):
        assert secret not in told


SAID = [Passage(f"m{i}", "s", "user", f"Remark {i}.", 40, float(i)) for i in range(5)]


async def test_the_open_window_alone_is_read_ahead(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(window_tokens=120)  # two remarks
    await ranker.prefill(OWNER, 3, SAID)
    (request,) = retriever.asked("prefill")
    assert [one["id"] for one in chunks_of(request)] == ["m4"]
    assert (request.json["owner"], request.json["epoch"]) == (owner_key(OWNER), 3)
    assert ranker.outcomes == {"prefill": 1}


async def test_what_was_read_ahead_begins_the_window_that_is_ranked_next(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(window_tokens=200)
    await ranker.prefill(OWNER, 3, SAID[:4])
    indexes = [LexicalIndex([chunk(*SAID)])]
    await ranker.rank(Question("Which remark?", indexes, OWNER, epoch=3))
    (ahead,) = retriever.asked("prefill")[0].json["windows"]
    window = retriever.asked("rank")[0].json["windows"][1]
    assert window["chunks"][: len(ahead["chunks"])] == ahead["chunks"]


@pytest.mark.parametrize("answer", [Answer.hang_up(), failure("overloaded"), Answer.html(200)])
async def test_reading_ahead_never_fails(
    make: Make, retriever: LoopbackRetriever, answer: Answer
) -> None:
    ranker = make()
    retriever.queue(answer, path="prefill")
    await ranker.prefill(OWNER, 3, SAID)
    assert [name.startswith("prefill-") for name in ranker.outcomes] == [True]


async def test_failures_that_no_answer_tells_of_are_counted_in_the_log(
    make: Make, retriever: LoopbackRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    ranker = make()
    retriever.queue(failure("overloaded"), failure("overloaded"), path="prefill")
    retriever.queue(Answer.hang_up(), path="forget")
    for _ in range(3):
        await ranker.prefill(OWNER, 3, SAID)
    await ranker.forget(OWNER, 4)
    failed = {"event": "retriever_failure", "severity": "WARNING"}
    assert [json.loads(message) for message in caplog.messages] == [
        {**failed, "call": "prefill", "reason": "overloaded", "so_far": 1},
        {**failed, "call": "prefill", "reason": "overloaded", "so_far": 2},
        {**failed, "call": "forget", "reason": "unreachable", "so_far": 1},
    ]


async def test_nothing_is_read_ahead_by_a_tier_that_is_away(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    await ranker.prefill(OWNER, 3, SAID)
    await ranker.prefill(OWNER, 3, [])
    assert retriever.asked("prefill") == []


async def test_forgetting_is_asked_for_and_confirmed(
    make: Make, retriever: LoopbackRetriever
) -> None:
    assert await make().forget(OWNER, 4) == Forgotten(True, HORIZON_SECONDS)
    asked = {"version": 1, "owner": owner_key(OWNER), "epoch": 4}
    assert retriever.asked("forget")[0].json == asked


@pytest.mark.parametrize(
    "answer",
    [
        Answer.hang_up(),
        failure("loading"),
        Answer.html(200),
        Answer(200, {}, b'{"version":1,"windows":0,"horizon_seconds":NaN}'),
        Answer.json({"version": 1, "windows": 0, "horizon_seconds": -1.0}),
    ],
)
async def test_unconfirmed_it_says_when_the_last_copy_is_gone(
    make: Make, retriever: LoopbackRetriever, answer: Answer
) -> None:
    retriever.queue(answer, path="forget")
    assert await make(cache_seconds=77.0).forget(OWNER, 4) == Forgotten(False, 77.0)
