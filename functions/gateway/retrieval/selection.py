"""Which remembered messages go into the prompt, under a token budget. Pure.

Greedy by score over cost: a long message must be worth its tokens, though a quarter power keeps a
slightly shorter one from passing a much better one (tests/benchmarks/lexical_recall.py). A chunk
goes in whole unless it would take an eighth of the budget; then its messages compete one by one.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.retrieval.base import COST_POWER, FLOOR, RELATIVE, Passage, Scored
from gateway.retrieval.terms import words

WHOLE_SHARE = 8
SHINGLE_WORDS = 3
NEAR = 0.9  # Jaccard similarity: one word changed among sixty

ChunkKey = tuple[int, str]  # its place and its first message's id
Shingle = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """A message to send; rank 1 has the best score of those selected."""

    passage: Passage
    score: float
    rank: int


def select(
    scored: Sequence[Scored],
    *,
    budget_tokens: int,
    top_k: int,
    floor: float = FLOOR,
    relative: float = RELATIVE,
    cost_power: float = COST_POWER,
    exclude: Collection[str] = (),
    overhead_tokens: int = 0,
) -> list[Selected]:
    """At most `top_k` chunks' messages within `budget_tokens`, in time order, none twice.

    A message costs its tokens and `overhead_tokens`. Those whose ids are in `exclude` stay out and
    lend their chunk no score. The order of `scored` does not matter; `floor`, `relative` and
    `cost_power` are as in `Scale`.
    """
    basket = _Basket(budget_tokens, top_k, overhead_tokens)
    chunks = list(_lines(scored, frozenset(exclude)))
    least = _least(chunks, floor, relative)
    offers = _offers(chunks, least, cost_power, budget_tokens, overhead_tokens)
    for offer in sorted(offers, key=_Offer.order):
        basket.take(offer)
    return _in_time_order(basket.lines)


@dataclass(frozen=True, slots=True)
class _Line:
    """A message with its score, its chunk and its place in it."""

    passage: Passage
    score: float
    chunk: ChunkKey
    position: int

    @property
    def age(self) -> tuple[float, ChunkKey, int]:
        """Later is greater."""
        return self.passage.at, self.chunk, self.position


@dataclass(frozen=True, slots=True)
class _Offer:
    """Messages of one chunk that go in together."""

    lines: Sequence[_Line]
    value: float

    def order(self) -> tuple[float, float, ChunkKey, int]:
        """Best first, then latest."""
        first = self.lines[0]
        return -self.value, -first.passage.at, first.chunk, first.position


class _Basket:
    """What has been chosen so far, known by its shingles so that nothing goes in twice."""

    def __init__(self, budget_tokens: int, top_k: int, overhead_tokens: int) -> None:
        self._left = budget_tokens
        self._top_k = top_k
        self._overhead = overhead_tokens
        self._chosen: dict[str, _Line] = {}
        self._shingles: dict[str, frozenset[Shingle]] = {}
        self._holders: defaultdict[Shingle, set[str]] = defaultdict(set)

    @property
    def lines(self) -> list[_Line]:
        return list(self._chosen.values())

    def take(self, offer: _Offer) -> None:
        """Put in what is new of the offer, or none of it when that does not fit."""
        new = [line for line in offer.lines if line.passage.id not in self._chosen]
        cost = sum(_cost(line, self._overhead) for line in new)
        chunks = {line.chunk for line in self._chosen.values()} | {line.chunk for line in new}
        if cost <= self._left and len(chunks) <= self._top_k:
            for line in new:
                self._take(line)

    def _take(self, line: _Line) -> None:
        """A near-duplicate replaces what it repeats if it is later, else it stays out."""
        shingles = _shingles(line.passage.text)
        repeated = self._near(shingles)
        if not repeated:
            self._put(line, shingles)
        elif len(repeated) == 1 and line.age > self._chosen[repeated[0]].age:
            earlier = self._remove(repeated[0])
            self._put(replace(line, score=max(line.score, earlier.score)), shingles)

    def _put(self, line: _Line, shingles: frozenset[Shingle]) -> None:
        self._chosen[line.passage.id] = line
        self._shingles[line.passage.id] = shingles
        self._left -= _cost(line, self._overhead)
        for shingle in shingles:
            self._holders[shingle].add(line.passage.id)

    def _remove(self, id: str) -> _Line:
        for shingle in self._shingles.pop(id):
            self._holders[shingle].discard(id)
        line = self._chosen.pop(id)
        self._left += _cost(line, self._overhead)
        return line

    def _near(self, shingles: frozenset[Shingle]) -> list[str]:
        """Ids of the chosen messages whose shingles are nearly these."""
        shared = Counter(id for one in shingles for id in self._holders.get(one, ()))
        return [
            id
            for id, both in shared.items()
            if both >= NEAR * (len(shingles) + len(self._shingles[id]) - both)
        ]


def _lines(scored: Sequence[Scored], exclude: Collection[str]) -> Iterator[list[_Line]]:
    """Each chunk's messages that may go in."""
    for one in scored:
        key = (one.place, one.chunk.passages[0].id)
        each = enumerate(zip(one.chunk.passages, one.passage_scores, strict=True))
        lines = [_Line(it, score, key, i) for i, (it, score) in each if it.id not in exclude]
        if lines:
            yield lines


def _least(chunks: Sequence[list[_Line]], floor: float, relative: float) -> float:
    """The score to reach: infinite when the best chunk is below the floor."""
    best = max((line.score for lines in chunks for line in lines), default=0.0)
    return math.inf if best <= 0 or best < floor else relative * best


def _offers(
    chunks: Iterable[list[_Line]], least: float, cost_power: float, budget: int, overhead: int
) -> Iterator[_Offer]:
    for lines in chunks:
        whole = sum(_cost(line, overhead) for line in lines) * WHOLE_SHARE <= budget
        for part in [lines] if whole else [[line] for line in lines]:
            score = max(line.score for line in part)
            if score >= least:
                cost = sum(_cost(line, overhead) for line in part)
                yield _Offer(part, score / max(1, cost) ** cost_power)


def _cost(line: _Line, overhead: int) -> int:
    return line.passage.tokens + overhead


def _in_time_order(lines: Sequence[_Line]) -> list[Selected]:
    by_score = sorted(lines, key=lambda line: line.age, reverse=True)
    by_score.sort(key=lambda line: -line.score)
    ranks = {line.passage.id: rank for rank, line in enumerate(by_score, start=1)}
    return [
        Selected(line.passage, line.score, ranks[line.passage.id])
        for line in sorted(lines, key=lambda line: line.age)
    ]


def _shingles(text: str) -> frozenset[Shingle]:
    """Runs of words; of a text without words, the text itself."""
    found = words(text) or [" ".join(text.split())]
    last = max(1, len(found) - SHINGLE_WORDS + 1)
    return frozenset(tuple(found[i : i + SHINGLE_WORDS]) for i in range(last))
