"""An evaluation as a picture: a panel a set, a bar a method, with its 95 %."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retriever.evaluating.summary import ALL, FIGURES, Row
from retriever.judging.picture import DOTS_PER_INCH

SHOWN = ("recall@10", "recall@2000t")


def draw_bars(path: Path, found: Sequence[Row]) -> None:
    """Writes a PNG. Raises ValueError: no row of all kinds."""
    rows = [one for one in found if one.kind == ALL]
    if not rows:
        raise ValueError("there is nothing to draw")
    sets = list(dict.fromkeys(one.set for one in rows))
    size = (1 + 5 * len(SHOWN), 0.8 + len(rows) * 0.3 + 0.6 * len(sets))
    figure = Figure(figsize=size, layout="constrained")
    panels = FigureCanvasAgg(figure).figure.subplots(len(sets), len(SHOWN), squeeze=False)
    for line, name in zip(panels, sets, strict=True):
        for axes, shown in zip(line, SHOWN, strict=True):
            _panel(axes, [one for one in rows if one.set == name], shown)
    figure.savefig(path, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})


def _panel(axes: Axes, rows: Sequence[Row], shown: str) -> None:
    values = [one.figures[shown].value for one in rows]
    lows = [max(0.0, one.figures[shown].value - one.figures[shown].low) for one in rows]
    highs = [max(0.0, one.figures[shown].high - one.figures[shown].value) for one in rows]
    places = range(len(rows))
    axes.barh(places, values, xerr=[lows, highs], color="0.75", ecolor="0.2", capsize=2)
    axes.set_yticks(places, [one.method for one in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(f"{rows[0].set}: {FIGURES[shown]}", fontsize=10)
