"""Totals of days: counted as whole micro-dollars, told as dollars."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.usage import MICROS, NAMES, Totals, dollars, limit_micros, spent_micros

TOTALS = st.builds(Totals, *[st.integers(-(10**9), 10**12) for _ in NAMES])


@given(TOTALS)
def test_totals_are_read_as_they_were_packed(totals: Totals) -> None:
    assert Totals.of({**totals.packed(), "r5": 1, "t5": 3, "schema": 1}) == totals


@given(st.lists(TOTALS, max_size=5))
def test_a_sum_is_that_of_each_field(days: list[Totals]) -> None:
    summed = Totals.sum(days)
    assert all(getattr(summed, name) == sum(getattr(one, name) for one in days) for name in NAMES)


@given(st.floats(0, 1e6))
def test_what_was_spent_is_never_counted_for_less(spent: float) -> None:
    micros = spent_micros(spent)
    assert spent <= dollars(micros) + 1e-9
    assert micros - spent * MICROS < 1 + 1e-3


@given(st.integers(0, 10**12))
def test_whole_micro_dollars_stay_what_they_are(micros: int) -> None:
    assert spent_micros(dollars(micros)) == micros


@given(st.floats(0, 1e9))
def test_a_limit_stays_one_however_small(limit: float) -> None:
    assert bool(limit_micros(limit)) == (limit > 0)


def test_money_is_told_where_a_price_was_known() -> None:
    unpriced = Totals(requests=2, before=100, after=40, answers=1)
    assert unpriced.told()["tokens_saved"] == 60
    assert unpriced.told()["cost_usd"] is None
    assert unpriced.told()["cost_saved_usd"] is None
    priced = Totals(cost=1_500_000, cost_saved=-20, priced=1).told()
    assert (priced["cost_usd"], priced["cost_saved_usd"]) == (1.5, -0.00002)
