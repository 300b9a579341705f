"""Money: the upstream's discount for cached prefixes decides what a cut is worth."""

import math

import pytest

from gateway.chat.economics import (
    SURELY_CACHED,
    Billed,
    Forecast,
    Prices,
    compare,
    cut_pays,
    settled,
)

LIST = Prices(prompt=2.0, cached_prompt=0.5, completion=8.0)
CUT = Forecast(before=Billed(10_000, 9_000), after=Billed(5_000, 3_000))


def test_cached_tokens_cost_their_own_price() -> None:
    assert LIST.prompt_cost(1_000_000, 400_000) == pytest.approx(0.6 * 2.0 + 0.4 * 0.5)


def test_no_more_tokens_are_cached_than_sent() -> None:
    assert LIST.prompt_cost(1_000, 5_000) == LIST.prompt_cost(1_000, 1_000)


def test_a_cut_that_breaks_the_cache_can_cost_more() -> None:
    assert compare(LIST, Forecast(Billed(10_000, 9_900), Billed(6_000, 0))).saved < 0


def test_a_cut_without_a_cache_saves_its_tokens() -> None:
    money = compare(LIST, Forecast(Billed(10_000), Billed(2_000)))
    assert money.saved == pytest.approx(8_000 * 2.0 / 1_000_000)


def test_savings_are_net_of_the_seconds_the_gpu_worked() -> None:
    prices = Prices(2.0, 0.5, 8.0, retriever_hour=3.6)
    lexical = compare(prices, CUT)
    ranked = compare(prices, Forecast(CUT.before, CUT.after, retriever_seconds=0.25))
    assert lexical.retriever == 0.0
    assert ranked.retriever == pytest.approx(0.00025)
    assert ranked.saved == pytest.approx(lexical.saved - 0.00025)


@pytest.mark.parametrize(
    ("hour", "seconds"), [(None, 0.25), (3.6, None), (None, None)], ids=["price", "work", "both"]
)
def test_what_a_ranking_cost_is_not_made_up(hour: float | None, seconds: float | None) -> None:
    prices = Prices(2.0, 0.5, 8.0, retriever_hour=hour)
    money = compare(prices, Forecast(CUT.before, CUT.after, seconds))
    assert money.retriever is None
    assert money.saved == pytest.approx(compare(LIST, CUT).saved)


def test_a_prompt_left_alone_saves_nothing_whatever_the_upstream_counts() -> None:
    same = Forecast(Billed(1_000, 900), Billed(1_000, 900))
    assert compare(LIST, settled(same, Billed(1_400, 128))).saved == 0


def test_what_was_not_sent_is_put_in_the_upstreams_own_tokens() -> None:
    assert settled(CUT, Billed(6_000, 3_600)).before == Billed(12_000, 10_800)


def test_a_cache_that_found_nothing_of_a_long_prefix_is_cold() -> None:
    sent = Billed(2 * SURELY_CACHED, SURELY_CACHED)
    forecast = Forecast(Billed(4 * SURELY_CACHED, 3 * SURELY_CACHED), sent)
    assert settled(forecast, Billed(sent.tokens, 0)).before.cached == 0
    assert settled(forecast, Billed(sent.tokens, 128)).before.cached == forecast.before.cached


def test_a_prefix_too_short_to_be_cached_proves_no_cold_cache() -> None:
    assert settled(CUT, Billed(5_000, 0)).before.cached == CUT.before.cached


def test_nothing_sent_and_nothing_told_is_no_division_by_zero() -> None:
    forecast = Forecast(Billed(10), Billed(0))
    assert math.isfinite(compare(LIST, settled(forecast, Billed(0))).saved)


@pytest.mark.parametrize(
    ("cached_prompt", "pays"), [(2.0, True), (1.0, True), (0.2, False), (0.0, False)]
)
def test_the_larger_the_discount_the_more_history_is_left_alone(
    cached_prompt: float, *, pays: bool
) -> None:
    """6,200 tokens with all but a turn's 200 cached, or a window of 2,000 and a block of 1,000."""
    prices = Prices(2.0, cached_prompt, 8.0)
    whole, window = Billed(6_200, 6_000), Billed(2_000, 50)
    assert cut_pays(prices, whole, window, block=1_000, turns=6) is pays


def test_a_cut_that_costs_more_now_pays_when_its_window_lasts() -> None:
    whole, window = Billed(12_000, 11_800), Billed(3_000, 50)
    assert not cut_pays(LIST, whole, window, block=1_000, turns=1)
    assert cut_pays(LIST, whole, window, block=1_000, turns=6)


def test_a_window_too_short_to_be_cached_pays_later() -> None:
    whole, window = Billed(5_700, 5_500), Billed(1_500, 50)
    short = Prices(2.0, 0.5, 8.0, cached_from=2_048)
    assert cut_pays(LIST, whole, window, block=500, turns=6)
    assert not cut_pays(short, whole, window, block=500, turns=6)
