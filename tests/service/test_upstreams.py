"""Several upstreams in the running service: chosen, fallen back from, priced, and never told."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.chats import Person, user
from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

BUSY = Answer.error(429, "Busy.", "rate_limit_exceeded")


@pytest.fixture(scope="module")
def first() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    folder: Path, running_upstream: LoopbackUpstream, first: LoopbackUpstream
) -> Iterator[Service]:
    prices = {"prompt": 2.0, "completion": 8.0}
    upstreams = [
        {"base": first.base_url, "key": "first-key", "models": "gpt-", "prices": prices},
        {"base": first.origin, "key": "other-key", "models": ["exact", "org/*"], "name": "other"},
    ]
    with serving(
        folder,
        UPSTREAMS=json.dumps(upstreams),
        UPSTREAM_BASE=running_upstream.base_url,
        UPSTREAM_API_KEY="upstream-key",
    ) as running:
        yield running


@pytest.fixture
def alice(http: httpx.Client, upstream: LoopbackUpstream, first: LoopbackUpstream) -> Person:
    first.requests.clear()
    return Person(http, {"x-api-key": "sk-alice"})


def keys(upstream: LoopbackUpstream) -> list[str]:
    return [one.headers["authorization"] for one in upstream.requests]


def test_the_model_chooses_upstream_and_key(
    alice: Person, upstream: LoopbackUpstream, first: LoopbackUpstream
) -> None:
    for model in ("gpt-5", "exact", "org/big", "another"):
        alice.ask(user("Hello"), model=model).raise_for_status()
    assert keys(first) == ["Bearer first-key", "Bearer other-key", "Bearer other-key"]
    assert keys(upstream) == ["Bearer upstream-key"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("memory", ["on", "off"])
def test_what_stays_busy_is_answered_by_the_one_for_everything(
    alice: Person, upstream: LoopbackUpstream, first: LoopbackUpstream, stream: bool, memory: str
) -> None:
    first.queue(BUSY, BUSY)
    answer = alice.ask(user("Hello"), memory=memory, stream=stream, model="gpt-5")
    assert answer.status_code == 200
    assert (len(first.requests), len(upstream.requests)) == (2, 1)
    assert first.requests[0].body == first.requests[1].body == upstream.requests[0].body


def test_what_nobody_answers_is_the_last_ones_refusal(
    alice: Person, upstream: LoopbackUpstream, first: LoopbackUpstream
) -> None:
    first.queue(BUSY, BUSY)
    upstream.queue(BUSY, BUSY)
    answer = alice.ask(user("Hello"), session="busy", model="gpt-5")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert alice.told_or_none("busy") == []


def test_the_list_holds_the_models_of_all(alice: Person, first: LoopbackUpstream) -> None:
    listed = Answer.json(
        {"object": "list", "data": [{"id": "gpt-5"}, {"id": "hidden"}, {"id": "exact"}]}
    )
    first.queue(listed, listed, path="models")  # two keys ask it at once, in whatever order
    told = alice.get("/v1/models").raise_for_status().json()["data"]
    assert {one["id"] for one in told} == {"gpt-5", "exact", "m", "org/other"}


def test_an_upstreams_own_prices_are_told(alice: Person) -> None:
    dear = alice.ask(user("Hello"), model="gpt-5").raise_for_status()
    tokens = int(dear.headers["x-tokens-after"])
    assert float(dear.headers["x-cost-after-usd"]) == pytest.approx(tokens * 2e-6)
    assert "x-cost-after-usd" not in alice.ask(user("Hello"), model="another").headers
