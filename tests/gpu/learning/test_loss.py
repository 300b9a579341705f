"""What the loss of a question is, and which way it pulls."""

import math

import pytest
import torch
from torch import Tensor

from retriever.learning.loss import Contrast

CONTRAST = Contrast(heads=2, temperature=0.1, frame=0.2)


def scores(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.double, requires_grad=True)


def pull(values: Tensor, gold: set[int], ignored: set[int]) -> list[float]:
    """Which way each score is moved: 1 up, -1 down."""
    CONTRAST.loss(values, gold, ignored).backward()  # type: ignore[no-untyped-call]  # untyped there
    assert values.grad is not None
    return (-values.grad).sign().tolist()


def test_evidence_goes_up_and_all_others_down() -> None:
    assert pull(scores(0.1, 0.2, 0.3), {1}, set()) == [-1, 1, -1]


def test_what_is_neither_right_nor_wrong_stays() -> None:
    assert pull(scores(0.1, 0.2, 0.3), {1}, {2}) == [-1, 1, 0]


def test_where_nothing_answers_all_go_down() -> None:
    assert pull(scores(0.1, 0.2, 0.3), set(), set()) == [-1, -1, -1]


def test_two_pieces_of_evidence_do_not_compete() -> None:
    assert pull(scores(0.9, 0.1, 0.3), {0, 1}, set())[:2] == [1, 1]
    together = CONTRAST.loss(scores(0.4, 0.6), {0, 1}, set())
    alone = [CONTRAST.loss(scores(0.4, 0.6), {i}, {1 - i}) for i in range(2)]
    assert float(together.detach()) == pytest.approx(float(torch.stack(alone).mean().detach()))


def test_a_chunk_at_the_frame_is_as_likely_as_the_frame() -> None:
    at_frame = scores(CONTRAST.frame * CONTRAST.heads)
    for gold in ({0}, set()):
        assert float(CONTRAST.loss(at_frame, gold, set()).detach()) == pytest.approx(math.log(2))


def test_a_temperature_above_makes_a_chunk_e_times_as_likely() -> None:
    above = scores((CONTRAST.frame + CONTRAST.temperature) * CONTRAST.heads)
    wanted = math.log(1 + math.exp(-1))
    assert float(CONTRAST.loss(above, {0}, set()).detach()) == pytest.approx(wanted)


def test_scores_far_apart_give_finite_losses() -> None:
    far = scores(1e3, -1e3)
    assert bool(CONTRAST.loss(far, {1}, set()).isfinite())
    assert bool(CONTRAST.loss(far, set(), set()).isfinite())
