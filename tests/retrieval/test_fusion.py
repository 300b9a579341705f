"""Fusion: the model's order alone, or its scores added to BM25's, and a gate before both."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.base import Chunk, Passage
from gateway.retrieval.fusion import LENT, Fused, Weighing, fuse
from gateway.retrieval.selection import select
from retrieval.passages import chunk, monologue, passage

CHUNKS = monologue(*(f"text {i}" for i in range(6)))


def fused(
    lexical: dict[str, float],
    remote: dict[str, float],
    *,
    weight: float | None = None,
    floors: tuple[float, float] = (0.08, 0.5),
    in_hand: Sequence[str] = (),
    chunks: Sequence[Chunk] = CHUNKS,
) -> Fused:
    def held(one: Passage) -> bool:
        return one.id in in_hand

    return fuse(chunks, lexical, remote, Weighing(weight, *floors), held)


def order(found: Fused) -> list[str]:
    return [one.chunk.passages[0].id for one in found.scored]


def test_a_model_that_ranks_alone_decides_alone() -> None:
    found = fused({"m0": 0.9, "m1": 0.5}, {"m0": 0.6, "m1": 0.4, "m2": 0.9, "m3": 0.7})
    assert order(found) == ["m2", "m3", "m0"]
    assert [one.score for one in found.scored] == pytest.approx([1.0, 0.5, 0.25])


APART = [chunk(passage(f"m{i}", f"text {i}", at=float(i), session=str(i))) for i in range(6)]


def test_a_fused_model_adds_its_scores_to_those_of_the_words_either_scaled_to_its_best() -> None:
    found = fused({"m0": 0.8, "m1": 0.2}, {"m1": 30.0, "m2": 15.0}, weight=2.0, chunks=APART)
    assert order(found) == ["m1", "m2", "m0"]
    best = 0.25 + 2.0
    assert [one.score for one in found.scored] == pytest.approx([1.0, 1.0 / best, 1.0 / best])


def test_a_message_borrows_attention_from_those_beside_it_in_its_session() -> None:
    found = fused({}, {"m0": 0.0, "m1": 1.0, "m2": 0.0, "m3": 0.0}, weight=1.0)
    assert {one.chunk.passages[0].id: one.score for one in found.scored} == pytest.approx(
        {"m0": LENT, "m1": 1.0, "m2": LENT}
    )
    apart = fused({}, {"m0": 0.0, "m1": 1.0, "m2": 0.0}, weight=1.0, chunks=APART)
    assert order(apart) == ["m1"]


def test_a_message_that_two_indexes_hold_lends_itself_nothing() -> None:
    twice = [*monologue("a", "b"), *monologue("b", first=1)]
    found = fused({}, {"m0": 0.5, "m1": 1.0}, weight=1.0, chunks=twice)
    scores = {one.chunk.passages[0].id: one.score for one in found.scored}
    assert scores == pytest.approx({"m0": (0.5 + LENT) / (1 + LENT / 2), "m1": 1.0})


def test_what_is_attended_to_less_than_a_question_about_nothing_counts_for_nothing() -> None:
    found = fused({"m0": 0.5}, {"m0": -3.0, "m1": -1.0}, weight=5.0, chunks=APART)
    assert order(found) == ["m0"]


@pytest.mark.parametrize("weight", [None, 0.5, 1.0, 5.0])
def test_what_the_model_alone_knows_can_be_selected(weight: float | None) -> None:
    found = fused({"m0": 0.9, "m1": 0.5}, {"m2": 0.9, "m3": 0.1}, weight=weight)
    scale = found.scale
    lines = select(
        found.scored,
        budget_tokens=100,
        top_k=64,
        floor=scale.floor,
        relative=scale.relative,
        cost_power=scale.cost_power,
    )
    assert "m2" in [line.passage.id for line in lines]


def test_nothing_is_relevant_unless_both_reach_their_floors_on_the_mean() -> None:
    assert fused({"m0": 0.07}, {"m1": 0.5}, weight=1.0).scored == ()
    assert order(fused({"m0": 0.08}, {"m1": 0.5}, weight=1.0))
    assert order(fused({"m0": 0.04}, {"m1": 0.75}, weight=1.0))
    assert order(fused({"m0": 0.16}, {"m1": -3.0}, weight=1.0))


def test_of_a_model_that_ranks_alone_either_is_enough() -> None:
    assert fused({"m0": 0.07}, {"m1": 0.49}).scored == ()
    assert order(fused({"m0": 0.08}, {"m1": 0.49}))
    assert order(fused({"m0": 0.07}, {"m1": 0.5}))
    assert fused({}, {}, floors=(0.0, 0.0)).scored == ()


def test_where_nothing_was_read_the_words_decide() -> None:
    assert order(fused({"m0": 0.08}, {}, weight=1.0)) == ["m0"]
    assert fused({"m0": 0.07}, {}, weight=1.0).scored == ()


def test_a_floor_that_refuses_nothing_leaves_it_to_either() -> None:
    assert order(fused({"m0": 0.08}, {"m1": -1.0}, weight=1.0, floors=(0.08, 0.0))) == ["m0"]
    assert order(fused({}, {"m1": 0.1}, weight=1.0, floors=(0.08, 0.0)))


@pytest.mark.parametrize("weight", [None, 1.0])
def test_what_the_prompt_holds_already_proves_nothing_relevant(weight: float | None) -> None:
    lexical, remote = {"m0": 0.9, "m1": 0.01}, {"m0": 0.9, "m1": 0.1}
    assert fused(lexical, remote, weight=weight, in_hand=["m0"]).scored == ()
    assert "m0" not in order(fused(lexical, {"m1": 0.6}, weight=weight, in_hand=["m0"]))


def test_each_methods_rank_is_told() -> None:
    ranks = fused({"m0": 0.9, "m1": 0.5}, {"m1": 0.9, "m2": 0.7}, weight=1.0).ranks
    assert ranks == {
        "m0": {"lexical": 1},
        "m1": {"lexical": 2, "gpu": 1},
        "m2": {"gpu": 2},
    }


def test_of_equal_scores_the_later_ranks_first() -> None:
    assert order(fused({}, {"m1": 0.7, "m4": 0.7, "m2": 0.7, "m0": 0.6})) == ["m4", "m2", "m1"]


def test_a_chunk_scores_as_its_best_message() -> None:
    pair = [chunk(passage("a", "a"), passage("b", "b")), chunk(passage("c", "c"))]
    found = fused({}, {"a": 0.5, "b": 0.9, "c": 0.7}, chunks=pair)
    assert [one.score for one in found.scored] == pytest.approx([1.0, 0.5])
    assert found.scored[0].passage_scores == (0.0, 1.0)
    assert [one.place for one in found.scored] == [0, 1]


@pytest.mark.parametrize("scores", [(-1e308, 1e308), (1e308, 1e308), (0.0, 5e-324), (-3.0, -2.0)])
def test_scores_of_any_size_stay_numbers(scores: tuple[float, float]) -> None:
    found = fused({}, dict(zip(("m0", "m1"), scores, strict=True)), floors=(0.08, -1e308))
    assert found.scored[0].score == 1.0
    assert all(0 <= one.score <= 1 for one in found.scored)


RATED = st.dictionaries(st.integers(0, 5).map("m{}".format), st.floats(0, 1))
WEIGHTS = st.none() | st.floats(0, 10)


@given(RATED, RATED, WEIGHTS)
def test_fused_scores_run_from_0_to_1_and_the_best_is_1(
    lexical: dict[str, float], remote: dict[str, float], weight: float | None
) -> None:
    found = fused(lexical, remote, weight=weight)
    scores = [one.score for one in found.scored]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert not scores or scores[0] == pytest.approx(1.0)


def beside(
    lexical: dict[str, float],
    remote: dict[str, float],
    alike: dict[str, float],
    weighing: Weighing,
    chunks: Sequence[Chunk] = APART,
) -> Fused:
    return fuse(chunks, lexical, remote, weighing, lambda _: False, alike)


EVERY = {f"m{i}": 0.0 for i in range(6)}
THREE = Weighing(1.0, 0.08, 0.5, alike=2.0, alike_floor=0.4)


def test_an_embedding_is_a_third_summand_scaled_to_its_best() -> None:
    remote, alike = {**EVERY, "m1": 30.0}, {**EVERY, "m2": 0.8, "m1": 0.4}
    found = beside({"m0": 0.8}, remote, alike, THREE)
    assert {one.chunk.passages[0].id: one.score for one in found.scored} == pytest.approx(
        {"m0": 0.5, "m1": 1.0, "m2": 1.0}
    )
    assert found.scale.relative > fused({}, {"m0": 0.9}, weight=1.0).scale.relative
    assert found.ranks["m2"]["embedding"] == 1
    assert found.ranks["m1"]["embedding"] == 2


def test_a_model_weighs_the_part_of_the_memory_that_it_read() -> None:
    alike = {**EVERY, "m2": 0.8}
    found = beside({"m0": 0.8}, {"m1": 30.0, "m3": 0.0, "m4": 0.0}, alike, THREE)
    scores = {one.chunk.passages[0].id: one.score for one in found.scored}
    assert scores == pytest.approx({"m2": 1.0, "m0": 0.5, "m1": 0.25})
    without = beside({"m0": 0.8}, {"m1": 30.0, "m3": 0.0, "m4": 0.0}, {}, THREE)
    assert [one.score for one in without.scored] == [1.0, 1.0]


def test_words_and_likeness_rank_where_nothing_was_read() -> None:
    found = beside({"m0": 0.8}, {}, {**EVERY, "m2": 0.8}, THREE)
    assert order(found) == ["m2", "m0"]


def test_an_embedding_beside_a_model_that_ranks_alone_counts_for_nothing() -> None:
    alone = Weighing(None, 0.08, 0.5, alike=2.0, alike_floor=0.4)
    found = beside({}, {"m1": 0.9, "m2": 0.6}, {"m3": 0.9}, alone)
    assert order(found) == ["m1"]
    assert "m3" not in found.ranks


@pytest.mark.parametrize(
    ("words", "attended", "alike", "relevant"),
    [
        (0.08, 0.5, 0.4, True),
        (0.0, 0.5, 0.8, True),
        (0.08, 0.0, 0.4, False),
        (0.0, 0.9, 0.4, False),
    ],
)
def test_all_three_say_together_whether_anything_is_relevant(
    words: float, attended: float, alike: float, relevant: bool
) -> None:
    found = beside({"m0": words}, {"m0": attended}, {"m0": alike}, THREE)
    assert bool(found.scored) is relevant
