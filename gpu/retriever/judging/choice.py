"""Which heads, which floor, which weight: decided from scores and what was right. Pure.

A ranking is right as far as the messages that answer, `gold`, stand first in it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from retriever.profile import Head

COUNTS = (4, 8, 16, 24, 32)
DEPTHS = (0.3, 0.5, 0.65)  # of the model's layers; those above hold few heads that retrieve
TOLERANCE = 0.01
WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # of the model's scores beside BM25's

Gold = frozenset[int]  # places of the messages that answer


@dataclass(frozen=True)
class Judged:
    """A trial's texts as every head scores them: `scores` (heads, texts)."""

    set: str
    gold: Gold
    scores: Tensor


@dataclass(frozen=True)
class Figures:
    recall_5: float
    recall_10: float
    reciprocal_rank: float

    @property
    def quality(self) -> float:
        """What is chosen by: recall at 10 alone jumps where there are few questions."""
        return (self.recall_10 + self.reciprocal_rank) / 2


@dataclass(frozen=True)
class HeadFigures:
    """`score` is what heads are ranked by; see `contrast`."""

    head: Head
    score: float
    alone: Figures


@dataclass(frozen=True)
class Candidate:
    """Heads together, their scores added up."""

    heads: tuple[Head, ...]
    figures: Figures

    @property
    def deepest_layer(self) -> int:
        return max(head.layer for head in self.heads)


@dataclass(frozen=True)
class Floor:
    """`kept` of the questions that are answered here reach it, `refused` of the others do not."""

    value: float
    kept: float
    refused: float


@dataclass(frozen=True)
class Ranking:
    """All exchanges of a stretch, as shared words and as the model score them, for one question.
    `lent` are the model's scores with what neighbours lend, which are what is fused."""

    set: str
    gold: Gold
    lexical: Sequence[float]
    model: Sequence[float]
    lent: Sequence[float]


@dataclass(frozen=True)
class Fusion:
    """`weight` None: the model ranks alone. `tried` has every order's figures by its name."""

    weight: float | None
    figures: Figures
    tried: Mapping[str, Figures]


def recall(order: Sequence[int], gold: Gold, most: int) -> float:
    """The share of the gold, or of the `most` places where there is more gold, found in them."""
    return len(gold.intersection(order[:most])) / min(most, len(gold))


def order_of(scores: Sequence[float]) -> list[int]:
    """Best first, equal ones latest first."""
    return sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)


def figures(ranked: Iterable[tuple[str, Sequence[int], Gold]]) -> Figures:
    """Of orders by set: means of each set's means, so that no set counts for its size."""
    sets: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for name, order, gold in ranked:
        first = next(place for place, i in enumerate(order, start=1) if i in gold)
        sets[name].append((recall(order, gold, 5), recall(order, gold, 10), 1 / first))
    means = [[_mean(column) for column in zip(*rows, strict=True)] for rows in sets.values()]
    return Figures(*(_mean(column) for column in zip(*means, strict=True)))


def contrast(one: Judged) -> Tensor:
    """How far each head puts the gold above the negatives, in the head's deviations over the
    window: (heads,)."""
    gold = torch.zeros(one.scores.shape[1], dtype=torch.bool)
    gold[sorted(one.gold)] = True
    spread = one.scores.std(dim=1)
    above = one.scores[:, gold].mean(dim=1) - one.scores[:, ~gold].mean(dim=1)
    return torch.where(spread > 0, above / spread, 0.0)


def rank_heads(judged: Sequence[Judged], heads: Sequence[Head]) -> list[HeadFigures]:
    """Best first. Sets count alike."""
    sets: defaultdict[str, list[Tensor]] = defaultdict(list)
    for one in judged:
        sets[one.set].append(contrast(one))
    means = torch.stack([torch.stack(rows).mean(dim=0) for rows in sets.values()]).mean(dim=0)
    found = [
        HeadFigures(head, float(means[i]), _together(judged, [i])) for i, head in enumerate(heads)
    ]
    return sorted(found, key=lambda one: (-one.score, one.head))


