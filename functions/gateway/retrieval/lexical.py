"""Ranking by shared words: BM25 over indexes that are built once and kept. Pure.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
https://doi.org/10.1561/1500000019, with the inverse document frequency that Lucene uses (never
negative). Documents are single messages. A message borrows from the ones said right before and after
it, since an answer seldom repeats its question's words, and a chunk scores as its best message.
"""

import heapq
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from sys import intern

from gateway.retrieval.base import Chunk, Passage, Scored
from gateway.retrieval.terms import terms

K1 = 1.2
B = 0.75
BORROWED = 0.4  # of each neighbour's score
MAX_QUERY_TERMS = 64  # the rarest of them
MOST_COUNTED = 255  # occurrences of a term in one message: one byte, and BM25 is flat long before
MOST_RANKED = 256

Weights = Mapping[str, float]


class LexicalIndex:
    """The postings of some chunks, such as a segment's. Immutable, so its owner may cache it.

    Postings lie end to end in flat arrays: term `slots[t]` has those from `ends[slot - 1]` to
    `ends[slot]`. Terms are interned, so that segments share their strings.
    """

    __slots__ = (
        "_after", "_before", "_chunk", "_counts", "_ends", "_lengths", "_numbers", "_slots",
        "_total", "chunks",
    )  # fmt: skip

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = tuple(chunks)
        passages = [passage for chunk in self.chunks for passage in chunk.passages]
        owners = ([i] * len(chunk.passages) for i, chunk in enumerate(self.chunks))
        self._chunk = array("I", (i for run in owners for i in run))
        self._before, self._after = _neighbours(passages)
        self._lengths = array("I")
        self._index(passages)
        self._total = sum(self._lengths)

    def _index(self, passages: Sequence[Passage]) -> None:
        numbers: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        counts: defaultdict[str, bytearray] = defaultdict(bytearray)
        for number, passage in enumerate(passages):
            found = terms(passage.text)
            self._lengths.append(len(found))
            for term, count in Counter(found).items():
                numbers[term].append(number)
                counts[term].append(min(count, MOST_COUNTED))
        self._slots = {intern(term): slot for slot, term in enumerate(numbers)}
        self._ends = array("I", accumulate(map(len, numbers.values())))
        self._numbers = array("I", (n for run in numbers.values() for n in run))
        self._counts = b"".join(counts.values())

    @property
    def size(self) -> int:
        """How many messages it holds."""
        return len(self._chunk)

    @property
    def length(self) -> int:
        """How many terms they have together."""
        return self._total

    def holding(self, term: str) -> int:
        """How many messages hold `term`."""
        start, end = self._span(term)
        return end - start

    def scored(self, weights: Weights, average: float) -> list[Scored]:
        """Every chunk that shares a term with `weights`, in the chunks' order."""
        scores = self._with_neighbours(self._bm25(weights, average))
        best: dict[int, float] = {}
        for number, score in scores.items():
            chunk = self._chunk[number]
            best[chunk] = max(best.get(chunk, 0.0), score)
        return [Scored(self.chunks[i], score, self._of(i, scores)) for i, score in best.items()]

    def _span(self, term: str) -> tuple[int, int]:
        slot = self._slots.get(term)
        if slot is None:
            return 0, 0
        return (self._ends[slot - 1] if slot else 0), self._ends[slot]

    def _bm25(self, weights: Weights, average: float) -> dict[int, float]:
        scores: dict[int, float] = {}
        for term, weight in weights.items():
            start, end = self._span(term)
            for i in range(start, end):
                number, count = self._numbers[i], self._counts[i]
                norm = K1 * (1 - B + B * self._lengths[number] / average)
                gain = weight * count * (K1 + 1) / (count + norm)
                scores[number] = scores.get(number, 0.0) + gain
        return scores

    def _with_neighbours(self, own: dict[int, float]) -> dict[int, float]:
        scores = dict(own)
        for number, score in own.items():
            for neighbour in (self._before[number], self._after[number]):
                if neighbour != number:
                    scores[neighbour] = scores.get(neighbour, 0.0) + BORROWED * score
        return scores

    def _of(self, chunk: int, scores: Mapping[int, float]) -> tuple[float, ...]:
        first = self._chunk.index(chunk)
        passages = range(first, first + len(self.chunks[chunk].passages))
        return tuple(scores.get(number, 0.0) for number in passages)


def rank(query: str, indexes: Sequence[LexicalIndex]) -> list[Scored]:
    """Chunks that share a term with the query, best first; later ones first among equals."""
    size = sum(index.size for index in indexes)
    average = sum(index.length for index in indexes) / size if size else 1.0
    weights: dict[str, float] = {}
    for term in set(terms(query)):
        holding = sum(index.holding(term) for index in indexes)
        if holding:
            weights[term] = math.log(1 + (size - holding + 0.5) / (holding + 0.5))
    best = sum(weights.values()) * (K1 + 1) or 1.0
    scored = [one for index in indexes for one in index.scored(weights, average or 1.0)]
    scored.sort(key=lambda one: -one.score)
    return [
        Scored(one.chunk, one.score / best, tuple(s / best for s in one.passage_scores))
        for one in scored[:MOST_RANKED]
    ]


def _neighbours(passages: Sequence[Passage]) -> "tuple[array[int], array[int]]":
    before, after = array("I"), array("I")
    for i, passage in enumerate(passages):
        same_before = i > 0 and passages[i - 1].session == passage.session
        same_after = i + 1 < len(passages) and passages[i + 1].session == passage.session
        before.append(i - 1 if same_before else i)
        after.append(i + 1 if same_after else i)
    return before, after
