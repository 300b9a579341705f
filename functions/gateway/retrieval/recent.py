"""The index of a session's newest messages, which change on every turn. Pure.

Each message's terms stand by themselves, so that the next turn's index takes them over as they are
and reads two messages. Postings would be made anew each time; with a few dozen messages it costs
less to look every term of the question up in each of them.
"""

from array import array
from collections.abc import Mapping, Sequence
from sys import getsizeof, intern

from gateway.retrieval.base import Passage
from gateway.retrieval.lexical import Counts, LexicalIndex, Weights, counted

TERM_BYTES = 56  # a short word, which few other messages share


class RecentIndex(LexicalIndex):
    __slots__ = ("_each",)

    def _extend(self, before: LexicalIndex, passages: Sequence[Passage]) -> None:
        self._index(passages, before.counts())

    def counts(self) -> dict[Passage, Counts]:
        passages = (passage for chunk in self.chunks for passage in chunk.passages)
        return dict(zip(passages, self._each, strict=True))

    def holding(self, term: str) -> int:
        return sum(term in found for _, found in self._each)

    def _index(self, passages: Sequence[Passage], known: Mapping[Passage, Counts]) -> None:
        self._each = [known.get(passage) or _interned(passage.text) for passage in passages]
        self._lengths = array("I", (length for length, _ in self._each))

    def _weigh(self, passages: Sequence[Passage]) -> int:
        texts = sum(getsizeof(passage.text) for passage in passages)
        terms = sum(getsizeof(found) + TERM_BYTES * len(found) for _, found in self._each)
        return texts + terms

    def _own(self, weights: Weights, flat: float, slope: float) -> dict[int, float]:
        own: dict[int, float] = {}
        for number, (length, found) in enumerate(self._each):
            if shared := weights.keys() & found.keys():
                norm = flat + slope * length
                each = ((weights[term], found[term]) for term in weights if term in shared)
                own[number] = sum(weight * count / (count + norm) for weight, count in each)
        return own


def _interned(text: str) -> Counts:
    length, found = counted(text)
    return length, {intern(term): count for term, count in found.items()}
