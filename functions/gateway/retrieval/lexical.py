"""Ranking by shared words: BM25 over indexes that are built once and kept. Pure.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
https://doi.org/10.1561/1500000019, with the inverse document frequency that Lucene uses (never
negative). Documents are single messages. A message borrows from the ones said right before and
after it, since an answer seldom repeats its question's words; a chunk scores as its best message.
"""

import heapq
import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from sys import getsizeof, intern

from gateway.retrieval.base import (
    FLOOR,
    Chunk,
    Forgotten,
    Passage,
    Question,
    Ranking,
    Scale,
    Scored,
    Standing,
)
from gateway.retrieval.terms import terms

K1 = 1.2
B = 0.75
BORROWED = 0.4  # of each neighbour's score
MAX_QUERY_TERMS = 64  # the rarest of them
YOUNG = 200  # messages; of a memory of three, a word said once would be a common one
THIN = 2  # a query weighs at least as much as this many unheard-of terms: "thanks" proves little
MOST_COUNTED = 255  # occurrences of a term in one message: one byte, and BM25 is flat long before
MOST_RANKED = 256
SLOT_BYTES = 32  # a term's number, an integer object
MESSAGE_BYTES = 320  # a passage, its id and numbers, and its part of a chunk

Weights = Mapping[str, float]
Counts = tuple[int, Mapping[str, int]]
"""How many terms a passage has, and how often each."""


