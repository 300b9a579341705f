"""Money: savings are net of the upstream's cache, and no cut is made that would cost more."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.chats import Json, Person, assistant, sent, user
from support.service import serving
from support.upstream import Answer, LoopbackUpstream, completion, usage

pytestmark = pytest.mark.service

TURNS = 24


@pytest.fixture(scope="module")
def priced(folder: Path, running_upstream: LoopbackUpstream) -> Iterator[httpx.Client]:
    settings = {
        "PRICE_PROMPT_PER_MILLION": "2.0",
        "PRICE_CACHED_PROMPT_PER_MILLION": "0.2",
        "PRICE_COMPLETION_PER_MILLION": "8.0",
        "MEMORY_COMPRESS_ABOVE_TOKENS": "300",
        "MEMORY_TOKEN_BUDGET": "200",
        "STORE_URL": f"sqlite:///{folder / 'priced.db'}",
    }
    with (
        serving(folder, UPSTREAM_BASE=running_upstream.base_url, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client


def conversation() -> list[Json]:
    turns = [
        (user(f"Question {n} " + "word " * 20), assistant(f"Answer {n}")) for n in range(TURNS)
    ]
    return [message for turn in turns for message in turn]


def answer(prompt: int, cached: int) -> Answer:
    return Answer.json({**completion("Fine."), "usage": usage(prompt, 5, cached)})


def test_a_prompt_whose_cached_prefix_is_worth_more_than_the_cut_is_left_alone(
    priced: httpx.Client, upstream: LoopbackUpstream
) -> None:
    alice, history = Person(priced, {"x-api-key": "sk-alice"}), conversation()
    upstream.queue(answer(600, 0))
    alice.ask(*history[:16], user("And?"), session="kept").raise_for_status()
    told = [*history[:16], user("And?"), assistant("Fine.")]
    assert len(sent(upstream)) < len(told)  # nothing was cached yet: old turns are cut

    bob = Person(priced, {"x-api-key": "sk-bob"})
    upstream.queue(answer(300, 290))
    bob.ask(*history[:4], user("And?"), session="kept").raise_for_status()
    told = [*history[:4], user("And?"), assistant("Fine."), *history[4:20], user("So?")]
    upstream.queue(answer(600, 290))
    kept = bob.ask(*told, session="kept").raise_for_status()
    assert sent(upstream)[: len(told) - 1] == told[:-1]
    assert float(kept.headers["x-cost-before-usd"]) == float(kept.headers["x-cost-after-usd"])


def test_a_receipt_states_money_net_of_the_upstreams_cache(
    priced: httpx.Client, upstream: LoopbackUpstream
) -> None:
    alice = Person(priced, {"x-api-key": "sk-alice"})
    upstream.queue(answer(1_000, 400))
    asked = alice.ask(user("What does it cost?"), session="priced").raise_for_status()
    receipt = alice.get(f"/v1/memory/receipts/{asked.headers['x-memory-receipt']}").json()
    money = receipt["money_usd"]
    assert money["after"] == pytest.approx((600 * 2.0 + 400 * 0.2) / 1_000_000)
    assert money["completion"] == pytest.approx(5 * 8.0 / 1_000_000)
    assert money["saved"] == pytest.approx(money["before"] - money["after"])
