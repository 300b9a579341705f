"""How alike a request's texts are to its queries, by vectors that are kept: what is beside reading.

Embedding a token costs a sixth of reading it, and a text's vector depends on nothing but the text,
so it goes over all that a request names: its windows, and what lies beyond those.
"""

from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import islice
from math import ceil
from typing import Protocol

import torch
from torch import Tensor

from retriever.reading.vectors import Key, Vectors, digests

TEXTS_OF_A_PASS = 16  # as long as a pass over a window's next stretch takes, on a CPU
BEST_FEW = 3  # chunks of a window that speak for it
MOST_CHARACTERS = 1000  # about, that count of a text: an embedding takes its beginning


class Embedder(Protocol):
    def vectors(self, texts: Sequence[str]) -> Tensor:
        """(texts, width), each of length 1, on the CPU."""


class Likeness:
    """Of `texts` of one owner; what of them is kept already is found here and now."""

    def __init__(
        self, owner: str, epoch: int, texts: Sequence[str], queries: Sequence[str], kept: Vectors
    ) -> None:
        self._keys: list[Key] = [(owner, epoch, digest) for digest in digests(texts)]
        self._vectors: dict[Key, Tensor] = {}
        self._missing: dict[Key, str] = {}  # the shortest first
        self._kept = kept
        self._queries: Sequence[str] = [_ends(query) for query in queries]
        self._asked: Tensor | None = None  # (queries, width)
        self._failed = False
        self._look_up(texts)

    def _look_up(self, texts: Sequence[str]) -> None:
        every = dict(zip(self._keys, texts, strict=True))
        self._missing = dict(sorted(every.items(), key=lambda item: len(item[1])))
        for key in every:
            self._is_kept(key)

    def _is_kept(self, key: Key) -> bool:
        """And no longer missing then."""
        vector = self._kept.find(key)
        if vector is None:
            return False
        self._vectors[key] = vector
        del self._missing[key]
        return True

    @property
    def is_known(self) -> bool:
        """Or never will be."""
        asked = self._asked is not None or not self._queries
        return self._failed or (asked and not self._missing)

    @property
    def is_whole(self) -> bool:
        """Known, and not because it failed."""
        return self.is_known and not self._failed

    @property
    def missing_characters(self) -> int:
        """Of texts; the queries' own are few."""
        return counted(self._missing.values())

    def abandon(self) -> None:
        """Nobody asks any more; the texts are still made ready."""
        self._queries = ()

    def fail(self) -> None:
        """There will be no scores; who is read goes on without them."""
        self._failed = True

    def step(self, embedder: Embedder) -> list[str]:
        """The queries, and some of the texts that are missing, the shortest first: all that was
        embedded. Raises ArithmeticError, and whatever the embedder does; nothing is kept then."""
        queries = self._queries if self._asked is None else ()
        if queries:
            self._asked = _finite(embedder.vectors(queries))
        some = self._next_missing()
        texts = [self._missing[key] for key in some]
        if some:
            self._take(some, _finite(embedder.vectors(texts)))
        return [*queries, *texts]

    def _next_missing(self) -> list[Key]:
        """What nobody has embedded meanwhile: two of an owner's requests name the same texts."""
        missing = (key for key in list(self._missing) if not self._is_kept(key))
        return list(islice(missing, TEXTS_OF_A_PASS))

    def _take(self, keys: Iterable[Key], vectors: Tensor) -> None:
        for key, vector in zip(keys, vectors, strict=True):
            self._vectors[key] = own = vector.clone()  # the others' bytes do not hang on it
            self._kept.keep(key, own)
            del self._missing[key]

    def scores(self) -> list[list[float]] | None:
        """Of all texts, for each query; None unless all are known."""
        if not self.is_whole:
            return None
        if self._asked is None or not self._keys:
            return [[] for _ in self._queries]
        every = torch.stack([self._vectors[key] for key in self._keys])  # (texts, width)
        return [row.tolist() for row in self._asked @ every.T]


def promising(windows: Sequence[Sequence[float]], share: float) -> frozenset[int]:
    """Which windows are worth asking the heads about, by the cosines in each: at least one."""
    promise = [sum(nlargest(BEST_FEW, cosines)) for cosines in windows]
    best = sorted(range(len(windows)), key=lambda i: (promise[i], i), reverse=True)
    return frozenset(best[: ceil(share * len(best))])


def _ends(query: str) -> str:
    """Of one that is too long its beginning and its end: a question stands at either."""
    half = MOST_CHARACTERS // 2
    return query if len(query) <= MOST_CHARACTERS else f"{query[:half]} {query[-half:]}"


def _finite(vectors: Tensor) -> Tensor:
    """Raises ArithmeticError: what is kept of it would be met again, and compare with nothing."""
    if not bool(vectors.isfinite().all()):
        raise ArithmeticError("a vector is not finite")
    return vectors


def counted(texts: Iterable[str]) -> int:
    """Characters, those that cost nothing left out."""
    return sum(min(MOST_CHARACTERS, len(text)) for text in texts)
