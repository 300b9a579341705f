"""An evaluation as Markdown tables: what a card and a README quote. Pure."""

from collections.abc import Iterator, Sequence

from retriever.evaluating.contrasts import Contrast
from retriever.evaluating.metrics import Interval
from retriever.evaluating.summary import ALL, BESIDE, FIGURES, Row

WORST = 4  # kinds of question that are told of a set


def tables(rows: Sequence[Row], against: Sequence[Contrast]) -> str:
    """A table for each set, of all its kinds of question, what is hardest, and pairs of methods."""
    return "\n".join(
        line
        for name in dict.fromkeys(one.set for one in rows)
        for line in _set(name, rows, against)
    )


def _set(name: str, rows: Sequence[Row], against: Sequence[Contrast]) -> Iterator[str]:
    whole = [one for one in rows if one.set == name and one.kind == ALL]
    questions = max(one.figures["recall@10"].questions for one in whole)
    titles = [*FIGURES.values(), "tokens", "none", "AUC", f"R@10 less {BESIDE}, 95 %"]
    yield f"### {name}, {questions} questions\n"
    yield _row(["method", *titles])
    yield _row(["---", *("---:" for _ in titles)])
    for one in whole:
        yield _row([one.method, *_cells(one)])
    yield ""
    yield from _worst(whole, [one for one in rows if one.set == name and one.kind != ALL])
    yield from (f"- {one.told()}" for one in against if one.set == name)
    yield ""


def _cells(row: Row) -> list[str]:
    means = [_number(row.figures[name].value) for name in FIGURES]
    gain = "" if row.method == BESIDE else _gain(row.gains["recall@10"])
    tokens = "-" if row.equal_tokens != row.equal_tokens else f"{row.equal_tokens:.0f}"
    return [*means, tokens, _number(row.refused), _number(row.abstention), gain]


def _worst(whole: Sequence[Row], kinds: Sequence[Row]) -> Iterator[str]:
    """Of the last fused method."""
    fused = [one.method for one in whole if one.method.startswith("fused ")]
    own = [one for one in kinds if fused and one.method == fused[-1]]
    if own:
        hardest = sorted(own, key=lambda one: one.figures["recall@10"].value)[:WORST]
        told = ", ".join(f"{one.kind} {_number(one.figures['recall@10'].value)}" for one in hardest)
        yield f"Lowest recall@10 of `{fused[-1]}`: {told}.\n"


def _number(value: float) -> str:
    """.123, and a dash where there is none."""
    return "-" if value != value else f"{value:.3f}".replace("0.", ".", 1)


def _gain(one: Interval) -> str:
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
