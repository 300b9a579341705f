"""Ways to rank a conversation's messages for a question, side by side.

A method meets a conversation once and then ranks for one question after the other, so that what it
reads once is paid for by the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.retrieval.base import LINE_OVERHEAD_TOKENS, Passage, Scale, Scored
from gateway.retrieval.fusion import Weighing, fuse
from gateway.retrieval.selection import select
from retriever.evaluating.ground import Ground, Scores, of_messages
from retriever.judging.bm25 import Bm25

EQUAL = 1.0  # weight beside BM25
BUDGET_TOKENS = 2000  # the gateway's own defaults
TOP_K = 64
ANYTHING = float(
    "-inf"
)  # a floor that refuses nothing: what is not relevant is told apart by `top`


@dataclass(frozen=True)
class Order:
    """What was ranked. `top` is the best score where it tells how relevant something is: a rank
    does not. `seconds`, where it was not now that it was found."""

    scores: Scores
    top: float | None = None
    seconds: float | None = None


Ranker = Callable[[str], dict[str, Order]]  # of a query, one or more orders by their names


class Method(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...
    def meet(self, ground: Ground) -> Ranker: ...


class Recency:
    names = ("recency",)

    def meet(self, ground: Ground) -> Ranker:
        ids = [one.id for one in ground.dialogue.messages]
        latest = Order({id: float(place) for place, id in enumerate(ids)})
        return lambda _: {"recency": latest}


class Textbook:
    """BM25 over single messages, nothing else: what the others are compared with."""

    names = ("BM25",)

    def meet(self, ground: Ground) -> Ranker:
        index = Bm25(ground.texts, borrowed=0.0)
        ids = [one.id for one in ground.dialogue.messages]

        def rank(query: str) -> dict[str, Order]:
            shared = {i: one for i, one in zip(ids, index.scores(query), strict=True) if one > 0}
            return {self.names[0]: Order(shared, max(shared.values(), default=0.0))}

        return rank


class Words:
    """The gateway without a model: BM25 with word stems, and neighbours that lend."""

    names = ("lexical",)

    def meet(self, ground: Ground) -> Ranker:
        def rank(query: str) -> dict[str, Order]:
            shared = of_messages(ground.lexical(query))
            return {self.names[0]: Order(shared, max(shared.values(), default=0.0))}

        return rank


class WordsSelected:
    """What the gateway would put into a prompt without a model."""

    names = ("selected lexical",)

    def meet(self, ground: Ground) -> Ranker:
        return lambda query: {self.names[0]: chosen(ground.lexical(query), Scale())}


Near = Callable[[Ground], Callable[[str], Scores]]  # cosines by message, of a query


class WordsAndEmbedding:
    names = ("lexical+embedding",)

    def __init__(self, near: Near, weight: float = EQUAL) -> None:
        self._near = near
        self._weight = weight

    def meet(self, ground: Ground) -> Ranker:
        near = self._near(ground)
        weighing = Weighing(EQUAL, ANYTHING, ANYTHING, alike=self._weight, alike_floor=ANYTHING)

        def rank(query: str) -> dict[str, Order]:
            shared, alike = of_messages(ground.lexical(query)), near(query)
            found = fuse(ground.index.chunks, shared, {}, weighing, nothing, alike)
            return {self.names[0]: Order(of_messages(found.scored))}

        return rank


def chosen(scored: Sequence[Scored], scale: Scale) -> Order:
    """As the gateway selects under its own defaults, best first; what is left out is no part."""
    lines = select(
        scored,
        budget_tokens=BUDGET_TOKENS,
        top_k=TOP_K,
        floor=scale.floor,
        relative=scale.relative,
        cost_power=scale.cost_power,
        overhead_tokens=LINE_OVERHEAD_TOKENS,
    )
    return Order({line.passage.id: 1 / line.rank for line in lines})


def nothing(_: Passage) -> bool:
    """A question stands alone: no message is in its prompt already."""
    return False
