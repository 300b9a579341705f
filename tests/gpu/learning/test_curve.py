"""The picture of a course of training."""

from pathlib import Path

import pytest

from retriever.learning.curve import draw_curve, smoothed
from retriever.learning.exam import Result
from retriever.learning.progress import Progress


def course(steps: int) -> Progress:
    exams = [(step, Result({"a": [0.5], "b": [step / 100]})) for step in range(0, steps + 1, 10)]
    return Progress(steps, [1 / (1 + step) for step in range(steps)], exams, best=steps)


@pytest.mark.parametrize("steps", [0, 40])
def test_a_course_is_a_small_png_from_its_first_exam_on(tmp_path: Path, steps: int) -> None:
    draw_curve(tmp_path / "curve.png", "tiny", course(steps))
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curve.png").stat().st_size < 80_000


def test_the_same_course_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_curve(tmp_path / name, "tiny", course(20))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_exam_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no exam"):
        draw_curve(tmp_path / "a", "tiny", Progress())


def test_losses_are_smoothed_over_those_that_were() -> None:
    assert smoothed([4.0, 2.0, 0.0, 0.0], 2) == [4.0, 3.0, 1.0, 0.0]
    assert smoothed([], 2) == []