def candidates(
    ranked: Sequence[Head], judged: Sequence[Judged], heads: Sequence[Head]
) -> list[Candidate]:
    """The best heads of every depth, in every count, tried on `judged`."""
    layers = max(head.layer for head in heads) + 1
    places = {head: i for i, head in enumerate(heads)}
    found: dict[tuple[Head, ...], Candidate] = {}
    for limit in sorted({max(1, round(share * layers)) for share in DEPTHS}):
        shallow = [head for head in ranked if head.layer < limit]
        for count in COUNTS:
            chosen = tuple(shallow[:count])
            if chosen not in found:
                tried = _together(judged, [places[head] for head in chosen])
                found[chosen] = Candidate(chosen, tried)
    return list(found.values())


def finalists(tried: Sequence[Candidate]) -> list[Candidate]:
    """Of each deepest layer the fewest heads within a tolerance of the best, shallow ones first."""
    layers = sorted({one.deepest_layer for one in tried})
    return [
        _cheapest([one for one in tried if one.deepest_layer == layer], lambda one: one.figures)
        for layer in layers
    ]


def cheapest(ranked: Sequence[tuple[Candidate, Fusion]]) -> tuple[Candidate, Fusion]:
    """The shallowest, then the fewest heads, within a tolerance of the best order."""
    number = {id(candidate): fusion for candidate, fusion in ranked}
    chosen = _cheapest([one for one, _ in ranked], lambda one: number[id(one)].figures)
    return chosen, number[id(chosen)]


def choose_floor(answered: Sequence[float], foreign: Sequence[float]) -> Floor:
    """The threshold of best balanced accuracy between best scores of questions that are answered
    here and of those about something else; of equally good ones the lowest, which keeps most.

    Raises ValueError: one of the two is empty.
    """
    if not answered or not foreign:
        raise ValueError("a floor needs questions of both kinds")
    values = sorted({*answered, *foreign})
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    tried = [_floor(value, answered, foreign) for value in (values[0], *middles)]
    return max(tried, key=lambda one: (round(one.kept + one.refused, 9), -one.value))


def choose_fusion(rankings: Sequence[Ranking]) -> Fusion:
    """The best weight; None when the model alone is as good."""
    alone = _of_orders(rankings, lambda one: order_of(one.model))
    lexical = _of_orders(rankings, lambda one: order_of(one.lexical))
    fused = {weight: _fused(rankings, weight) for weight in WEIGHTS}
    best = max(fused, key=lambda weight: fused[weight].quality)
    tried = {"BM25 alone": lexical, "model alone": alone}
    tried |= {f"fused, weight {weight:g}": each for weight, each in fused.items()}
    if alone.quality >= fused[best].quality:
        return Fusion(None, alone, tried)
    return Fusion(best, fused[best], tried)


def added(lexical: Sequence[float], model: Sequence[float], weight: float) -> list[float]:
    """As the gateway fuses: either scaled to its best, the model's times `weight`
    (https://arxiv.org/abs/2210.11934)."""
    pairs = zip(_scaled(lexical), _scaled(model), strict=True)
    return [by_words + weight * by_model for by_words, by_model in pairs]


def _scaled(scores: Sequence[float]) -> list[float]:
    best = max(scores, default=0.0)
    return [score / best if score > 0 else 0.0 for score in scores]


def _cheapest(tried: Sequence[Candidate], of: Callable[[Candidate], Figures]) -> Candidate:
    best = max(of(one).quality for one in tried)
    enough = [one for one in tried if of(one).quality >= best - TOLERANCE]
    return min(enough, key=lambda one: (one.deepest_layer, len(one.heads)))


def _fused(rankings: Sequence[Ranking], weight: float) -> Figures:
    return _of_orders(rankings, lambda one: order_of(added(one.lexical, one.lent, weight)))


def _of_orders(rankings: Sequence[Ranking], order: Callable[[Ranking], list[int]]) -> Figures:
    return figures((one.set, order(one), one.gold) for one in rankings)


def _together(judged: Sequence[Judged], places: Sequence[int]) -> Figures:
    summed = ((one, one.scores[list(places)].sum(dim=0).tolist()) for one in judged)
    return figures((one.set, order_of(scores), one.gold) for one, scores in summed)


def _floor(value: float, answered: Sequence[float], foreign: Sequence[float]) -> Floor:
    kept = sum(score >= value for score in answered) / len(answered)
    return Floor(value, kept, sum(score < value for score in foreign) / len(foreign))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
