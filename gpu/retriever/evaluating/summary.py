"""Records as figures: a row for each set, kind of question and method. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from retriever.evaluating.metrics import (
    BUDGETS,
    Floats,
    Interval,
    area_under_curve,
    budget_for,
    draws,
    interval,
    percentile,
)
from retriever.evaluating.records import Record
from retriever.evaluating.sampling import FOREIGN

FIGURES = {  # of a record, and how a table heads them
    "recall@5": "R@5",
    "recall@10": "R@10",
    "recall@20": "R@20",
    "all@10": "all@10",
    "mrr": "MRR",
    "recall@1000t": "R@1000t",
    "recall@2000t": "R@2000t",
    "precision": "prec",
}
ALL = "all"
BESIDE = "BM25"  # what every method is compared with
COMPARED = ("recall@10", "recall@2000t")
MEASURED = (*FIGURES, *(f"recall@{one}t" for one in BUDGETS if f"recall@{one}t" not in FIGURES))


@dataclass(frozen=True)
class Row:
    """`figures` are means over questions with evidence, `gains` less BM25's of the same questions;
    `equal_tokens` are those that find what BM25 finds in the largest budget, `refused` is the
    share of questions without evidence that nothing was ranked for, `abstention` an area under the
    curve; both are over all kinds."""

    set: str
    kind: str
    method: str
    figures: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    equal_tokens: float
    refused: float
    abstention: float
    p50_ms: float
    p95_ms: float
    first_ms: float

    def written(self) -> dict[str, Any]:
        return asdict(self)


def rows(records: Sequence[Record], seed: int) -> list[Row]:
    """Sets, kinds and methods in the records' order; `all` kinds come last."""
    found: list[Row] = []
    for name in _names(one.set for one in records):
        found += _rows_of_set([one for one in records if one.set == name], seed)
    return found


def _rows_of_set(records: Sequence[Record], seed: int) -> list[Row]:
    judged = [one for one in records if one.figures]
    asked = {_key(one): one.kind for one in judged}
    drawn = draws([conversation for conversation, _ in asked], seed) if asked else np.zeros((0, 0))
    kinds = sorted(set(asked.values()))
    found: list[Row] = []
    for kind in [*kinds, ALL]:
        places = [i for i, one in enumerate(asked.values()) if kind in (one, ALL)]
        keys = [key for i, key in enumerate(asked) if i in set(places)]
        for method in _names(one.method for one in records):
            own = [one for one in records if one.method == method]
            beside = [one for one in records if one.method == BESIDE]
            found.append(_row(kind, keys, drawn[:, places], own, beside))
    return found


def _row(
    kind: str,
    keys: Sequence[tuple[str, str]],
    drawn: Floats,
    own: Sequence[Record],
    beside: Sequence[Record],
) -> Row:
    figures = {name: _column(own, keys, name) for name in MEASURED}
    others = {name: _column(beside, keys, name) for name in MEASURED}
    timed = [one for one in own if kind in (one.kind, ALL)]
    later = [1000 * one.seconds for one in timed if not one.is_first]
    first = [1000 * one.seconds for one in timed if one.is_first]
    return Row(
        set=own[0].set,
        kind=kind,
        method=own[0].method,
        figures={name: interval(values, drawn) for name, values in figures.items()},
        gains={name: interval(figures[name] - others[name], drawn) for name in FIGURES},
        equal_tokens=_equal_tokens(figures, others),
        refused=_refused(own),
        abstention=_abstention(own, kind),
        p50_ms=percentile(later, 0.50),
        p95_ms=percentile(later, 0.95),
        first_ms=median(first) if first else float("nan"),
    )


def _column(records: Sequence[Record], keys: Sequence[tuple[str, str]], name: str) -> Floats:
    """Of each question; NaN where the method was not asked it."""
    known = {_key(one): one.figures.get(name, np.nan) for one in records}
    return np.array([known.get(key, np.nan) for key in keys], dtype=np.float64)


def _equal_tokens(own: Mapping[str, Floats], beside: Mapping[str, Floats]) -> float:
    asked = {budget: f"recall@{budget}t" for budget in BUDGETS}
    wanted = beside[asked[max(BUDGETS)]]
    known = ~(np.isnan(wanted) | np.isnan(own[asked[max(BUDGETS)]]))
    if not known.any():
        return float("nan")
    recalls = {budget: float(own[name][known].mean()) for budget, name in asked.items()}
    return budget_for(float(wanted[known].mean()), recalls)


def _refused(own: Sequence[Record]) -> float:
    silent = [not one.ranked for one in own if not one.evidence]
    return sum(silent) / len(silent) if silent else float("nan")


def _abstention(records: Sequence[Record], kind: str) -> float:
    scored = [(one, one.top) for one in records if one.top is not None]
    answered = [top for one, top in scored if one.evidence and kind in (one.kind, ALL)]
    return area_under_curve(answered, [top for one, top in scored if not one.evidence])


def _key(record: Record) -> tuple[str, str]:
    return record.conversation, record.question


def _names(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def table(found: Sequence[Row]) -> list[str]:
    """For a terminal; a gain is in brackets with its 95 %."""
    wide = max([20, *(len(one.method) for one in found)])
    lines: list[str] = []
    for row in found:
        if row.method == found[0].method:
            lines += ["", *_heading(row, wide)]
        lines.append(_line(row, wide))
    return lines


def _heading(row: Row, wide: int) -> list[str]:
    questions = max((one.questions for one in row.figures.values()), default=0)
    titles = [*FIGURES.values(), "tokens", "none", "AUC", "p50 ms", "p95 ms", "first ms"]
    gains = [f"{FIGURES[name]} - {BESIDE} [95 %]".rjust(26) for name in COMPARED]
    cells = "".join(f"{title:>9}" for title in titles)
    return [f"{row.set}, {row.kind}: {questions} questions", f"{'':<{wide}}{cells}{''.join(gains)}"]


def _line(row: Row, wide: int) -> str:
    means = [f"{row.figures[name].value:>9.3f}" for name in FIGURES]
    told = [f"{row.equal_tokens:>9.0f}", f"{row.refused:>9.3f}", f"{row.abstention:>9.3f}"]
    times = [f"{one:>9.1f}" for one in (row.p50_ms, row.p95_ms, row.first_ms)]
    gains = [_gain(row.gains[name]).rjust(26) for name in COMPARED if row.method != BESIDE]
    return "".join([f"{row.method:<{wide}}", *means, *told, *times, *gains]).replace("nan", "  -")


def _gain(one: Interval) -> str:
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def unanswered(records: Sequence[Record]) -> dict[str, int]:
    """How many questions without evidence were asked, by kind; those that we made up are
    `foreign`."""
    asked = {(one.set, *_key(one)): one.kind for one in records if not one.evidence}
    kinds = sorted(set(asked.values()), key=lambda kind: (kind == FOREIGN, kind))
    return {kind: sum(one == kind for one in asked.values()) for kind in kinds}