class LexicalIndex:
    """The postings of some chunks, such as a segment's. Immutable, so its owner may cache it.

    Postings lie end to end in flat arrays: term `slots[t]` has those from `ends[slot - 1]` to
    `ends[slot]`. Terms are interned, so that segments share their strings.
    """

    __slots__ = (
        "_after", "_before", "_chunks", "_counts", "_ends", "_lengths", "_numbers", "_slots",
        "bytes", "chunks", "length", "size",
    )  # fmt: skip

    def __init__(self, chunks: Iterable[Chunk], before: "LexicalIndex | None" = None) -> None:
        """`before` knows the terms of passages that it holds already."""
        self.chunks = tuple(chunks)
        grows = before is not None and self._begins_as(before)
        passages = [passage for chunk in self.chunks for passage in chunk.passages]
        self._chunks = array("I", (i for i, one in enumerate(self.chunks) for _ in one.passages))
        self._before, self._after = _neighbours(passages)
        self._lengths = array("I")
        if before is not None and grows:
            self._extend(before, passages)
        else:
            self._index(passages, {} if before is None else before.counts())
        self.size = len(passages)
        self.length = sum(self._lengths)  # of all messages together, in terms
        self.bytes = self._weigh(passages)  # about what it keeps in memory, texts included

    def counts(self) -> "dict[Passage, Counts]":
        """The terms of each passage, from the postings: a tenth of the time it takes to find them
        in the text."""
        found: list[dict[str, int]] = [{} for _ in self._lengths]
        start = 0
        for term, end in zip(self._slots, self._ends, strict=True):
            for place in range(start, end):
                found[self._numbers[place]][term] = self._counts[place]
            start = end
        passages = (passage for chunk in self.chunks for passage in chunk.passages)
        return dict(zip(passages, zip(self._lengths, found, strict=True), strict=True))

    def _begins_as(self, before: "LexicalIndex") -> bool:
        """Whether `before` holds the first of the chunks and no other; they are then the same
        objects, so that what is known of them stays known."""
        count = len(before.chunks)
        if type(before) is not type(self) or self.chunks[:count] != before.chunks:
            return False
        self.chunks = (*before.chunks, *self.chunks[count:])
        return True

    def _extend(self, before: "LexicalIndex", passages: Sequence[Passage]) -> None:
        """Postings of `before` with those of what follows: a segment grows at its end."""
        added = LexicalIndex.__new__(LexicalIndex)
        added._lengths = array("I")
        added._index(passages[before.size :], {})
        self._lengths = before._lengths + added._lengths
        self._slots: dict[str, int] = {}
        self._ends, self._numbers = array("I"), array("I")
        counts = bytearray()
        for slot, term in enumerate(dict.fromkeys((*before._slots, *added._slots))):
            old, new = slice(*before._span(term)), slice(*added._span(term))
            self._numbers += before._numbers[old]
            self._numbers.extend([before.size + number for number in added._numbers[new]])
            counts += before._counts[old]
            counts += added._counts[new]
            self._slots[term] = slot
            self._ends.append(len(self._numbers))
        self._counts: bytes = bytes(counts)

    def _index(self, passages: Sequence[Passage], known: "Mapping[Passage, Counts]") -> None:
        numbers: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        counts: defaultdict[str, bytearray] = defaultdict(bytearray)
        for number, passage in enumerate(passages):
            length, found = known.get(passage) or counted(passage.text)
            self._lengths.append(length)
            for term, count in found.items():
                numbers[term].append(number)
                counts[term].append(count)
        self._slots = {intern(term): slot for slot, term in enumerate(numbers)}
        self._ends = array("I", accumulate(map(len, numbers.values())))
        self._numbers = array("I", (n for run in numbers.values() for n in run))
        self._counts = b"".join(counts.values())

    def _weigh(self, passages: Sequence[Passage]) -> int:
        """A script of many characters weighs ten times another's: bytes of text do not tell."""
        arrays = (self._chunks, self._before, self._after, self._lengths, self._ends, self._numbers)
        kept = (self._slots, self._counts, *arrays, *self._slots, *(one.text for one in passages))
        return sum(map(getsizeof, kept)) + SLOT_BYTES * len(self._ends) + MESSAGE_BYTES * self.size

    def holding(self, term: str) -> int:
        """How many messages hold `term`."""
        start, end = self._span(term)
        return end - start

    def score(self, weights: Weights, average: float) -> dict[int, float]:
        """Messages, by number, that share a term with `weights` or stand beside one that does."""
        return self._with_neighbours(self._own(weights, K1 * (1 - B), K1 * B / average))

    def _own(self, weights: Weights, flat: float, slope: float) -> dict[int, float]:
        """Without what neighbours lend; `slope` is by each of a message's terms."""
        own: defaultdict[int, float] = defaultdict(float)
        norms = [flat + slope * length for length in self._lengths]
        for term, weight in weights.items():
            start, end = self._span(term)
            for number, count in zip(
                self._numbers[start:end], self._counts[start:end], strict=True
            ):
                own[number] += weight * count / (count + norms[number])
        return own

    def best(self, scores: Mapping[int, float]) -> dict[int, float]:
        """The chunks, by number, each with the score of its best message."""
        found: dict[int, float] = {}
        for number, score in scores.items():
            chunk = self._chunks[number]
            if score > found.get(chunk, 0.0):
                found[chunk] = score
        return found

    def scored(self, chunk: int, scores: Mapping[int, float], place: int) -> Scored:
        first = bisect_left(self._chunks, chunk)
        numbers = range(first, first + len(self.chunks[chunk].passages))
        each = tuple(scores.get(number, 0.0) for number in numbers)
        return Scored(self.chunks[chunk], max(each), each, place)

    def _with_neighbours(self, own: Mapping[int, float]) -> dict[int, float]:
        scores = defaultdict(float, own)
        before, after = self._before, self._after
        for number, score in own.items():
            lent = BORROWED * score
            if (neighbour := before[number]) >= 0:
                scores[neighbour] += lent
            if (neighbour := after[number]) >= 0:
                scores[neighbour] += lent
        return scores

    def _span(self, term: str) -> tuple[int, int]:
        slot = self._slots.get(term)
        if slot is None:
            return 0, 0
        return (self._ends[slot - 1] if slot else 0), self._ends[slot]


def counted(text: str) -> Counts:
    found = terms(text)
    return len(found), {term: min(n, MOST_COUNTED) for term, n in Counter(found).items()}


def rank(query: str, indexes: Sequence[LexicalIndex], *, limit: int = MOST_RANKED) -> list[Scored]:
    """The chunks that share a term with `query` or stand beside one that does.

    Best first, equal ones latest first.

    A score is what the message holds of the query's weight in rare terms, terms that no message
    holds included: 1 would be a message and two neighbours full of every one of them. So a floor
    means the same for short and long questions, and an off-topic one scores low.
    """
    size = sum(index.size for index in indexes)
    weights = _weights(query, indexes, size)
    if not weights:
        return []
    average = sum(index.length for index in indexes) / size
    scores = [index.score(weights, average) for index in indexes]
    starts = list(accumulate((len(index.chunks) for index in indexes), initial=0))
    found = [
        (score, index.chunks[chunk].passages[0].at, start + chunk)
        for index, start, of_index in zip(indexes, starts, scores, strict=False)
        for chunk, score in index.best(of_index).items()
    ]
    ranked: list[Scored] = []
    for _, _, place in heapq.nlargest(limit, found):
        i = bisect_right(starts, place) - 1
        ranked.append(indexes[i].scored(place - starts[i], scores[i], place))
    return ranked


