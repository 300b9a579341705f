"""Reciprocal ranks of several searches, added up."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.context.fusing import fused
from gateway.retention.importance import Importance
from gateway.retrieval.base import Passage
from gateway.search.scoring import Parts
from gateway.search.search import Hit

RESULTS = st.lists(st.lists(st.integers(0, 9), max_size=8, unique=True), min_size=1, max_size=3)


def hit(number: int, score: float = 0.5) -> Hit:
    passage = Passage(f"m{number}", "s", "user", f"Fact {number}.", 3, 0.0)
    importance = Importance(0.5, 0.5, 0.5, 0.5)
    return Hit(passage, "s", False, score, Parts(1, 0, 0), importance, 0, {})


@given(RESULTS)
def test_each_message_comes_once_with_its_ranks(results: list[list[int]]) -> None:
    found = fused([[hit(number) for number in result] for result in results])
    ids = [one.hit.passage.id for one in found]
    assert len(ids) == len(set(ids))
    assert set(ids) == {f"m{number}" for result in results for number in result}
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    for one in found:
        for search, rank in one.ranks.items():
            assert f"m{results[search][rank - 1]}" == one.hit.passage.id


@given(st.lists(st.integers(0, 9), max_size=8, unique=True))
def test_one_search_alone_keeps_its_order(result: list[int]) -> None:
    found = fused([[hit(number) for number in result]])
    assert [one.hit.passage.id for one in found] == [f"m{number}" for number in result]


def test_what_two_searches_found_comes_before_what_one_did() -> None:
    found = fused([[hit(1), hit(2)], [hit(3), hit(2)]])
    assert found[0].hit.passage.id == "m2"


def test_what_all_have_first_scores_one() -> None:
    assert fused([[hit(1)], [hit(1)]])[0].score == 1
