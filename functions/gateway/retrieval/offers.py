"""What competes for the prompt: a chunk's messages, each alone where the chunk is big. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.retrieval.base import Passage, Scored

WHOLE_SHARE = 8  # a chunk of at most this part of the budget goes in whole

ChunkKey = tuple[int, str]  # its place and its first message's id


@dataclass(frozen=True, slots=True)
class Line:
    """A message with its score, its chunk and its place in it; `cost` is in tokens."""

    passage: Passage
    score: float
    chunk: ChunkKey
    position: int
    cost: int

    @property
    def age(self) -> tuple[float, ChunkKey, int]:
        """Later is greater."""
        return self.passage.at, self.chunk, self.position


@dataclass(frozen=True, slots=True)
class Offer:
    """Messages of one chunk that go in together."""

    lines: Sequence[Line]
    value: float

    def order(self) -> tuple[float, float, ChunkKey, int]:
        """Best first, then latest."""
        first = self.lines[0]
        return -self.value, -first.passage.at, first.chunk, first.position


def lines_of(
    scored: Iterable[Scored], in_hand: Callable[[Passage], bool], overhead: int
) -> Iterator[list[Line]]:
    """Each chunk's messages that may go in."""
    for one in scored:
        key = (one.place, one.chunk.passages[0].id)
        each = enumerate(zip(one.chunk.passages, one.passage_scores, strict=True))
        lines = [
            Line(it, score, key, i, it.tokens + overhead)
            for i, (it, score) in each
            if not in_hand(it)
        ]
        if lines:
            yield lines


def least_of(
    scored: Iterable[Scored], in_hand: Callable[[Passage], bool], floor: float, relative: float
) -> float:
    """The score to reach: infinite when the best message that may go in is below the floor."""
    best = 0.0
    for one in scored:
        if one.score > best:
            each = zip(one.chunk.passages, one.passage_scores, strict=True)
            better = (score for it, score in each if score > best and not in_hand(it))
            best = max(better, default=best)
    return math.inf if best <= 0 or best < floor else relative * best


def offers(
    chunks: Iterable[Sequence[Line]], least: float, cost_power: float, budget: int
) -> Iterator[Offer]:
    for lines in chunks:
        whole = sum(line.cost for line in lines) * WHOLE_SHARE <= budget
        for part in [lines] if whole else [[line] for line in lines]:
            score = max(line.score for line in part)
            if score >= least:
                cost = sum(line.cost for line in part)
                yield Offer(part, score / max(1, cost) ** cost_power)
