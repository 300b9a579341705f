"""`/v1/embeddings` through the gateway: byte for byte, counted, and remembered nowhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.service import serving
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

PATH = "embeddings"
VECTOR = [0.25, -0.5]
ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}],
    "model": "e",
    "usage": {"prompt_tokens": 90, "total_tokens": 90},
}
FINE = Answer.json(ANSWER, headers={"x-request-id": "up-1", "set-cookie": "a=b"})


@pytest.fixture
def limited(upstream: LoopbackUpstream, tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        serving(
            tmp_path,
            UPSTREAM_BASE=upstream.base_url,
            UPSTREAM_API_KEY="upstream-key",
            TOKENS_PER_MINUTE="100",
            PRICE_PROMPT_PER_MILLION="20",
            DAILY_COST_BUDGET_USD="0.002",
        ) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        client.headers["x-api-key"] = "sk-alice"
        yield client


def test_the_official_client_gets_its_vectors(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream
) -> None:
    upstream.queue(FINE, path=PATH)
    token = person["authorization"].removeprefix("Bearer ")
    client = openai.OpenAI(base_url=f"{http.base_url}/v1", api_key=token, max_retries=0)
    told = client.embeddings.create(model="e", input=["a", "b"], encoding_format="float")
    assert told.data[0].embedding == VECTOR
    assert told.usage.total_tokens == 90


def test_the_request_arrives_byte_for_byte_and_so_does_the_answer(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream
) -> None:
    upstream.queue(FINE, path=PATH)
    body = b'{ "model":"e",\n"input" : "My address is ada@example.com", "x": 12345678901234567890 }'
    answer = http.post("/v1/embeddings", content=body, headers=person)
    assert (answer.status_code, answer.content) == (200, FINE.body)
    assert answer.headers["x-memory-status"] == "off"
    assert answer.headers["x-upstream-request-id"] == "up-1"
    assert "set-cookie" not in answer.headers
    (arrived,) = upstream.requests
    assert (arrived.path, arrived.body) == ("/v1/embeddings", body)
    assert arrived.headers["authorization"] == "Bearer upstream-key"
    assert http.get("/v1/sessions", headers=person).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": "", "input": "a"}, "model"),
        ({"model": "x" * 257, "input": "a"}, "model"),
        ({"model": "e"}, "input"),
        ({"model": "e", "input": []}, "input"),
        ({"model": "e", "input": 7}, "input"),
        ({"model": "e", "input": [True]}, "input"),
        ({"model": "e", "input": [[]]}, "input"),
        ({"model": "e", "input": [["a"]]}, "input"),
        ({"model": "e", "input": {"a": 1}}, "input"),
        ({"model": "e", "input": [1] * 20_001}, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_request_is_refused(
    http: httpx.Client,
    person: dict[str, str],
    upstream: LoopbackUpstream,
    body: Any,
    param: str,
) -> None:
    answer = http.post("/v1/embeddings", json=body, headers=person)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert upstream.requests == []


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1, 2], [3]], ["a", [1]]])
def test_every_kind_of_input_passes(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream, given: Any
) -> None:
    upstream.queue(FINE, path=PATH)
    body = {"model": "e", "input": given}
    assert http.post("/v1/embeddings", json=body, headers=person).status_code == 200
    assert json.loads(upstream.requests[-1].body) == body


def test_its_tokens_count_as_the_upstream_says(
    limited: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(FINE, path=PATH)
    small = {"model": "e", "input": "a few words"}
    assert limited.post("/v1/embeddings", json=small).status_code == 200
    refused = limited.post("/v1/embeddings", json={"model": "e", "input": [7] * 50})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    too_large = limited.post("/v1/embeddings", json={"model": "e", "input": [7] * 101})
    assert too_large.status_code == 413
    assert len(upstream.requests) == 1


def test_an_upstreams_error_costs_no_tokens_and_comes_as_it_is(
    limited: httpx.Client, upstream: LoopbackUpstream
) -> None:
    error = Answer.error(404, "No such model.", "model_not_found")
    upstream.queue(error, Answer.hang_up(), Answer(302, {"location": "http://x.test"}), path=PATH)
    body = {"model": "e", "input": [7] * 90}
    answers = [limited.post("/v1/embeddings", json=body) for _ in range(3)]
    assert [one.status_code for one in answers] == [404, 502, 502]
    assert answers[0].content == error.body


def test_they_cost_money_of_the_budget(limited: httpx.Client, upstream: LoopbackUpstream) -> None:
    upstream.queue(FINE, path=PATH)
    first = limited.post("/v1/embeddings", json={"model": "e", "input": "a few words"})
    assert first.status_code == 200
    used = limited.get("/v1/usage?days=1").raise_for_status().json()
    assert used["totals"]["cost_usd"] == pytest.approx(90 * 20 / 1e6)
    assert used["limits"]["daily_cost_budget_usd"]["remaining"] == pytest.approx(0.0002)
    refused = limited.post("/v1/embeddings", json={"model": "e", "input": [7] * 11})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    passed = limited.post("/v1/embeddings", json={"model": "e", "input": [7] * 5})
    assert passed.headers["x-budget-warning"] == "daily_cost_usd 95%"
    assert len(upstream.requests) == 2
