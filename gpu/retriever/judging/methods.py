"""Ways to rank a conversation's messages for a question, side by side.

A method meets a conversation once and then ranks for one question after the other, so that what it
reads once is paid for by the first. Places are the messages', from 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from retriever.judging.bm25 import Bm25
from retriever.judging.choice import reciprocal
from retriever.judging.dialogues import PART, Dialogue, wire_chunks, wire_text
from retriever.judging.embedding import Embedding
from retriever.reading.reader import Reader
from retriever_contract.wire import Chunk

EQUAL = 1.0  # weight beside BM25

Places = Mapping[int, float]  # of places, their scores; those left out are not ranked


@dataclass(frozen=True)
class Scores:
    """`top` is the best score where it tells how relevant something is: a rank does not."""

    places: Places
    top: float | None = None


class Ground:
    """A conversation, and what all methods need of it. `tokens` are its messages'."""

    def __init__(self, dialogue: Dialogue, length: Callable[[str], int]) -> None:
        self.dialogue = dialogue
        self.texts = [wire_text(message) for message in dialogue.messages]
        self.tokens = [length(text) for text in self.texts]
        self._words = Bm25(self.texts)

    def shared(self, query: str) -> dict[int, float]:
        """Of messages that share a word with the query or stand beside one that does."""
        return {i: one for i, one in enumerate(self._words.scores(query)) if one > 0}

    def order(self, places: Places) -> list[str]:
        """Ids, the best first, of equal ones the latest."""
        ranked = sorted(places, key=lambda i: (places[i], i), reverse=True)
        return [self.dialogue.messages[i].id for i in ranked]


Ranker = Callable[[str], dict[str, Scores]]  # of a query, one or more orders by their names


class Method(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...
    def meet(self, ground: Ground) -> Ranker: ...


class Recency:
    names = ("recency",)

    def meet(self, ground: Ground) -> Ranker:
        latest = Scores({place: float(place) for place in range(len(ground.texts))})
        return lambda _: {"recency": latest}


class Words:
    names = ("BM25",)

    def meet(self, ground: Ground) -> Ranker:
        def rank(query: str) -> dict[str, Scores]:
            shared = ground.shared(query)
            return {"BM25": Scores(shared, max(shared.values(), default=0.0))}

        return rank


class WordsAndEmbedding:
    names = ("BM25+embedding",)

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    def meet(self, ground: Ground) -> Ranker:
        kept = self._embedding.vectors(ground.texts)  # (messages, width)

        def rank(query: str) -> dict[str, Scores]:
            near = (kept @ self._embedding.vectors([query])[0]).tolist()
            return {
                self.names[0]: Scores(fused(ground.shared(query), dict(enumerate(near)), EQUAL))
            }

        return rank


@dataclass(frozen=True)
class Sight:
    """What of a conversation the model gets to see for one question, as the gateway sends it."""

    window_tokens: int
    max_tokens: int


class Heads:
    """Query heads alone, and fused with BM25 by each of `weights`, which are named."""

    def __init__(
        self,
        name: str,
        make_reader: Callable[[], Reader],
        sight: Sight,
        weights: Mapping[str, float],
    ) -> None:
        self._name = name
        self._make_reader = make_reader
        self._sight = sight
        self._weights = weights

    @property
    def names(self) -> tuple[str, ...]:
        return (self._name, *self._weights)

    def meet(self, ground: Ground) -> Ranker:
        reader = self._make_reader()
        windows = cut(ground.tokens, self._sight.window_tokens)
        parts = [wire_chunks(message) for message in ground.dialogue.messages]

        def rank(query: str) -> dict[str, Scores]:
            shared = ground.shared(query)
            seen = choose(windows, ground.tokens, shared, self._sight.max_tokens)
            chunks = [[part for i in window for part in parts[i]] for window in seen]
            scores = read(reader, ground.dialogue.id, chunks, query)
            messages = (message for message in enumerate(ground.dialogue.messages))
            places = {i: scores[one.id] for i, one in messages if one.id in scores}
            orders = {self._name: Scores(places, max(places.values(), default=0.0))}
            for name, weight in self._weights.items():
                orders[name] = Scores(fused(shared, places, weight))
            return orders

        return rank


def cut(tokens: Sequence[int], window_tokens: int) -> list[range]:
    """Places of consecutive messages, cut from the first on, as the gateway cuts. A message that is
    longer than a window has one to itself."""
    starts: list[int] = []
    room = 0
    for place, size in enumerate(tokens):
        if not starts or size > room:
            starts.append(place)
            room = window_tokens
        room -= size
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(tokens)], strict=False)]


def choose(
    windows: Sequence[range], tokens: Sequence[int], shared: Places, max_tokens: int
) -> list[range]:
    """Whole windows within `max_tokens`, in their order, as the gateway chooses: the newest, then
    those that share most with the question."""
    wanted = [sum(shared.get(i, 0.0) for i in window) for window in windows]
    order = sorted(range(len(windows)), key=lambda number: (wanted[number], number), reverse=True)
    chosen: set[int] = set()
    newest = range(len(windows))[-1:]
    for number in dict.fromkeys([*newest, *order]):
        size = sum(tokens[i] for i in windows[number])
        if size <= max_tokens:
            chosen.add(number)
            max_tokens -= size
    return [windows[number] for number in sorted(chosen)]


def read(
    reader: Reader, owner: str, windows: Sequence[Sequence[Chunk]], query: str
) -> dict[str, float]:
    """Messages' scores by id, each as good as its best part's."""
    job = reader.begin(owner, 0, windows, [query])
    while not job.is_done:
        reader.step([job])
    best: dict[str, float] = {}
    ids = (chunk.id.partition(PART)[0] for window in windows for chunk in window)
    for id, score in zip(ids, job.scores()[0], strict=True):
        best[id] = max(score, best.get(id, score))
    return best


def fused(shared: Places, other: Places, weight: float) -> dict[int, float]:
    """Reciprocal rank fusion of BM25 and another order; what one leaves out has no rank in it."""
    summed: dict[int, float] = {}
    for places, each in ((shared, 1.0), (other, weight)):
        numbers = sorted(places)
        scores = [places[i] for i in numbers]
        ranked = reciprocal([0.0] * len(scores), scores, each)  # nothing is shared: one order
        for i, score in zip(numbers, ranked, strict=True):
            summed[i] = summed.get(i, 0.0) + score
    return summed
