"""What becomes of the scores that a model gives: the gateway's own fusion and selection, and the
same with one choice undone. Pure.

A row for every choice: nothing is in the gateway's ranking because it sounds right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.retrieval.base import FLOOR, Scored
from gateway.retrieval.fusion import Fused, Weighing, fuse
from retriever.evaluating.ground import Ground, Scores, of_messages
from retriever.evaluating.methods import ANYTHING, Order, chosen, nothing
from retriever.profile import Embedding
from retriever.reading.likeness import promising

RECIPROCAL_K = 60  # https://doi.org/10.1145/1571941.1572114
WEIGHTS = (0.25, 0.5, 1.0, 2.0)
ALIKE_WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0)
SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Ranked:
    """What words and a model say of one question; `attended` is empty where nothing was read.
    `alike` are cosines of all messages, where there is an embedding; `windows` what was read."""

    ground: Ground
    lexical: Sequence[Scored]
    attended: Scores
    alike: Scores = field(default_factory=dict)
    windows: Sequence[Sequence[str]] = ()

    @property
    def shared(self) -> dict[str, float]:
        return of_messages(self.lexical)

    def fused(self, weighing: Weighing, share: float = 1.0) -> Fused:
        attended = self.asked(share)
        chunks = self.ground.index.chunks
        return fuse(chunks, self.shared, attended, weighing, nothing, self.alike)

    def asked(self, share: float) -> Scores:
        """As the tier answers that asks its heads about a share of the windows."""
        if share >= 1 or not self.alike:
            return self.attended
        cosines = [[self.alike[id] for id in window] for window in self.windows]
        best = promising(cosines, share)
        spared = (ids for i, ids in enumerate(self.windows) if i not in best)
        return {**self.attended, **{id: 0.0 for ids in spared for id in ids}}


Combine = Callable[[Ranked], Order]


def combinations(
    name: str,
    weight: float | None,
    floor: float,
    embedding: Embedding | None = None,
    *,
    ablations: bool,
) -> Mapping[str, Combine]:
    """The model alone, fused, and selected, by the names of their rows. A model that ranks alone
    (`weight` None) is not fused; `floor` is the model's, which selection goes by."""
    share = embedding.asked_share if embedding else 1.0
    weighing = Weighing(weight, ANYTHING, ANYTHING)
    judged = Weighing(weight, FLOOR, floor)
    if embedding:
        weighing = replace(weighing, alike=embedding.weight, alike_floor=ANYTHING)
        judged = replace(judged, alike=embedding.weight, alike_floor=embedding.floor)
    rows: dict[str, Combine] = {f"heads {name}": alone}
    if weight is not None:
        rows[f"fused {name}"] = _fused(weighing, share)
    rows[f"selected {name}"] = _selected(judged, share)
    undone = _undone(name, weighing, share) if weight is not None and ablations else {}
    return {**rows, **undone}


def _undone(name: str, weighing: Weighing, share: float) -> dict[str, Combine]:
    others = [one for one in WEIGHTS if one != weighing.weight]
    weights = {
        f"{name}: weight {one:g}": _fused(replace(weighing, weight=one), share) for one in others
    }
    return {
        f"{name}: reciprocal ranks": reciprocal,
        f"{name}: nothing lent": _fused(replace(weighing, lent=0.0), share),
        **weights,
        **(_undone_beside(name, weighing, share) if weighing.alike else {}),
    }


def _undone_beside(name: str, weighing: Weighing, share: float) -> dict[str, Combine]:
    """Choices about the embedding."""
    rows = {f"{name}: no embedding": _fused(replace(weighing, alike=0.0))}
    for one in ALIKE_WEIGHTS:
        if one != weighing.alike:
            other = replace(weighing, alike=one)
            rows[f"{name}: embedding {one:g}"] = _fused(other, share)
    for one in SHARES:
        if one != share:
            rows[f"{name}: windows asked {one:g}"] = _fused(weighing, one)
    return rows


def alone(ranked: Ranked) -> Order:
    return Order(ranked.attended, max(ranked.attended.values(), default=0.0))


def _fused(weighing: Weighing, share: float = 1.0) -> Combine:
    return lambda ranked: Order(of_messages(ranked.fused(weighing, share).scored))


def _selected(weighing: Weighing, share: float = 1.0) -> Combine:
    """What would go into a prompt, best first: those left out are no part of the order."""

    def selected(ranked: Ranked) -> Order:
        found = ranked.fused(weighing, share)
        return chosen(found.scored, found.scale)

    return selected


def reciprocal(ranked: Ranked) -> Order:
    """Reciprocal rank fusion; what one method leaves out has no rank in it."""
    summed: dict[str, float] = {}
    for scores in (ranked.shared, ranked.attended, ranked.alike):
        for rank, id in enumerate(ranked.ground.order(scores), start=1):
            summed[id] = summed.get(id, 0.0) + 1 / (RECIPROCAL_K + rank)
    return Order(summed)
