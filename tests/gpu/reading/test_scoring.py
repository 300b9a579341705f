"""Scores of pieces against a plain loop over them."""

from statistics import mean, stdev

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gpu.reference import chunk_scores
from retriever.reading.scoring import best_of_each, piece_scores

values = st.floats(-1, 1, allow_subnormal=False).map(lambda value: round(value, 6))
pieces = st.lists(st.lists(values, min_size=1, max_size=30), min_size=1, max_size=8)


def flat(pieces: list[list[float]], opening: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Tokens behind an opening and a stretch that belongs to nobody, and where pieces end."""
    tokens = [9.0] * opening + [value for piece in pieces for value in piece] + [9.0]
    ends = [opening]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    return torch.tensor(tokens, dtype=torch.double), ends


def plain(piece: list[float]) -> float:
    if len(piece) == 1 or len(set(piece)) == 1:
        return sum(piece)
    least = mean(piece) - 2 * stdev(piece)
    assume(all(abs(value - least) > 1e-9 for value in piece))
    return sum(value for value in piece if value > least)


@given(pieces, st.integers(0, 5))
def test_scores_are_those_of_a_loop(made: list[list[float]], opening: int) -> None:
    tokens, ends = flat(made, opening)
    wanted = [plain(piece) for piece in made]
    assert piece_scores(tokens, ends).tolist() == pytest.approx(wanted, abs=1e-9)


@given(pieces)
def test_scores_are_those_of_the_reference(made: list[list[float]]) -> None:
    tokens, ends = flat(made)
    for piece in made:
        plain(piece)
    wanted = chunk_scores(tokens[:-1], made)  # type: ignore[arg-type]  # it asks for lengths alone
    assert piece_scores(tokens, ends).tolist() == pytest.approx(wanted, abs=1e-9)


@given(pieces)
def test_a_piece_scores_the_same_among_others(made: list[list[float]]) -> None:
    together = piece_scores(*flat(made)).tolist()
    alone = [piece_scores(*flat([piece])).item() for piece in made]
    assert together == pytest.approx(alone, abs=1e-12)


def test_an_outlier_below_is_dropped_and_one_above_is_not() -> None:
    usual = [0.1, 0.11, 0.09, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    scores = piece_scores(*flat([[*usual, -5.0], [*usual, 5.0]]))
    assert scores.tolist() == pytest.approx([sum(usual), sum(usual) + 5])


@pytest.mark.parametrize("value", [0.0, 0.1, -0.3, 1e-300])
@pytest.mark.parametrize("tokens", [1, 2, 3, 7, 300])
def test_without_spread_all_is_kept(value: float, tokens: int) -> None:
    assert piece_scores(*flat([[value] * tokens])).item() == pytest.approx(value * tokens)


def test_narrow_numbers_are_summed_in_wide_ones() -> None:
    tokens = torch.full((3000,), 0.1, dtype=torch.bfloat16)
    scores = piece_scores(tokens, [0, 3000])
    assert scores.dtype == torch.double
    assert scores.item() == pytest.approx(3000 * float(tokens[0]), rel=1e-12)


def test_where_pieces_end_is_marked_exactly() -> None:
    tokens = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=torch.double)
    assert piece_scores(tokens, [1, 2, 4]).tolist() == [2.0, 12.0]


def test_a_chunk_is_its_best_piece() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, -5.0, -4.0])
    assert best_of_each(scores, [3, 2]) == [3.0, -4.0]
    assert best_of_each(scores, [1, 1, 1, 1, 1]) == scores.tolist()
