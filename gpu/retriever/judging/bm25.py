"""Ranking by shared words, to compare with and to find hard negatives by. Pure.

BM25 (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019) as the gateway has it, but
for its word stems: Lucene's inverse document frequency, and a message borrows from its neighbours.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

K1 = 1.2
B = 0.75
BORROWED = 0.4

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class Bm25:
    """Over the messages of one conversation; `borrowed` is what of each neighbour's score."""

    def __init__(self, texts: Sequence[str], *, borrowed: float = BORROWED) -> None:
        self._borrowed = borrowed
        counted = [Counter(words(text)) for text in texts]
        lengths = [count.total() for count in counted]
        average = max(1.0, sum(lengths) / max(1, len(lengths)))
        self._norms = [K1 * (1 - B + B * length / average) for length in lengths]
        self._postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, count in enumerate(counted):
            for word, times in count.items():
                self._postings[word].append((number, times))

    def scores(self, query: str) -> list[float]:
        """Of each text, in order."""
        own = [0.0] * len(self._norms)
        for word in set(words(query)):
            postings = self._postings.get(word, [])
            rarity = math.log(1 + (len(own) - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, times in postings:
                own[number] += rarity * times / (times + self._norms[number])
        beside = [0.0, *own, 0.0]
        return [
            score + self._borrowed * (before + after)
            for before, score, after in zip(beside, own, beside[2:], strict=False)
        ]
