"""The files that hold the contract still, on this side of it: the server reads these requests and
writes these answers. The gateway's tests use the same files, so that either can be deployed alone.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from retriever.errors import DeadlinePassed, Loading, Overloaded, RetrieverError
from retriever.serving.arrival import Arrival, Ranker
from retriever.serving.serve import serve_arrival
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
from support.rankers import WordRanker

GOLDEN = Path(__file__).parents[1] / "retriever_contract" / "golden"
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in GOLDEN.glob("*.json")}


class GoldenRanker:
    """Answers what the files say, and keeps what it was asked."""

    def __init__(self, answer: str = "rank_answer") -> None:
        self.asked: list[RankRequest | PrefillRequest | ForgetRequest] = []
        self._answer = answer

    async def rank(self, request: RankRequest) -> RankAnswer:
        self.asked.append(request)
        return RankAnswer.model_validate_json(TEXTS[self._answer])

    def prefill(self, request: PrefillRequest) -> PrefillAnswer:
        self.asked.append(request)
        return PrefillAnswer.model_validate_json(TEXTS["prefill_answer"])

    async def forget(self, request: ForgetRequest) -> ForgetAnswer:
        self.asked.append(request)
        return ForgetAnswer.model_validate_json(TEXTS["forget_answer"])

    def health(self) -> Health:
        return Health.model_validate_json(TEXTS["health_ready"])

    def close(self) -> None:
        """Nothing is open."""


class FailingRanker(WordRanker):
    def __init__(self, error: RetrieverError) -> None:
        super().__init__()
        self._error = error

    async def rank(self, request: RankRequest) -> RankAnswer:
        raise self._error


def client_of(ranker: Ranker) -> httpx.AsyncClient:
    arrival = Arrival(lambda: ranker)
    arrival.load()
    transport = httpx.ASGITransport(serve_arrival(arrival))
    return httpx.AsyncClient(transport=transport, base_url="http://retriever")


def golden(name: str) -> Any:
    return json.loads(TEXTS[name])


@pytest.mark.parametrize(
    ("path", "request_name", "answer_name", "status"),
    [
        ("/v1/rank", "rank_request", "rank_answer", 200),
        ("/v1/rank", "rank_request", "rank_answer_fused", 200),
        ("/v1/rank", "rank_request_beyond", "rank_answer_embedded", 200),
        ("/v1/prefill", "prefill_request", "prefill_answer", 202),
        ("/v1/forget", "forget_request", "forget_answer", 200),
    ],
)
async def test_a_request_is_read_and_an_answer_written_as_it_stands(
    path: str, request_name: str, answer_name: str, status: int
) -> None:
    ranker = GoldenRanker(answer_name)
    async with client_of(ranker) as client:
        answer = await client.post(path, content=TEXTS[request_name].encode())
    assert (answer.status_code, answer.json()) == (status, golden(answer_name))
    assert [asked.model_dump(mode="json") for asked in ranker.asked] == [golden(request_name)]


async def test_health_is_written_as_it_stands() -> None:
    async with client_of(GoldenRanker()) as client:
        answer = await client.get("/v1/health")
    assert (answer.status_code, answer.json()) == (200, golden("health_ready"))


async def test_a_model_that_is_loading_is_told_in_the_same_fields() -> None:
    arrival = Arrival(WordRanker)  # and nobody has it loaded
    transport = httpx.ASGITransport(serve_arrival(arrival))
    async with httpx.AsyncClient(transport=transport, base_url="http://retriever") as client:
        answer = await client.get("/v1/health")
    told, expected = answer.json(), golden("health_loading")
    assert answer.status_code == 503
    assert told | {"message": expected["message"]} == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Loading, "failure_loading"),
        (Overloaded, "failure_overloaded"),
        (DeadlinePassed, "failure_deadline"),
    ],
)
async def test_a_failure_is_written_as_it_stands(kind: type[RetrieverError], name: str) -> None:
    told = Failure.model_validate_json(TEXTS[name])
    async with client_of(FailingRanker(kind(told.message, told.retry_after_seconds))) as client:
        answer = await client.post("/v1/rank", content=TEXTS["rank_request"].encode())
    assert (answer.status_code, answer.json()) == (STATUSES[told.code], golden(name))


async def test_a_late_tier_says_that_it_embeds() -> None:
    told = Failure.model_validate_json(TEXTS["failure_deadline_embeds"])
    async with client_of(FailingRanker(DeadlinePassed(told.message, embeds=True))) as client:
        answer = await client.post("/v1/rank", content=TEXTS["rank_request"].encode())
    assert answer.json() == golden("failure_deadline_embeds")
