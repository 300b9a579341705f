"""The wire as files: the gateway writes these requests and reads these answers, the same JSON that
the GPU tier's own tests read and write. A change here is a change of the contract."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.retrieval.base import Forgotten, Passage, Question
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.tier import Tier
from gateway.upstream.openai import make_client
from retrieval.passages import chunk
from retriever_contract.wire import (
    STATUSES,
    Failure,
    ForgetAnswer,
    ForgetRequest,
    Health,
    PrefillAnswer,
    PrefillRequest,
    RankAnswer,
    RankRequest,
)
from support.upstream import Answer, LoopbackUpstream

GOLDEN = Path(__file__).parent / "golden"
MODELS: dict[str, type[BaseModel]] = {
    "rank_request": RankRequest,
    "rank_answer": RankAnswer,
    "rank_answer_fused": RankAnswer,
    "rank_request_beyond": RankRequest,
    "rank_answer_embedded": RankAnswer,
    "prefill_request": PrefillRequest,
    "prefill_answer": PrefillAnswer,
    "forget_request": ForgetRequest,
    "forget_answer": ForgetAnswer,
    "failure_loading": Failure,
    "failure_overloaded": Failure,
    "failure_deadline": Failure,
    "failure_deadline_embeds": Failure,
    "health_ready": Health,
    "health_loading": Health,
}

OWNER = "google:alice@example.test"
MAY_8 = 1_683_540_000.0
SAID = (
    Passage("m1gvtkd8010000001", "s", "user", "Our boat is called Vega.", 12, MAY_8),
    Passage("m1gvtkd8010000002", "s", "assistant", "A fine name for a boat!", 12, MAY_8 + 1),
    Passage("m1gvtkd8010000003", "s", "user", "She sleeps four. ⛵", 12, MAY_8 + 60),
)
QUESTION = Question("What is our boat called?", [LexicalIndex([chunk(*SAID)])], OWNER, epoch=2)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def tier() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
async def ranker(tier: LoopbackUpstream) -> AsyncIterator[RemoteRanker]:
    options = RemoteOptions(window_tokens=64, small_tokens=0)
    async with make_client() as client:
        yield RemoteRanker(Tier(tier.origin, client), options, lambda: 100.0)


def test_every_file_is_of_the_contract_and_the_contract_writes_it_so() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == MODELS.keys()
    for name, model in MODELS.items():
        text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
        assert json.loads(model.model_validate_json(text).model_dump_json()) == json.loads(text)


@pytest.mark.parametrize("answer", ["rank_answer", "rank_answer_fused", "rank_answer_embedded"])
async def test_the_gateway_asks_so_and_understands_the_answer(
    ranker: RemoteRanker, tier: LoopbackUpstream, answer: str
) -> None:
    tier.default = Answer.json(golden(answer))
    ranking = await ranker.rank(QUESTION)
    assert tier.requests[0].path == "/v1/rank"
    assert tier.requests[0].json == golden("rank_request")
    assert ranking.retriever == "gpu"
    (scored,) = ranking.scored
    best = max(zip(scored.passage_scores, SAID, strict=True), key=lambda pair: pair[0])[1]
    assert best.id == "m1gvtkd8010000001"
    assert ranking.ranks[SAID[2].id]["gpu"] == 3


async def test_the_gateway_reads_ahead_so(ranker: RemoteRanker, tier: LoopbackUpstream) -> None:
    tier.default = Answer.json(golden("prefill_answer"), 202)
    await ranker.prefill(OWNER, 2, SAID)
    assert tier.requests[0].path == "/v1/prefill"
    assert tier.requests[0].json == golden("prefill_request")
    assert ranker.outcomes == {"prefill": 1}


async def test_the_gateway_has_an_owner_forgotten_so(
    ranker: RemoteRanker, tier: LoopbackUpstream
) -> None:
    tier.default = Answer.json(golden("forget_answer"))
    forgotten = await ranker.forget(OWNER, 3)
    assert forgotten == Forgotten(True, golden("forget_answer")["horizon_seconds"])
    assert tier.requests[0].path == "/v1/forget"
    assert tier.requests[0].json == golden("forget_request")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failure_loading", "loading"),
        ("failure_overloaded", "overloaded"),
        ("failure_deadline", "timeout"),
        ("failure_deadline_embeds", "timeout"),
    ],
)
async def test_the_gateway_understands_a_failure(
    ranker: RemoteRanker, tier: LoopbackUpstream, name: str, reason: str
) -> None:
    told = Failure.model_validate(golden(name))
    tier.default = Answer.json(golden(name), STATUSES[told.code])
    assert (await ranker.rank(QUESTION)).retriever == f"lexical; reason={reason}"
