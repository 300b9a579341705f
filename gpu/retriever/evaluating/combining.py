"""What becomes of the scores that a model gives: the gateway's own fusion and selection, and the
same with one choice undone. Pure.

A row for every choice: nothing is in the gateway's ranking because it sounds right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.retrieval.base import FLOOR, Scored
from gateway.retrieval.fusion import Fused, Weighing, fuse
from retriever.evaluating.ground import Ground, Scores, of_messages
from retriever.evaluating.methods import ANYTHING, Order, chosen, nothing

RECIPROCAL_K = 60  # https://doi.org/10.1145/1571941.1572114
WEIGHTS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Ranked:
    """What words and a model say of one question; `attended` is empty where nothing was read."""

    ground: Ground
    lexical: Sequence[Scored]
    attended: Scores

    @property
    def shared(self) -> dict[str, float]:
        return of_messages(self.lexical)

    def fused(self, weighing: Weighing) -> Fused:
        return fuse(self.ground.index.chunks, self.shared, self.attended, weighing, nothing)


Combine = Callable[[Ranked], Order]


def combinations(
    name: str, weight: float | None, floor: float, *, ablations: bool
) -> Mapping[str, Combine]:
    """The model alone, fused, and selected, by the names of their rows. A model that ranks alone
    (`weight` None) is not fused; `floor` is the model's, which selection goes by."""
    weighing = Weighing(weight, ANYTHING, ANYTHING)
    rows: dict[str, Combine] = {f"heads {name}": alone}
    if weight is not None:
        rows[f"fused {name}"] = _fused(weighing)
    rows[f"selected {name}"] = _selected(Weighing(weight, FLOOR, floor))
    undone = _undone(name, weighing) if weight is not None and ablations else {}
    return {**rows, **undone}


def _undone(name: str, weighing: Weighing) -> dict[str, Combine]:
    others = [one for one in WEIGHTS if one != weighing.weight]
    weights = {f"{name}: weight {one:g}": _fused(replace(weighing, weight=one)) for one in others}
    return {
        f"{name}: reciprocal ranks": reciprocal,
        f"{name}: nothing lent": _fused(replace(weighing, lent=0.0)),
        **weights,
    }


def alone(ranked: Ranked) -> Order:
    return Order(ranked.attended, max(ranked.attended.values(), default=0.0))


def _fused(weighing: Weighing) -> Combine:
    return lambda ranked: Order(of_messages(ranked.fused(weighing).scored))


def _selected(weighing: Weighing) -> Combine:
    """What would go into a prompt, best first: those left out are no part of the order."""

    def selected(ranked: Ranked) -> Order:
        found = ranked.fused(weighing)
        return chosen(found.scored, found.scale)

    return selected


def reciprocal(ranked: Ranked) -> Order:
    """Reciprocal rank fusion; what one method leaves out has no rank in it."""
    summed: dict[str, float] = {}
    for scores in (ranked.shared, ranked.attended):
        for rank, id in enumerate(ranked.ground.order(scores), start=1):
            summed[id] = summed.get(id, 0.0) + 1 / (RECIPROCAL_K + rank)
    return Order(summed)
