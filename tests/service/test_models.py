"""`/v1/models`: the upstream's list, asked for once, whatever becomes of the upstream."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from support.service import serving
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

MODEL = {"id": "org/big:free", "object": "model", "created": 1, "owned_by": "x", "context": 8}
LIST = Answer.json({"object": "list", "data": [MODEL]})


@pytest.fixture
def newcomer(upstream: LoopbackUpstream, tmp_path: Path) -> Iterator[httpx.Client]:
    """A service that has not asked for models yet."""
    with (
        serving(tmp_path, UPSTREAM_BASE=upstream.origin, UPSTREAM_API_KEY="upstream-key") as one,
        httpx.Client(base_url=one.url, timeout=20, trust_env=False) as client,
    ):
        client.headers["x-api-key"] = "sk-alice"
        yield client


def test_the_upstreams_list_is_asked_for_once(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(LIST, path="models")
    for _ in range(2):
        assert newcomer.get("/v1/models").json() == {"object": "list", "data": [MODEL]}
    assert newcomer.get("/v1/models/org/big:free").json() == MODEL
    assert newcomer.get("/v1/models/org%2Fbig:free").json() == MODEL
    assert newcomer.get("/v1/models/org").json()["error"]["code"] == "model_not_found"
    (asked,) = upstream.requests
    assert (asked.method, asked.path, asked.body) == ("GET", "/v1/models", b"")
    assert asked.headers["authorization"] == "Bearer upstream-key"
    assert "x-api-key" not in asked.headers


def test_a_list_that_could_not_be_had_is_an_error_and_asked_for_again(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    failures = [
        Answer.error(500, "Boom.", "server_error"),
        Answer.html(200),
        Answer.json({"data": "none"}),
        Answer.json([]),
        Answer.hang_up(),
    ]
    upstream.queue(*failures, LIST, path="models")
    for _ in failures:
        answer = newcomer.get("/v1/models")
        assert answer.status_code == 502
        assert answer.json()["error"]["type"] == "upstream_error"
    assert newcomer.get("/v1/models").json()["data"] == [MODEL]


def test_models_are_only_for_those_who_sign_in(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    for path in ("/v1/models", "/v1/models/m"):
        assert newcomer.get(path, headers={"x-api-key": "sk-nobody"}).status_code == 401
    assert upstream.requests == []


SMALL = {
    "id": "small",
    "object": "model",
    "created": 1,
    "owned_by": "x",
    "context_length": 100,
    "pricing": {"prompt": "0.000002", "completion": "0.000008"},
}
FITS = "word " * 40
TOO_LONG = "word " * 200


def chat(client: httpx.Client, text: str, **headers: str) -> httpx.Response:
    body = {"model": "small", "messages": [{"role": "user", "content": text}]}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def test_what_cannot_fit_is_refused_before_it_is_sent(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json({"object": "list", "data": [SMALL]}), path="models")
    newcomer.get("/v1/models").raise_for_status()
    client = openai.OpenAI(base_url=f"{newcomer.base_url}/v1", api_key="sk-alice", max_retries=0)
    with pytest.raises(
        openai.BadRequestError, match="maximum context length is 100 tokens"
    ) as told:
        client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": TOO_LONG}]
        )
    assert told.value.code == "context_length_exceeded"
    assert len(upstream.requests) == 1
    assert chat(newcomer, TOO_LONG, **{"x-memory": "off"}).status_code == 200  # its to refuse


def test_a_prompt_that_fits_without_memories_goes_without_them(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json({"object": "list", "data": [SMALL]}), path="models")
    newcomer.get("/v1/models").raise_for_status()
    note = {"content": f"My zyxonite dog {FITS}"}
    newcomer.post("/v1/messages", json=note).raise_for_status()
    answer = chat(newcomer, f"zyxonite dog? {FITS}").raise_for_status()
    assert answer.headers["x-memory-retriever"] == "none; reason=context-length"
    assert len(upstream.requests[-1].json["messages"]) == 1


def test_the_upstreams_own_prices_are_told_in_money(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json({"object": "list", "data": [SMALL]}), path="models")
    assert "x-cost-after-usd" not in chat(newcomer, "Hello").headers
    newcomer.get("/v1/models").raise_for_status()
    answer = chat(newcomer, "Hello").raise_for_status()
    tokens = int(answer.headers["x-tokens-after"])
    assert float(answer.headers["x-cost-after-usd"]) == pytest.approx(tokens * 2e-6)
    receipt = newcomer.get(f"/v1/memory/receipts/{answer.headers['x-memory-receipt']}").json()
    assert receipt["money_usd"]["completion"] == pytest.approx(7 * 8e-6)
