"""A model's heads as a picture: a row a layer, a column a head, darker the better it retrieves."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retriever.judging.choice import HeadFigures
from retriever.profile import Head

DOTS_PER_INCH = 90


def draw_heads(
    path: Path, title: str, ranked: Sequence[HeadFigures], chosen: Sequence[Head]
) -> None:
    """Writes a PNG; chosen heads are ringed. Raises ValueError: no head."""
    if not ranked:
        raise ValueError("there is no head to draw")
    layers = max(one.head.layer for one in ranked) + 1
    heads = max(one.head.head for one in ranked) + 1
    grid = [[float("nan")] * heads for _ in range(layers)]
    for one in ranked:
        grid[one.head.layer][one.head.head] = one.score
    figure = Figure(figsize=(2.5 + 0.22 * heads, 1.6 + 0.18 * layers), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    shades = axes.imshow(grid, cmap="viridis_r", aspect="auto", interpolation="nearest")
    axes.scatter(
        [one.head for one in chosen], [one.layer for one in chosen], s=60, c="none", edgecolors="r"
    )
    axes.set(title=title, xlabel="head", ylabel="layer")
    figure.colorbar(shades, label="score")
    figure.savefig(path, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})
