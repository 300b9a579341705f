"""A course of training as a picture: the loss of each step, and recall at each exam."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retriever.learning.exam import PLACES
from retriever.learning.progress import Progress

DOTS_PER_INCH = 90
SMOOTHED = 20  # steps


def draw_curve(path: Path, title: str, progress: Progress) -> None:
    """Writes a PNG; the kept step is marked. Raises ValueError: nothing has happened yet."""
    if not progress.exams:
        raise ValueError("there is no exam to draw")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, recalls = figure.subplots(1, 2)
    steps = range(1, len(progress.losses) + 1)
    losses.plot(steps, progress.losses, color="0.8", linewidth=0.8, label="step")
    losses.plot(steps, smoothed(progress.losses, SMOOTHED), label=f"mean of {SMOOTHED}")
    losses.set(title=title, xlabel="step", ylabel="loss")
    losses.legend()
    taken = [step for step, _ in progress.exams]
    for name in progress.before.recalls:
        of_set = [result.of_sets()[name] for _, result in progress.exams]
        recalls.plot(taken, of_set, marker=".", linewidth=0.8, label=name)
    means = [result.mean for _, result in progress.exams]
    recalls.plot(taken, means, marker="o", color="k", label="mean")
    recalls.axvline(progress.best, color="r", linewidth=0.8)
    recalls.set(title="held-out conversations", xlabel="step", ylabel=f"recall at {PLACES}")
    recalls.legend()
    figure.savefig(path, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """Means of the last `width`, fewer at the start."""
    windows = [values[max(0, i + 1 - width) : i + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]
