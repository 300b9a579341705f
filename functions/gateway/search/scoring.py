"""How a search weighs what it found: relevance above all, then importance and recency. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.retention.decisions import DAY_SECONDS
from gateway.retrieval.base import Passage, Scored

HALF_LIFE_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score is made of, each from 0 to 1. The most relevant of what was found has 1."""

    relevance: float
    importance: float
    recency: float


@dataclass(frozen=True, slots=True)
class Weights:
    """Raises ValueError when all are 0."""

    relevance: float = 0.85
    importance: float = 0.10
    recency: float = 0.05

    def __post_init__(self) -> None:
        if not self._whole > 0:
            raise ValueError("one of the SEARCH_WEIGHT_... must be more than 0")

    @property
    def _whole(self) -> float:
        return self.relevance + self.importance + self.recency

    def score(self, parts: Parts) -> float:
        """From 0 to 1, whatever the weights add up to."""
        weighed = (
            self.relevance * parts.relevance
            + self.importance * parts.importance
            + self.recency * parts.recency
        )
        return min(1.0, weighed / self._whole)


@dataclass(frozen=True, slots=True)
class Match:
    """A message that was found; `relevance` is the ranker's own until it is `scaled`."""

    passage: Passage
    relevance: float


def recency(at: float, now: float) -> float:
    """1 for what was said now, half of it a month later."""
    return float(2 ** (-max(0.0, now - at) / DAY_SECONDS / HALF_LIFE_DAYS))


def matches(scored: Sequence[Scored], known: Collection[str] = ()) -> list[Match]:
    """The messages with a score, each once, the most relevant first; none whose id is `known`."""
    best: dict[str, Match] = {}
    for one in scored:
        for passage, score in zip(one.chunk.passages, one.passage_scores, strict=True):
            held = best.get(passage.id)
            if score > (held.relevance if held else 0.0) and passage.id not in known:
                best[passage.id] = Match(passage, score)
    return sorted(best.values(), key=_order)


def scaled(found: Sequence[Match], to: float = 1.0) -> list[Match]:
    """With relevances from 0 to `to`, which the first and most relevant one gets."""
    best = found[0].relevance if found else 0.0
    return [Match(one.passage, to * (one.relevance / best)) for one in found]


def room_below(found: Sequence[Match]) -> float:
    """What another ranking's best may get behind these: half of what the last one has."""
    return found[-1].relevance / 2 if found else 1.0


def _order(match: Match) -> tuple[float, float, str]:
    return -match.relevance, -match.passage.at, match.passage.id
