"""What has been chosen so far, known by its shingles so that nothing goes in twice. Pure."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from gateway.retrieval.base import Passage
from gateway.retrieval.offers import Line, Offer
from gateway.retrieval.terms import words

SHINGLE_WORDS = 3
NEAR = 0.9  # Jaccard similarity: one word changed among sixty


class Basket:
    def __init__(self, budget_tokens: int, top_k: int) -> None:
        self._left = budget_tokens
        self._top_k = top_k
        self._chosen: dict[str, Line] = {}
        self._shingles: dict[str, array[int]] = {}
        self._holders: defaultdict[int, set[str]] = defaultdict(set)

    @property
    def lines(self) -> list[Line]:
        return list(self._chosen.values())

    def take(self, offer: Offer) -> None:
        """Put in what is new of the offer, or none of it when that does not fit."""
        new = [line for line in offer.lines if line.passage.id not in self._chosen]
        cost = sum(line.cost for line in new)
        if cost > self._left:
            return
        if self._chunks_with(new) <= self._top_k:
            for line in new:
                self._take(line)

    def _chunks_with(self, new: Sequence[Line]) -> int:
        """At most so many; counted only where lines are more than chunks may be."""
        lines = len(self._chosen) + len(new)
        if lines <= self._top_k:
            return lines
        return len({line.chunk for line in (*self._chosen.values(), *new)})

    def _take(self, line: Line) -> None:
        """A near-duplicate replaces what it repeats if it is later, else it stays out."""
        its_shingles = shingles_of(line.passage)
        repeated = self._near(its_shingles)
        if not repeated:
            self._put(line, its_shingles)
        elif len(repeated) == 1 and line.age > self._chosen[repeated[0]].age:
            earlier = self._remove(repeated[0])
            self._put(replace(line, score=max(line.score, earlier.score)), its_shingles)

    def _put(self, line: Line, its_shingles: "array[int]") -> None:
        self._chosen[line.passage.id] = line
        self._shingles[line.passage.id] = its_shingles
        self._left -= line.cost
        for shingle in its_shingles:
            self._holders[shingle].add(line.passage.id)

    def _remove(self, id: str) -> Line:
        for shingle in self._shingles.pop(id):
            self._holders[shingle].discard(id)
        line = self._chosen.pop(id)
        self._left += line.cost
        return line

    def _near(self, its_shingles: "array[int]") -> list[str]:
        """Ids of the chosen messages whose shingles are nearly these."""
        shared = Counter(id for one in its_shingles for id in self._holders.get(one, ()))
        return [
            id
            for id, both in shared.items()
            if both >= NEAR * (len(its_shingles) + len(self._shingles[id]) - both)
        ]


def shingles_of(passage: Passage) -> "array[int]":
    """Of its text, found once: hashes of runs of words; of a text without words, of itself."""
    if passage.traits.shingles is None:
        passage.traits.shingles = array("q", _shingles(passage.text))
    return passage.traits.shingles


def _shingles(text: str) -> set[int]:
    found = words(text) or [" ".join(text.split())]
    last = max(1, len(found) - SHINGLE_WORDS + 1)
    return {hash(tuple(found[i : i + SHINGLE_WORDS])) for i in range(last)}
