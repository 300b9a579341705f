"""One order out of several: what shares words with the question, what a model attends to, and what
a light embedding finds alike. Pure.

A model that is good enough ranks alone; the scores of another are added to BM25's, either scaled to
its best. Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023),
https://arxiv.org/abs/2210.11934: such a sum finds more than reciprocal ranks do, which forget how
far ahead the best one is. Here no interval tells them apart (ARCHITECTURE.md has the figures); how
far ahead it is, selection needs to know.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.retrieval.base import Chunk, Passage, Scale, Scored
from gateway.retrieval.lexical import MOST_RANKED

LEXICAL, REMOTE, ALIKE = "lexical", "gpu", "embedding"
LENT = 0.4  # as with shared words

# Whether anything is relevant is asked of the methods, before their scores are added.
FUSED = Scale(floor=0.0)
BESIDE = Scale(floor=0.0, relative=0.5)  # a cosine of nothing alike is not nothing
ALONE = Scale(floor=0.0)

Scores = Mapping[str, float]
NONE: Scores = {}


@dataclass(frozen=True, slots=True)
class Fused:
    """Chunks best first, their scores from 0 to 1, and each message's rank by each method."""

    scored: Sequence[Scored]
    scale: Scale
    ranks: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Weighing:
    """`weight` is that of the remote scores beside the lexical ones' of 1; None: the model ranks
    alone. Best scores below their method's floor prove nothing relevant. `lent` is the part of a
    message's attention, or likeness, that those right before and after it in their session get.
    `alike` is the embedding's weight, where there is one beside a model that does not rank alone;
    beside it a model that has read a part of the memory weighs that part.
    """

    weight: float | None
    lexical_floor: float
    remote_floor: float
    lent: float = LENT
    alike: float = 0.0
    alike_floor: float = 0.0


def fuse(
    chunks: Sequence[Chunk],
    lexical: Scores,
    remote: Scores,
    weighing: Weighing,
    in_hand: Callable[[Passage], bool],
    alike: Scores = NONE,
) -> Fused:
    """Rank `chunks` by all methods' scores of their messages, those `in_hand` left out. `remote`
    may be of some messages; `alike` is of all or none.

    Nothing is relevant unless the methods together say so.
    """
    alone = weighing.weight is None
    beside = NONE if alone or not weighing.alike else alike
    passages = {
        one.id: (one.at, place)
        for place, chunk in enumerate(chunks)
        for one in chunk.passages
        if (one.id in lexical or one.id in remote or one.id in beside) and not in_hand(one)
    }
    shared = {id: lexical[id] for id in passages if lexical.get(id, 0.0) > 0}
    attended = {id: remote[id] for id in passages if id in remote}
    likened = {id: beside[id] for id in passages if id in beside}
    scale = ALONE if alone else BESIDE if likened else FUSED
    if not _relevant(shared, attended, likened, weighing):
        return Fused((), scale, {})
    if weighing.weight is None:
        scores = _stretched(attended, weighing.remote_floor)
    else:
        part = len(attended) / len(likened) if likened else 1.0
        scores = _added(
            (_scaled(shared), 1.0),
            (_scaled(_lent(_scaled(attended), chunks, weighing.lent)), weighing.weight * part),
            (_scaled(_lent(_scaled(likened), chunks, weighing.lent)), weighing.alike),
        )
    orders = {LEXICAL: shared, REMOTE: attended, ALIKE: likened}
    ranked = {name: _ranked(scores, passages) for name, scores in orders.items()}
    ranks = {
        id: {name: order[id] for name, order in ranked.items() if id in order} for id in passages
    }
    return Fused(_scored(chunks, scores), scale, ranks)


def _relevant(shared: Scores, attended: Scores, likened: Scores, weighing: Weighing) -> bool:
    """Whether the methods' best scores reach their floors on the mean: one that is far above makes
    up for another below. Of a model that ranks alone, or a floor that refuses nothing, any does."""
    words = max(shared.values(), default=0.0), weighing.lexical_floor
    models = (attended, weighing.remote_floor), (likened, weighing.alike_floor)
    others = [(max(scores.values()), floor) for scores, floor in models if scores]
    best = [words, *others]
    if weighing.weight is not None and others and min(floor for _, floor in best) > 0:
        return sum(max(0.0, score) / floor for score, floor in best) >= len(best)
    return any(score >= floor for score, floor in (best if shared else others))


def _ranked(scores: Scores, passages: Mapping[str, tuple[float, int]]) -> dict[str, int]:
    """Each message's rank, 1 the best; of equal ones the latest first."""
    order = sorted(scores, key=lambda one: (scores[one], *passages[one], one), reverse=True)
    return {id: rank for rank, id in enumerate(order, start=1)}


def _added(*weighed: tuple[Scores, float]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for scores, weight in weighed:
        for id, score in scores.items():
            summed[id] = summed.get(id, 0.0) + weight * score
    return _scaled(summed)


def _scaled(scores: Scores) -> dict[str, float]:
    """From 0, which all below it become, to 1, the best one."""
    best = max(scores.values(), default=0.0)
    return {id: score / best if score > 0 else 0.0 for id, score in scores.items()}


def _lent(scores: Scores, chunks: Sequence[Chunk], share: float) -> dict[str, float]:
    """Scores with what neighbours in their session lend: a model attends to an answer, or to the
    question before it, and the evidence tends to be both."""
    lent = dict(scores)
    last: dict[str, str] = {}
    told: set[str] = set()
    for passage in (one for chunk in chunks for one in chunk.passages):
        if passage.id in told:
            continue
        told.add(passage.id)
        before = last.get(passage.session, "")
        for one, other in ((before, passage.id), (passage.id, before)):
            if one in scores:
                lent[one] += share * scores.get(other, 0.0)
        last[passage.session] = passage.id
    return lent


def _stretched(scores: Scores, floor: float) -> dict[str, float]:
    """Scores from the floor to the best, stretched to 0 to 1.

    From the lowest one where all lie above the floor or none does.
    """
    best, lowest = max(scores.values(), default=0.0), min(scores.values(), default=0.0)
    base = max(lowest, floor) if floor < best else lowest
    span = best / 2 - base / 2  # halves: two finite numbers may lie further apart than one can be
    if span <= 0:
        return {id: 1.0 for id, score in scores.items() if score >= best}
    return {id: (score / 2 - base / 2) / span for id, score in scores.items() if score > base}


def _scored(chunks: Sequence[Chunk], scores: Scores) -> list[Scored]:
    """The best chunks, equal ones latest first, as `lexical.rank` gives them."""
    found: list[tuple[float, float, int]] = []
    for place, chunk in enumerate(chunks):
        score = max(scores.get(one.id, 0.0) for one in chunk.passages)
        if score > 0:
            found.append((score, chunk.passages[0].at, place))
    return [
        Scored(
            chunks[place],
            score,
            tuple(scores.get(p.id, 0.0) for p in chunks[place].passages),
            place,
        )
        for score, _, place in heapq.nlargest(MOST_RANKED, found)
    ]
