"""A model's query heads as methods: read as the gateway would have them read, then combined."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.retrieval.windows import choose, cut, whole
from retriever.evaluating.combining import Combine, Ranked
from retriever.evaluating.ground import Ground, Scores
from retriever.evaluating.methods import Near, Order, Ranker
from retriever.reading.reader import Reader
from retriever_contract.wire import Window

Timer = Callable[[], float]


@dataclass(frozen=True)
class Sight:
    """What of a conversation the model gets to see for one question, in the gateway's tokens."""

    window_tokens: int
    max_tokens: int


@dataclass(frozen=True)
class Read:
    """What a model said of every message that it read, and how long it took."""

    scores: Mapping[str, float]
    seconds: float


class Book(Protocol):
    """What was read before, by what was asked."""

    def find(self, key: str) -> Read | None: ...
    def write(self, key: str, read: Read) -> Read: ...


class Heads:
    """`identity` is all that scores depend on beside what is read: the key of what is kept."""

    def __init__(
        self,
        identity: str,
        make_reader: Callable[[], Reader],
        sight: Sight,
        combinations: Mapping[str, Combine],
        book: Book,
        timer: Timer,
        near: Near | None = None,
    ) -> None:
        self._near = near
        self._identity = identity
        self._make_reader = make_reader
        self._sight = sight
        self._combinations = combinations
        self._book = book
        self._timer = timer

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._combinations)

    def meet(self, ground: Ground) -> Ranker:
        windows = cut([ground.index], self._sight.window_tokens)
        near = self._near(ground) if self._near else None
        made: list[Reader] = []

        def reader() -> Reader:
            if not made:
                made.append(self._make_reader())
            return made[0]

        def rank(query: str) -> dict[str, Order]:
            lexical = ground.lexical(query)
            chosen = choose(windows, lexical, self._sight.max_tokens)
            worded = [one for _, one in chosen]
            read = self._read(reader, ground.dialogue.id, worded, query)
            alike = near(query) if near else {}
            seen = [[one.id for one in window.passages] for window, _ in chosen]
            ranked = Ranked(ground, lexical, read.scores, alike, seen)
            orders = {name: combine(ranked) for name, combine in self._combinations.items()}
            return {name: Order(one.scores, one.top, read.seconds) for name, one in orders.items()}

        return rank

    def _read(
        self, reader: Callable[[], Reader], owner: str, windows: Sequence[Window], query: str
    ) -> Read:
        key = self._key(windows, query)
        kept = self._book.find(key)
        if kept is not None:
            return kept
        model = reader()
        started = self._timer()
        scores = whole(score(model, owner, windows, query))
        return self._book.write(key, Read(scores, self._timer() - started))

    def _key(self, windows: Sequence[Window], query: str) -> str:
        said = hashlib.sha256(f"{self._identity}\n{query!r}\n".encode())
        for window in windows:
            said.update(window.model_dump_json().encode())
        return said.hexdigest()


def score(reader: Reader, owner: str, windows: Sequence[Window], query: str) -> Scores:
    """Of every part of a message, by its id."""
    job = reader.begin(owner, 0, [one.chunks for one in windows], [query])
    while not job.is_done:
        reader.step([job])
    ids = (chunk.id for window in windows for chunk in window.chunks)
    return dict(zip(ids, job.scores()[0], strict=True))
