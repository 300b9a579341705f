"""Money: the upstream's discount for cached prefixes decides what a cut is worth."""

import pytest

from gateway.chat.economics import Prices, compare

LIST = Prices(prompt=2.0, cached_prompt=0.5, completion=8.0)


def test_cached_tokens_cost_their_own_price() -> None:
    assert LIST.prompt_cost(1_000_000, 400_000) == pytest.approx(0.6 * 2.0 + 0.4 * 0.5)


def test_no_more_tokens_are_cached_than_sent() -> None:
    assert LIST.prompt_cost(1_000, 5_000) == LIST.prompt_cost(1_000, 1_000)


def test_a_cut_that_breaks_the_cache_can_cost_more() -> None:
    money = compare(
        LIST, tokens_before=10_000, cached_before=9_900, tokens_after=6_000, cached_after=0
    )
    assert money.saved < 0


def test_a_cut_without_a_cache_saves_its_tokens() -> None:
    money = compare(LIST, tokens_before=10_000, cached_before=0, tokens_after=2_000, cached_after=0)
    assert money.saved == pytest.approx(8_000 * 2.0 / 1_000_000)
