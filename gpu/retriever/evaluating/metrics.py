"""What an order of messages is worth for one question, and for many. Pure.

An order is ids of messages, the best first. Evidence are the messages that answer.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Tokens injected into a prompt; close together where short messages are found among long ones.
BUDGETS = (50, 100, 150, 200, 250, 500, 750, 1000, 1250, 1500, 1750, 2000)
RESAMPLES = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 %; `questions` are those that it is a mean of."""

    value: float
    low: float
    high: float
    questions: int


def judged(order: Sequence[str], evidence: Set[str], tokens: Mapping[str, int]) -> dict[str, float]:
    """Every figure of one question. Raises ValueError: no evidence, so nothing is right.

    `precision` is the share of tokens under the larger budget that are evidence; of nothing
    injected it is 0.
    """
    if not evidence:
        raise ValueError("a question without evidence has no recall")
    figures = {f"recall@{k}": share(order[:k], evidence) for k in (5, 10, 20)}
    figures["all@10"] = float(evidence <= set(order[:10]))
    figures["mrr"] = reciprocal_rank(order, evidence)
    for budget in BUDGETS:
        injected = within(order, tokens, budget)
        figures[f"recall@{budget}t"] = share(injected, evidence)
    figures["precision"] = precision(injected, evidence, tokens)
    return figures


def share(found: Sequence[str], evidence: Set[str]) -> float:
    return len(evidence & set(found)) / len(evidence)


def reciprocal_rank(order: Sequence[str], evidence: Set[str]) -> float:
    """0 where no evidence is in the order."""
    places = (place for place, id in enumerate(order, start=1) if id in evidence)
    first = next(places, None)
    return 1 / first if first else 0.0


def within(order: Sequence[str], tokens: Mapping[str, int], budget: int) -> list[str]:
    """The best that fit, one after the other: one that does not is passed over."""
    taken: list[str] = []
    for id in order:
        if tokens[id] <= budget:
            taken.append(id)
            budget -= tokens[id]
    return taken


def precision(injected: Sequence[str], evidence: Set[str], tokens: Mapping[str, int]) -> float:
    whole = sum(tokens[id] for id in injected)
    return sum(tokens[id] for id in injected if id in evidence) / whole if whole else 0.0


def budget_for(recall: float, recalls: Mapping[int, float]) -> float:
    """The tokens at which a method, of `recalls` by budget, reaches `recall`; between two budgets
    as if recall rose evenly. NaN where it never does."""
    lower, found = 0, 0.0
    for budget, reached in sorted(recalls.items()):
        if reached >= recall:
            rise = reached - found
            return lower + (budget - lower) * ((recall - found) / rise if rise > 0 else 1.0)
        lower, found = budget, reached
    return float("nan")


def area_under_curve(answered: Sequence[float], unanswered: Sequence[float]) -> float:
    """How often the best score of a question that is answered lies above that of one that is not,
    equal ones counted half (Mann and Whitney). NaN where there is none of either."""
    if not answered or not unanswered:
        return float("nan")
    above = np.subtract.outer(np.asarray(answered), np.asarray(unanswered))
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, a value that was measured; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def draws(conversations: Sequence[str], seed: int, resamples: int = RESAMPLES) -> Floats:
    """How often each question is drawn in each resample: (resamples, questions).

    `conversations` names each question's. A resample draws as many conversations as there are,
    with replacement, and of each that it draws as many questions as it has, with replacement:
    questions of one conversation are not independent.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(conversations))
    members = [np.flatnonzero([one == name for one in conversations]) for name in names]
    counts = np.zeros((resamples, len(conversations)))
    for row in counts:
        for number in rng.integers(len(names), size=len(names)):
            inside = members[number]
            np.add.at(row, rng.choice(inside, size=len(inside)), 1)
    return counts


def interval(values: Floats, drawn: Floats) -> Interval:
    """Of the mean of `values` (questions,), NaN where a question has none. Of differences, the
    interval is paired. Resamples without any of the questions are left out."""
    known = ~np.isnan(values)
    if not known.any():
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    weights = drawn[:, known]
    weights = weights[weights.sum(axis=1) > 0]
    means = weights @ values[known] / weights.sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5]) if len(means) else (np.nan, np.nan)
    return Interval(float(values[known].mean()), float(low), float(high), int(known.sum()))
