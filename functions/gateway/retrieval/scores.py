"""Arithmetic of messages' scores, whatever gave them. Pure."""

from collections.abc import Mapping, Sequence

from gateway.retrieval.base import Chunk

Scores = Mapping[str, float]


def added(*weighed: tuple[Scores, float]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for scores, weight in weighed:
        for id, score in scores.items():
            summed[id] = summed.get(id, 0.0) + weight * score
    return scaled(summed)


def scaled(scores: Scores) -> dict[str, float]:
    """From 0, which all below it become, to 1, the best one."""
    best = max(scores.values(), default=0.0)
    return {id: score / best if score > 0 else 0.0 for id, score in scores.items()}


def lent(scores: Scores, chunks: Sequence[Chunk], share: float) -> dict[str, float]:
    """Scores with what neighbours in their session lend: a model attends to an answer, or to the
    question before it, and the evidence tends to be both."""
    loaned = dict(scores)
    last: dict[str, str] = {}
    told: set[str] = set()
    for passage in (one for chunk in chunks for one in chunk.passages):
        if passage.id in told:
            continue
        told.add(passage.id)
        before = last.get(passage.session, "")
        for one, other in ((before, passage.id), (passage.id, before)):
            if one in scores:
                loaned[one] += share * scores.get(other, 0.0)
        last[passage.session] = passage.id
    return loaned


def stretched(scores: Scores, floor: float) -> dict[str, float]:
    """Scores from the floor to the best, stretched to 0 to 1.

    From the lowest one where all lie above the floor or none does.
    """
    best, lowest = max(scores.values(), default=0.0), min(scores.values(), default=0.0)
    base = max(lowest, floor) if floor < best else lowest
    span = best / 2 - base / 2  # halves: two finite numbers may lie further apart than one can be
    if span <= 0:
        return {id: 1.0 for id, score in scores.items() if score >= best}
    return {id: (score / 2 - base / 2) / span for id, score in scores.items() if score > base}
