"""Results of several searches as one: reciprocal rank fusion. Pure.

Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods" (2009), https://doi.org/10.1145/1571941.1572114
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.search.search import Hit

K = 60


@dataclass(frozen=True, slots=True)
class Fused:
    """A message once; `ranks` are those that it has, from 1 on, by the number of the search.

    `score` is 1 for what every search has first.
    """

    hit: Hit
    score: float
    ranks: dict[int, int]


def fused(results: Sequence[Sequence[Hit]]) -> list[Fused]:
    """The best first; of equal ones the one that its own search scored higher."""
    hits: dict[str, Hit] = {}
    ranks: dict[str, dict[int, int]] = {}
    for number, result in enumerate(results):
        for rank, hit in enumerate(result, start=1):
            id = hit.passage.id
            if id not in hits or hit.score > hits[id].score:
                hits[id] = hit
            ranks.setdefault(id, {}).setdefault(number, rank)
    found = [Fused(hits[id], _score(held, len(results)), held) for id, held in ranks.items()]
    return sorted(found, key=lambda one: (-one.score, -one.hit.score, one.hit.passage.id))


def _score(ranks: dict[int, int], searches: int) -> float:
    return sum((K + 1) / (K + rank) for rank in ranks.values()) / searches
