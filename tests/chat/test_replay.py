"""A conversation of 100 turns, as upstreams with prefix caching bill it.

Full history, what the gateway sends, and what it sends with a window that slides by one. Counts
alone: `tests/benchmarks/economics.py` has real conversations and more price lists.
"""

import asyncio
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.chat.compression import CompressionOptions
from gateway.chat.economics import Prices
from gateway.retrieval.base import Question, Ranking
from gateway.retrieval.lexical import LexicalRanker
from support.prefix_cache import CacheRule, Encoded
from support.replays import (
    Replay,
    Script,
    billed,
    full_history,
    made_up,
    sliding_by_one,
    through_gateway,
)

TURNS = 100
OPENAI = CacheRule(least=1024, step=128)
XAI = CacheRule(least=128, step=128)
GPT_4_1 = Prices(2.00, 0.50, 8.00)
GROK_4_5 = Prices(2.00, 0.50, 6.00)
LISTS = {"OpenAI gpt-4.1": (GPT_4_1, OPENAI), "xAI grok-4.5": (GROK_4_5, XAI)}
OPTIONS = CompressionOptions(token_budget=500, compress_above_tokens=1500, prices=GPT_4_1)


@dataclass(frozen=True, slots=True)
class Replays:
    script: Script
    encoded: Encoded
    ours: Replay
    sliding: Replay


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Replays:
    script, encoded = made_up(TURNS, 1, question_words=10, answer_words=70), Encoded()

    def played() -> Replay:
        folder = tmp_path_factory.mktemp("replay")
        return asyncio.run(through_gateway(script, OPENAI, encoded, folder, OPTIONS))

    with sliding_by_one():
        sliding = played()
    return Replays(script, encoded, played(), sliding)


@pytest.mark.parametrize("name", LISTS)
def test_ours_costs_least_at_list_prices(replays: Replays, name: str) -> None:
    prices, rule = LISTS[name]
    full = full_history(replays.script, rule, replays.encoded).dollars(prices)
    ours, sliding = (
        Replay(billed(one.prompts, rule, replays.encoded)).dollars(prices)
        for one in (replays.ours, replays.sliding)
    )
    assert ours < full
    assert ours < sliding


def test_a_window_in_blocks_finds_more_cached_than_one_that_slides(replays: Replays) -> None:
    assert replays.ours.total.cached > 2 * replays.sliding.total.cached
    assert replays.ours.total.uncached < replays.sliding.total.uncached


def test_with_a_free_cache_full_history_costs_less(replays: Replays) -> None:
    """Where ours would not be cheapest, unless it is told the prices."""
    free = Prices(2.00, 0.00, 8.00)
    full = full_history(replays.script, OPENAI, replays.encoded)
    assert full.dollars(free) < replays.ours.dollars(free)


def test_a_receipt_of_every_turn_states_what_was_billed(replays: Replays) -> None:
    stated = [receipt["money_usd"]["after"] for receipt in replays.ours.receipts]
    actual = [GPT_4_1.prompt_cost(bill.prompt, bill.cached) for bill in replays.ours.bills]
    assert stated == pytest.approx(actual, abs=1e-8)
    assert len(stated) == TURNS


def test_a_receipt_states_what_full_history_would_have_cost_within_steps_of_the_cache(
    replays: Replays,
) -> None:
    """Cached are whole steps of 128 tokens, which are the upstream's own: up to one step's discount
    is missing on a turn, and the savings stated are too small by it, never too large."""
    full = full_history(replays.script, OPENAI, replays.encoded)
    a_step = OPENAI.step * (GPT_4_1.prompt - GPT_4_1.cached_prompt) / 1_000_000
    cut = [i for i, one in enumerate(replays.ours.receipts) if one["layout"]["cut"]]
    assert len(cut) > TURNS / 2
    for i in cut:
        bill, stated = full.bills[i], replays.ours.receipts[i]["money_usd"]["before"]
        missing = GPT_4_1.prompt_cost(bill.prompt, bill.cached) - stated
        assert -1e-8 <= missing <= a_step


async def test_savings_of_every_turn_are_net_of_what_its_ranking_cost(tmp_path: Path) -> None:
    prices = Prices(2.00, 0.50, 8.00, retriever_hour=3.60)
    options = CompressionOptions(token_budget=500, compress_above_tokens=500, prices=prices)
    script = made_up(12, 1, question_words=10, answer_words=70)
    replay = await through_gateway(script, OPENAI, Encoded(), tmp_path, options, Working(0.25))
    ranked = [one["money_usd"] for one in replay.receipts if one["retriever"] == "gpu"]
    assert ranked
    assert {one["retriever"] for one in ranked} == {0.00025}
    for receipt, bill in zip(replay.receipts, replay.bills, strict=True):
        money = receipt["money_usd"]
        sent = prices.prompt_cost(bill.prompt, bill.cached)
        assert money["after"] == pytest.approx(sent + money["retriever"], abs=2e-8)
        assert money["saved"] == pytest.approx(money["before"] - money["after"], abs=2e-8)


@pytest.mark.parametrize("resends", [True, False], ids=["resent", "new alone"])
async def test_a_short_conversation_saves_nothing_and_costs_nothing(
    tmp_path: Path, *, resends: bool
) -> None:
    options = CompressionOptions(compress_above_tokens=3_000, prices=GPT_4_1)
    script = made_up(12, 1, question_words=10, answer_words=70)
    replay = await through_gateway(script, OPENAI, Encoded(), tmp_path, options, resends=resends)
    assert replay.bills == full_history(script, OPENAI, Encoded()).bills
    assert {one["money_usd"]["saved"] for one in replay.receipts} == {0.0}
    assert {float(one["x-cost-saved-usd"]) for one in replay.headers} == {0.0}


class Working(LexicalRanker):
    """Ranks by words, and says that a GPU worked on it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(0.08)
        self._seconds = seconds

    async def rank(self, question: Question) -> Ranking:
        return replace(await super().rank(question), retriever="gpu", seconds=self._seconds)


def test_turns_that_were_sent_whole_saved_nothing(replays: Replays) -> None:
    whole = [one for one in replays.ours.receipts if not one["layout"]["cut"]]
    assert whole
    assert {one["money_usd"]["saved"] for one in whole} == {0.0}


def test_headers_foretell_what_is_cached_within_two_steps(replays: Replays) -> None:
    """Before the answer: a step is cut off, and the head of a memory block may be cached too. The
    exception is the one turn on which prefixes become long enough to be cached at all."""
    prices = GPT_4_1
    off = 0
    for headers, bill in zip(replays.ours.headers, replays.ours.bills, strict=True):
        told = float(headers["x-cost-after-usd"])
        cached = (bill.prompt * prices.prompt - told * 1_000_000) / (
            prices.prompt - prices.cached_prompt
        )
        off += abs(cached - bill.cached) > 2 * OPENAI.step
    assert off <= TURNS / 10


def test_the_window_stands_still_between_two_moves(replays: Replays) -> None:
    """What a turn sends before its block begins the next turn's prompt too, five turns in six."""
    starts = [prompt[1] for prompt in replays.ours.prompts[50:]]
    moves = sum(one != following for one, following in pairwise(starts))
    assert moves == pytest.approx(len(starts) / CompressionOptions().recent_turns, abs=1)
