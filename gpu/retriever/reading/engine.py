"""Requests from many callers, one worker that has the model. Knows asyncio and no HTTP.

Past a caller's deadline the answer is given up and the reading goes on, so that the next question
finds it done; it takes no place in the line then.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from retriever.errors import DeadlinePassed, TooLarge
from retriever.reading.errand import Errand, Forgetting, Outcome
from retriever.reading.line import Line
from retriever.reading.reader import Reader
from retriever.reading.worker import FORGOTTEN, Worker
from retriever_contract.wire import (
    ChunkScore,
    DeviceFigures,
    Facts,
    ForgetAnswer,
    ForgetRequest,
    Health,
    PrefillAnswer,
    PrefillRequest,
    RankAnswer,
    RankRequest,
    Work,
)

CHARACTERS_PER_TOKEN = 8  # hardly any text has more: a bound of a request's tokens from below


class Engine:
    """`queue_length` bounds the requests on their way, `clock` is monotonic, in seconds."""

    def __init__(
        self,
        reader: Reader,
        facts: Facts,
        device: Callable[[], DeviceFigures],
        clock: Callable[[], float],
        queue_length: int,
    ) -> None:
        self._reader = reader
        self._facts = facts
        self._device = device
        self._clock = clock
        self._line = Line(queue_length)
        self._embeds = facts.embedding is not None
        self._worker = Worker(reader, self._line, clock, embeds=self._embeds)
        self._worker.start()

    async def rank(self, request: RankRequest) -> RankAnswer:
        """Raises DeadlinePassed, Overloaded, TooLarge, Failed."""
        started = self._clock()
        if self._line.is_forgotten(request, started):
            raise DeadlinePassed(FORGOTTEN)
        errand = self._sent(request)
        try:
            async with asyncio.timeout(request.deadline_milliseconds / 1000):
                outcome = await asyncio.wrap_future(errand.answer)
        except TimeoutError:
            message = "Not ready in time; the memory goes on being read."
            raise DeadlinePassed(message, embeds=self._embeds) from None
        finally:
            self._line.give_up(errand)
        return self._answer(request, outcome, started)

    def prefill(self, request: PrefillRequest) -> PrefillAnswer:
        """Raises Overloaded, TooLarge. Returns at once."""
        if self._line.is_forgotten(request, self._clock()):
            return PrefillAnswer(windows=0)
        self._sent(request)
        return PrefillAnswer(windows=len(request.windows))

    async def forget(self, request: ForgetRequest) -> ForgetAnswer:
        """Also what is being read for the owner at this moment. Requests of lower epochs that come
        late read nothing. Raises Failed."""
        forgetting = Forgetting(request)
        self._line.forget(forgetting, self._clock() + self._horizon_seconds)
        windows = await asyncio.wrap_future(forgetting.answer)
        return ForgetAnswer(windows=windows, horizon_seconds=self._horizon_seconds)

    def health(self) -> Health:
        return Health(
            status="ready",
            facts=self._facts,
            cache=self._worker.figures,
            device=self._device(),
            waiting=self._line.waiting,
        )

    def close(self) -> None:
        """Who waits is told that it failed, and so is who comes later."""
        self._line.close()
        self._worker.join()

    def _sent(self, request: RankRequest | PrefillRequest) -> Errand:
        characters = sum(len(chunk.text) for window in request.windows for chunk in window.chunks)
        least = characters // CHARACTERS_PER_TOKEN * self._reader.bytes_per_token
        if least > self._reader.cache.max_bytes:
            raise TooLarge("The memory is larger than the cache.")
        errand = Errand(request, self._clock())
        self._line.enter(errand)
        return errand

    @property
    def _horizon_seconds(self) -> float:
        """When what is kept of an owner whom nobody asks about is gone."""
        return self._reader.cache.idle_seconds + self._worker.wake_seconds

    def _answer(self, request: RankRequest, outcome: Outcome, started: float) -> RankAnswer:
        named = [*request.windows, *request.beyond]
        ids = [chunk.id for window in named for chunk in window.chunks]
        work = Work(
            tokens=outcome.tokens,
            tokens_cached=outcome.tokens_cached,
            windows=outcome.windows,
            seconds=round(self._clock() - started, 6),
        )
        return RankAnswer(
            facts=self._facts,
            scores=_named([ids[place] for place in outcome.places], outcome.scores),
            work=work,
            embedded=outcome.embedded and _named(ids, outcome.embedded),
        )


def _named(ids: Sequence[str], scores: Iterable[Sequence[float]]) -> list[list[ChunkScore]]:
    return [
        [ChunkScore(id=id, score=score) for id, score in zip(ids, of_query, strict=True)]
        for of_query in scores
    ]
