"""What an evaluation's figures mean, and that their intervals are what they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.evaluating.metrics import (
    area_under_curve,
    draws,
    interval,
    judged,
    percentile,
    precision,
    reciprocal_rank,
    share,
    within,
)

IDS = st.lists(st.sampled_from("abcdefgh"), unique=True)
EVIDENCE = st.frozensets(st.sampled_from("abcdefgh"), min_size=1)
TOKENS = st.fixed_dictionaries({id: st.integers(1, 1500) for id in "abcdefgh"})


def test_recall_is_the_share_of_the_evidence_that_is_found() -> None:
    assert share(["b", "d"], frozenset("bcz")) == pytest.approx(1 / 3)


def test_all_evidence_is_all_or_nothing() -> None:
    order, tokens = list("abcdefghijkl"), dict.fromkeys("abcdefghijkl", 1)
    assert judged(order, frozenset("aj"), tokens)["all@10"] == 1
    assert judged(order, frozenset("ak"), tokens)["all@10"] == 0


def test_the_reciprocal_rank_is_of_the_first_evidence() -> None:
    assert reciprocal_rank(list("abc"), frozenset("bc")) == 1 / 2
    assert reciprocal_rank(list("abc"), frozenset("z")) == 0


def test_a_message_that_does_not_fit_is_passed_over() -> None:
    assert within(list("abc"), {"a": 600, "b": 600, "c": 400}, 1000) == ["a", "c"]


def test_precision_counts_tokens_and_not_messages() -> None:
    tokens = {"a": 30, "b": 10}
    assert precision(["a", "b"], frozenset("b"), tokens) == 1 / 4
    assert precision([], frozenset("b"), tokens) == 0


def test_a_question_without_evidence_is_not_judged() -> None:
    with pytest.raises(ValueError, match="no recall"):
        judged(["a"], frozenset(), {"a": 1})


@given(order=IDS, evidence=EVIDENCE, tokens=TOKENS)
def test_every_figure_is_a_share_and_more_room_finds_more(
    order: list[str], evidence: frozenset[str], tokens: dict[str, int]
) -> None:
    figures = judged(order, evidence, tokens)
    assert all(0 <= value <= 1 for value in figures.values())
    assert figures["recall@5"] <= figures["recall@10"] <= figures["recall@20"]


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve([2.0, 3.0], [1.0]) == 1
    assert area_under_curve([1.0], [1.0]) == 0.5
    assert area_under_curve([0.0, 2.0], [1.0]) == 0.5
    assert math.isnan(area_under_curve([1.0], []))


def test_a_percentile_is_a_measured_value() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3
    assert math.isnan(percentile([], 0.5))


CONVERSATIONS = ["one"] * 3 + ["two"] * 2 + ["three"]


def test_a_resample_draws_whole_conversations() -> None:
    drawn = draws(CONVERSATIONS, seed=1, resamples=200)
    assert drawn.shape == (200, 6)
    assert set(drawn[:, :3].sum(axis=1)) <= {0, 3, 6, 9}
    assert set(drawn[:, 3:5].sum(axis=1)) <= {0, 2, 4, 6}
    assert (drawn[:, :3] > 1).any()  # and questions inside them with replacement


def test_a_seed_decides_the_draws() -> None:
    assert np.array_equal(draws(CONVERSATIONS, 1), draws(CONVERSATIONS, 1))
    assert not np.array_equal(draws(CONVERSATIONS, 1), draws(CONVERSATIONS, 2))


def test_an_interval_holds_the_mean_and_a_constant_has_none_around_it() -> None:
    drawn = draws(CONVERSATIONS, seed=3)
    found = interval(np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]), drawn)
    assert found.low < found.value == 0.5 < found.high
    constant = interval(np.full(6, 0.25), drawn)
    assert (constant.low, constant.value, constant.high) == (0.25, 0.25, 0.25)


def test_questions_that_are_unknown_are_left_out() -> None:
    found = interval(np.array([np.nan, np.nan, np.nan, 1.0, 0.0, np.nan]), draws(CONVERSATIONS, 0))
    assert (found.value, found.questions) == (0.5, 2)
    assert interval(np.full(6, np.nan), draws(CONVERSATIONS, 0)).questions == 0
