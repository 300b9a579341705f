"""The picture of a model's heads."""

from pathlib import Path

import pytest

from retriever.judging.choice import Figures, HeadFigures
from retriever.judging.picture import draw_heads
from retriever.profile import Head

FIGURES = Figures(0.5, 0.5, 0.5)


def test_a_picture_of_every_head_is_a_small_png(tmp_path: Path) -> None:
    ranked = [
        HeadFigures(Head(layer, head), layer - head, FIGURES)
        for layer in range(30)
        for head in range(9)
    ]
    path = tmp_path / "heads.png"
    draw_heads(path, "heads", ranked, [Head(3, 1)])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 60_000


def test_the_same_heads_give_the_same_picture(tmp_path: Path) -> None:
    ranked = [HeadFigures(Head(0, 0), 1.0, FIGURES), HeadFigures(Head(1, 1), 0.0, FIGURES)]
    for name in ("a", "b"):
        draw_heads(tmp_path / name, "heads", ranked, [Head(1, 1)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_head_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no head"):
        draw_heads(tmp_path / "a", "heads", [], [])
