"""What a search's score is made of: bounds, order and nothing lost, whatever is weighed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retention.decisions import DAY_SECONDS
from gateway.retrieval.base import Chunk, Passage, Scored
from gateway.search.scoring import (
    HALF_LIFE_DAYS,
    Match,
    Parts,
    Weights,
    matches,
    recency,
    room_below,
    scaled,
)
from support.memories import NOON

SHARES = st.floats(0, 1)
PARTS = st.builds(Parts, SHARES, SHARES, SHARES)
GIVEN = st.just(0.0) | st.floats(0.001, 1)
WEIGHTS = st.tuples(GIVEN, GIVEN, GIVEN).filter(any).map(lambda three: Weights(*three))
IDS = st.sampled_from("abcdefgh")


def passage(id: str, at: float = NOON) -> Passage:
    return Passage(id, "s", "user", f"text of {id}", 3, at)


@st.composite
def rankings(draw: st.DrawFn) -> list[Scored]:
    """Chunks in any order, some messages in several, some without a score."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
        scores = tuple(draw(SHARES) for _ in ids)
        found.append(Scored(Chunk(tuple(map(passage, ids))), max(scores), scores))
    return found


@given(WEIGHTS, PARTS)
def test_a_score_lies_between_its_least_and_its_greatest_part(
    weights: Weights, parts: Parts
) -> None:
    three = (parts.relevance, parts.importance, parts.recency)
    score = weights.score(parts)
    assert 0 <= score <= 1
    assert min(three) <= score + 1e-9
    assert score <= max(three) + 1e-9


@given(WEIGHTS, PARTS, PARTS)
def test_what_is_better_in_every_part_scores_no_less(
    weights: Weights, one: Parts, other: Parts
) -> None:
    better = Parts(
        max(one.relevance, other.relevance),
        max(one.importance, other.importance),
        max(one.recency, other.recency),
    )
    assert weights.score(better) >= max(weights.score(one), weights.score(other)) - 1e-9


def test_the_weights_are_as_agreed() -> None:
    assert Weights().score(Parts(1, 0, 0)) == pytest.approx(0.85)
    assert Weights().score(Parts(0, 1, 0)) == pytest.approx(0.10)
    assert Weights().score(Parts(0, 0, 1)) == pytest.approx(0.05)
    assert Weights(0.5, 0, 0).score(Parts(1, 0, 0)) == 1


def test_weights_that_are_all_nothing_weigh_nothing() -> None:
    with pytest.raises(ValueError, match="SEARCH_WEIGHT"):
        Weights(0, 0, 0)


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_what_was_said_later_is_more_recent(at: float, later: float) -> None:
    at, later = sorted((at, later))
    assert 0 <= recency(at, NOON) <= recency(later, NOON) <= 1


def test_recency_halves_in_a_month_and_the_future_is_now() -> None:
    assert recency(NOON, NOON) == recency(NOON + 5, NOON) == 1
    assert recency(NOON - HALF_LIFE_DAYS * DAY_SECONDS, NOON) == pytest.approx(0.5)
    assert recency(-6e10, NOON) == pytest.approx(0)


@given(rankings())
def test_each_message_with_a_score_is_found_once_with_its_best(ranking: list[Scored]) -> None:
    found = matches(ranking)
    best: dict[str, float] = {}
    for one in ranking:
        for each, score in zip(one.chunk.passages, one.passage_scores, strict=True):
            best[each.id] = max(score, best.get(each.id, 0.0))
    assert {one.passage.id: one.relevance for one in found} == {
        id: score for id, score in best.items() if score > 0
    }
    assert [one.relevance for one in found] == sorted(
        (one.relevance for one in found), reverse=True
    )


@given(rankings(), st.frozensets(IDS))
def test_what_is_known_is_not_found_again(ranking: list[Scored], known: frozenset[str]) -> None:
    kept = [one for one in matches(ranking) if one.passage.id not in known]
    assert matches(ranking, known) == kept


@given(rankings(), st.floats(0.01, 1))
def test_scaling_keeps_the_order_and_gives_the_first_what_there_is(
    ranking: list[Scored], to: float
) -> None:
    found = matches(ranking)
    after = scaled(found, to)
    assert [one.passage for one in after] == [one.passage for one in found]
    assert all(0 <= one.relevance <= to * (1 + 1e-9) for one in after)
    assert [one.relevance for one in after] == sorted(
        (one.relevance for one in after), reverse=True
    )
    if after:
        assert after[0].relevance == to
        assert room_below(after) == after[-1].relevance / 2


def test_below_nothing_there_is_all_the_room() -> None:
    assert room_below([]) == 1
    assert scaled([]) == []


def test_of_equal_ones_the_latest_comes_first() -> None:
    early, late = passage("a", NOON), passage("b", NOON + 1)
    ranking = [Scored(Chunk((early, late)), 0.5, (0.5, 0.5))]
    assert matches(ranking) == [Match(late, 0.5), Match(early, 0.5)]