class LexicalRanker:
    """Ranks by shared words alone; keeps nothing, so there is nothing to read ahead or forget."""

    def __init__(self, floor: float = FLOOR) -> None:
        self._scale = Scale(floor=floor)

    async def rank(self, question: Question) -> Ranking:
        return self.ordered(question, "configured")

    def ordered(self, question: Question, reason: str) -> Ranking:
        scored = rank(question.query, question.indexes)
        ranks = Places(scored, question.in_hand)
        return Ranking(scored, f"lexical; reason={reason}", self._scale, ranks=ranks)

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        pass

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        return Forgotten(forgotten=True, horizon_seconds=0.0)

    def standing(self) -> Standing:
        return Standing(reachable=True, detail="shared words rank; no GPU tier is configured")


class Places(Mapping[str, Mapping[str, int]]):
    """Each message's among those that score and are not in hand, 1 the best, the latest first.

    Counted as far down as they are asked for: a receipt tells of a few of the best.
    """

    def __init__(self, scored: Sequence[Scored], in_hand: Callable[[Passage], bool]) -> None:
        """`scored` best first."""
        self._found: dict[str, Mapping[str, int]] = {}
        self._order = _best_first(scored, in_hand)
        self._scoring = {
            passage.id
            for one in scored
            for passage, score in zip(one.chunk.passages, one.passage_scores, strict=True)
            if score > 0
        }

    def __getitem__(self, id: str) -> Mapping[str, int]:
        while id in self._scoring and id not in self._found:
            if not self._count():
                break
        return self._found[id]

    def __iter__(self) -> Iterator[str]:
        while self._count():
            pass
        return iter(self._found)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _count(self) -> bool:
        """False where all are counted."""
        if (id := next(self._order, None)) is None:
            return False
        self._found.setdefault(id, {"lexical": len(self._found) + 1})
        return True


def _best_first(scored: Sequence[Scored], in_hand: Callable[[Passage], bool]) -> Iterator[str]:
    """Ids; a chunk's other messages may come behind those of chunks below it."""
    waiting: list[tuple[float, float, int, int, str]] = []
    for one in scored:
        while waiting and -waiting[0][0] > one.score:
            yield heapq.heappop(waiting)[-1]
        each = zip(one.chunk.passages, one.passage_scores, strict=True)
        for i, (passage, score) in enumerate(each):
            if score > 0 and not in_hand(passage):
                heapq.heappush(waiting, (-score, -passage.at, -one.place, -i, passage.id))
    while waiting:
        yield heapq.heappop(waiting)[-1]


def _weights(query: str, indexes: Sequence[LexicalIndex], size: int) -> dict[str, float]:
    """Each term's share of the query's inverse document frequency; terms held nowhere left out."""
    holding = {
        term: sum(index.holding(term) for index in indexes) for term in dict.fromkeys(terms(query))
    }
    rarity = {term: _rarity(size, n) for term, n in holding.items()}
    held = sorted((term for term in rarity if holding[term]), key=lambda term: -rarity[term])
    whole = max(sum(rarity.values()), THIN * _rarity(size, 0)) * (1 + 2 * BORROWED)
    return {term: rarity[term] / whole for term in held[:MAX_QUERY_TERMS]}


def _rarity(size: int, holding: int) -> float:
    """Inverse document frequency, as if a young memory held more messages that lack the term."""
    size = max(size, YOUNG)
    return math.log(1 + (size - holding + 0.5) / (holding + 0.5))


def _neighbours(passages: Sequence[Passage]) -> tuple["array[int]", "array[int]"]:
    """For each message the number of the one before and after it in its session, or -1."""
    before, after = array("i"), array("i", [-1] * len(passages))
    last: dict[str, int] = {}
    for number, passage in enumerate(passages):
        previous = last.get(passage.session, -1)
        before.append(previous)
        if previous >= 0:
            after[previous] = number
        last[passage.session] = number
    return before, after
