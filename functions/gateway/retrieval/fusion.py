"""One order out of two: what shares words with the question, and what a model attends to. Pure.

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

LEXICAL, REMOTE = "lexical", "gpu"
LENT = 0.4  # as with shared words

# Whether anything is relevant is asked of the two methods, before their scores are added.
FUSED = Scale(floor=0.0)
ALONE = Scale(floor=0.0)

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fused:
    """Chunks best first, their scores from 0 to 1, and each message's rank by either method."""

    scored: Sequence[Scored]
    scale: Scale
    ranks: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Weighing:
    """`weight` is that of the remote scores beside the lexical ones' of 1; None: the model ranks
    alone. Best scores below their method's floor prove nothing relevant. `lent` is the part of a
    message's attention that those right before and after it in their session get."""

    weight: float | None
    lexical_floor: float
    remote_floor: float
    lent: float = LENT


def fuse(
    chunks: Sequence[Chunk],
    lexical: Scores,
    remote: Scores,
    weighing: Weighing,
    in_hand: Callable[[Passage], bool],
) -> Fused:
    """Rank `chunks` by both methods' scores of their messages, those `in_hand` left out.

    Nothing is relevant unless the two methods together say so.
    """
    passages = {
        one.id: (one.at, place)
        for place, chunk in enumerate(chunks)
        for one in chunk.passages
        if (one.id in lexical or one.id in remote) and not in_hand(one)
    }
    shared = {id: lexical[id] for id in passages if lexical.get(id, 0.0) > 0}
    attended = {id: remote[id] for id in passages if id in remote}
    scale = ALONE if weighing.weight is None else FUSED
    if not _relevant(shared, attended, weighing):
        return Fused((), scale, {})
    by_words, by_model = _ranked(shared, passages), _ranked(attended, passages)
    if weighing.weight is None:
        scores = _stretched(attended, weighing.remote_floor)
    else:
        attended = _lent(_scaled(attended), chunks, weighing.lent)
        scores = _added(_scaled(shared), _scaled(attended), weighing.weight)
    ranks = {id: _named(by_words.get(id), by_model.get(id)) for id in passages}
    return Fused(_scored(chunks, scores), scale, ranks)


def _relevant(shared: Scores, attended: Scores, weighing: Weighing) -> bool:
    """Whether the two best scores reach their floors on the mean: one that is far above makes up
    for another below. Of a model that ranks alone, or a floor that refuses nothing, either does."""
    words, model = max(shared.values(), default=0.0), max(attended.values(), default=0.0)
    floors = weighing.lexical_floor, weighing.remote_floor
    if weighing.weight is not None and attended and min(floors) > 0:
        return max(0.0, words) / floors[0] + max(0.0, model) / floors[1] >= 2
    return bool(shared and words >= floors[0]) or bool(attended and model >= floors[1])


def _ranked(scores: Scores, passages: Mapping[str, tuple[float, int]]) -> dict[str, int]:
    """Each message's rank, 1 the best; of equal ones the latest first."""
    order = sorted(scores, key=lambda one: (scores[one], *passages[one], one), reverse=True)
    return {id: rank for rank, id in enumerate(order, start=1)}


def _added(by_words: Scores, by_model: Scores, weight: float) -> dict[str, float]:
    ids = [*by_words, *(id for id in by_model if id not in by_words)]
    return _scaled({id: by_words.get(id, 0.0) + weight * by_model.get(id, 0.0) for id in ids})


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


def _named(by_words: int | None, by_model: int | None) -> dict[str, int]:
    named = {LEXICAL: by_words, REMOTE: by_model}
    return {name: rank for name, rank in named.items() if rank is not None}
