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
from gateway.retrieval.scores import Scores, added, lent, scaled, stretched

LEXICAL, REMOTE, ALIKE = "lexical", "gpu", "embedding"
LENT = 0.4  # as with shared words

# Whether anything is relevant is asked of the methods, before their scores are added.
FUSED = Scale(floor=0.0)
BESIDE = Scale(floor=0.0, relative=0.5)  # a cosine of nothing alike is not nothing
ALONE = Scale(floor=0.0)

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
    beside = NONE if weighing.weight is None or not weighing.alike else alike
    passages = {
        one.id: (one.at, place)
        for place, chunk in enumerate(chunks)
        for one in chunk.passages
        if (one.id in lexical or one.id in remote or one.id in beside) and not in_hand(one)
    }
    shared = {id: lexical[id] for id in passages if lexical.get(id, 0.0) > 0}
    attended = {id: remote[id] for id in passages if id in remote}
    likened = {id: beside[id] for id in passages if id in beside}
    scale = ALONE if weighing.weight is None else BESIDE if likened else FUSED
    if not _relevant(shared, attended, likened, weighing):
        return Fused((), scale, {})
    orders = {LEXICAL: shared, REMOTE: attended, ALIKE: likened}
    scores = _together(chunks, shared, attended, likened, weighing)
    return Fused(_scored(chunks, scores), scale, _ranks(orders, passages))


def _together(
    chunks: Sequence[Chunk], shared: Scores, attended: Scores, likened: Scores, weighing: Weighing
) -> Scores:
    """Each message's score from 0 to 1; a model that has read a part of the memory weighs that."""
    if weighing.weight is None:
        return stretched(attended, weighing.remote_floor)
    part = len(attended) / len(likened) if likened else 1.0
    return added(
        (scaled(shared), 1.0),
        (scaled(lent(scaled(attended), chunks, weighing.lent)), weighing.weight * part),
        (scaled(lent(scaled(likened), chunks, weighing.lent)), weighing.alike),
    )


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


def _ranks(
    orders: Mapping[str, Scores], passages: Mapping[str, tuple[float, int]]
) -> dict[str, dict[str, int]]:
    """Of each message by each method that scored it, 1 the best; of equal ones the latest first."""
    ranks: dict[str, dict[str, int]] = {id: {} for id in passages}
    for name, scores in orders.items():
        order = sorted(scores, key=lambda one: (scores[one], *passages[one], one), reverse=True)
        for rank, id in enumerate(order, start=1):
            ranks[id][name] = rank
    return ranks


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
