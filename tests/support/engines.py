"""An engine over a tiny model whose passes are noted, held up or made to fail."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.engine import Engine
from retriever.reading.likeness import Embedder
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever.reading.runs import Question, Run
from retriever.reading.window import Window
from retriever_contract.wire import (
    DeviceFigures,
    EmbeddingFacts,
    Facts,
    PrefillRequest,
    RankAnswer,
    RankRequest,
)
from retriever_contract.wire import Window as Told
from support.readers import HEADS, OWNER, Clock, Form, chunked
from support.tiny_models import tiny_model, tiny_tokenizer

LONG_MILLISECONDS = 600_000
FACTS = Facts(
    model="tiny", adapter=None, profile="0" * 16, window_tokens=4000, floor=0.0, fusion_weight=None
)
EMBEDDING = EmbeddingFacts(model="letters", weight=1.5, floor=0.4)


@dataclass(frozen=True, slots=True)
class Pass:
    questions: int
    readings: int
    rows: int


class Watched(Decoder):
    """Notes each pass, and the most bytes that windows took at the end of one, whoever had them.
    By the clock a pass takes as long as it is told."""

    def __init__(self, model: Any, clock: Clock) -> None:
        super().__init__(model, HEADS)
        self.seconds_a_row = 0.0
        self._clock = clock
        self.passes: list[Pass] = []
        self.most_bytes = 0
        self.error: BaseException | None = None
        self.fails_at = -1  # a token's id
        self._windows: WeakSet[Window] = WeakSet()
        self._open = threading.Event()
        self._open.set()
        self._entered = threading.Event()

    def run(self, runs: Sequence[Run]) -> None:
        questions = sum(isinstance(run, Question) for run in runs)
        rows = sum(len(run.ids) for run in runs)
        self.passes.append(Pass(questions, len(runs) - questions, rows))
        self._entered.set()
        assert self._open.wait(60)
        if self.error is not None and any(self.fails_at in run.ids for run in runs):
            raise self.error
        super().run(runs)
        self._clock.now += rows * self.seconds_a_row
        self._windows.update(run.window for run in runs)
        self.most_bytes = max(self.most_bytes, sum(one.bytes_taken for one in self._windows))

    @contextmanager
    def held(self) -> Iterator[None]:
        """The next pass waits until the block ends; the one after it does not."""
        self._entered.clear()
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def entered(self) -> bool:
        """Whether a pass has begun since it was held."""
        return self._entered.is_set()


@dataclass(frozen=True, slots=True)
class Bench:
    engine: Engine
    reader: Reader
    decoder: Watched
    clock: Clock

    async def rank(self, texts: Sequence[str], query: str = "cat?", **over: Any) -> RankAnswer:
        return await self.engine.rank(rank_request(texts, query, **over))

    async def idle(self) -> None:
        """Until nobody waits, gone callers' readings included."""
        await until(lambda: self.engine.health().waiting == 0)


def bench(
    *,
    queue_length: int = 64,
    max_bytes: int = 1 << 30,
    idle_seconds: float = 600.0,
    window_tokens: int = 4000,
    pass_rows: int = 64,
    model: Any = None,
    embedder: Embedder | None = None,
    asked_share: float = 1.0,
) -> Bench:
    """Whoever makes one closes its engine."""
    clock = Clock()
    decoder = Watched((model or tiny_model("llama", seed=3)).model, clock)
    reader = Reader(
        decoder,
        Prompt(tiny_tokenizer(), Form(), bos=0),
        WindowCache(max_bytes, idle_seconds, clock),
        window_tokens=window_tokens,
        pass_rows=pass_rows,
        embedder=embedder,
        asked_share=asked_share,
    )
    facts = FACTS.model_copy(update={"embedding": EMBEDDING if embedder else None})
    engine = Engine(reader, facts, lambda: DeviceFigures(name="cpu"), clock, queue_length)
    return Bench(engine, reader, decoder, clock)


def rank_request(
    texts: Sequence[str],
    *queries: str,
    owner: str = OWNER,
    epoch: int = 0,
    milliseconds: int = LONG_MILLISECONDS,
    beyond: Sequence[Told] = (),
    partial: bool = False,
) -> RankRequest:
    return RankRequest(
        owner=owner,
        epoch=epoch,
        windows=told(texts),
        queries=list(queries),
        deadline_milliseconds=milliseconds,
        beyond=list(beyond),
        partial=partial,
    )


def prefill_request(texts: Sequence[str], owner: str = OWNER, epoch: int = 0) -> PrefillRequest:
    return PrefillRequest(owner=owner, epoch=epoch, windows=told(texts))


def told(texts: Sequence[str]) -> list[Told]:
    """All texts in one window."""
    return [Told(chunks=chunks) for chunks in chunked(texts) if chunks]


async def until(happened: Callable[[], bool]) -> None:
    """Lets others run until it has; the test's time limit is the only other end."""
    while not happened():  # noqa: ASYNC110  a thread brings it about, and sets no event
        await asyncio.sleep(0)
