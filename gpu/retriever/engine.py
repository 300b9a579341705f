"""Requests from many callers, one worker that has the model. Knows asyncio and no HTTP.

The worker is a thread of its own: it takes what has arrived, runs a pass for all of it together,
and looks again; what would not fit beside it waits in line. Past a caller's deadline the answer is
given up and the reading goes on, so that the next question finds it done.
"""

import asyncio
import logging
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from retriever.errors import DeadlinePassed, Failed, Overloaded, RetrieverError, TooLarge
from retriever.jobs import Job
from retriever.reader import PassFailed, Reader
from retriever_contract.wire import (
    CacheFigures,
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

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
SHUTTING_DOWN = "The retriever is shutting down."
CHARACTERS_PER_TOKEN = 8  # hardly any text has more: a bound of a request's tokens from below


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Of a job, without its windows: their memory waits for no caller to look."""

    scores: list[list[float]]
    tokens: int
    tokens_cached: int
    windows: int

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(job.scores(), job.tokens, job.tokens_cached, len(job.parts))


@dataclass(slots=True, eq=False)
class _Errand:
    """A request on its way through the worker."""

    request: RankRequest | PrefillRequest
    answer: Future[_Outcome] = field(default_factory=Future)
    job: Job | None = None
    bytes_needed: int = 0
    given_up: bool = False

    @property
    def queries(self) -> Sequence[str]:
        return self.request.queries if isinstance(self.request, RankRequest) else ()

    def succeed(self, outcome: _Outcome) -> None:
        with suppress(InvalidStateError):  # its caller went, perhaps this very moment
            self.answer.set_result(outcome)

    def fail(self, error: RetrieverError) -> None:
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


@dataclass(slots=True, eq=False)
class _Forgetting:
    owner: str
    answer: Future[int] = field(default_factory=Future)


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
        self._queue_length = queue_length
        self._arrivals: queue.SimpleQueue[_Errand | _Forgetting | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._lock = threading.Lock()  # of the two above, and the order of arrivals
        self._line: deque[_Errand] = deque()  # until there is room beside the active ones
        self._active: list[_Errand] = []
        self._figures = self._cache_figures()
        self._worker = threading.Thread(target=self._work, name="retriever", daemon=True)
        self._worker.start()

    async def rank(self, request: RankRequest) -> RankAnswer:
        """Raises DeadlinePassed, Overloaded, TooLarge, Failed."""
        started = self._clock()
        errand = self._sent(request)
        try:
            async with asyncio.timeout(request.deadline_milliseconds / 1000):
                outcome = await asyncio.wrap_future(errand.answer)
        except TimeoutError:
            raise DeadlinePassed("Not ready in time; the memory goes on being read.") from None
        finally:
            errand.given_up = True
        ids = [chunk.id for window in request.windows for chunk in window.chunks]
        scores = [
            [ChunkScore(id=id, score=score) for id, score in zip(ids, of_query, strict=True)]
            for of_query in outcome.scores
        ]
        return RankAnswer(facts=self._facts, scores=scores, work=self._spent(outcome, started))

    def prefill(self, request: PrefillRequest) -> PrefillAnswer:
        """Raises Overloaded, TooLarge. Returns at once."""
        self._sent(request)
        return PrefillAnswer(windows=len(request.windows))

    async def forget(self, request: ForgetRequest) -> ForgetAnswer:
        """Also what is being read for the owner at this moment. Raises Failed."""
        forgetting = _Forgetting(request.owner)
        with self._lock:
            self._refuse_when_closed()
            self._arrivals.put(forgetting)
        windows = await asyncio.wrap_future(forgetting.answer)
        return ForgetAnswer(windows=windows, horizon_seconds=self._reader.cache.idle_seconds)

    def health(self) -> Health:
        return Health(
            status="ready",
            facts=self._facts,
            cache=self._figures,
            device=self._device(),
            waiting=self._waiting,
        )

    def close(self) -> None:
        """Who waits is told that it failed, and so is who comes later."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._arrivals.put(None)
        self._worker.join()

    def _sent(self, request: RankRequest | PrefillRequest) -> _Errand:
        characters = sum(len(chunk.text) for window in request.windows for chunk in window.chunks)
        if characters // CHARACTERS_PER_TOKEN * self._reader.bytes_per_token > self._most_bytes:
            raise TooLarge("The memory is larger than the cache.")
        errand = _Errand(request)
        with self._lock:
            self._refuse_when_closed()
            if self._waiting >= self._queue_length:
                raise Overloaded("The queue is full.", RETRY_SECONDS)
            self._waiting += 1
            self._arrivals.put(errand)
        return errand

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise Failed(SHUTTING_DOWN)

    @property
    def _most_bytes(self) -> int:
        return self._reader.cache.max_bytes

    def _spent(self, outcome: _Outcome, started: float) -> Work:
        return Work(
            tokens=outcome.tokens,
            tokens_cached=outcome.tokens_cached,
            windows=outcome.windows,
            seconds=round(self._clock() - started, 6),
        )

    # The worker's side

    def _work(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One pass for all that has arrived. False: it is over. Whatever goes wrong, it goes on:
        without its worker the engine would answer nobody."""
        try:
            if not self._take_arrivals():
                return False
            self._admit()
            self._give_up()
            self._step()
            self._finish()
            self._figures = self._cache_figures()
        except BaseException as error:  # a panic of the tokenizer's Rust is no Exception
            self._end_all([*self._line, *self._active], error)
        return True

    def _take_arrivals(self) -> bool:
        """Waits only where there is nothing else to do. False: it is over."""
        try:
            while True:
                wait = not (self._active or self._line)
                arrival = self._arrivals.get(wait, self._idle_seconds if wait else None)
                if arrival is None:
                    self._end_all([*self._line, *self._active], Failed(SHUTTING_DOWN))
                    return False
                if isinstance(arrival, _Forgetting):
                    self._forget(arrival)
                else:
                    self._line.append(arrival)
        except queue.Empty:
            if not self._active:  # a step evicts beside them
                self._reader.cache.evict()
        return True

    @property
    def _idle_seconds(self) -> float:
        """How long a window may outlast its time when nobody asks for anything."""
        return max(0.05, min(30.0, self._reader.cache.idle_seconds / 10))

    def _admit(self) -> None:
        """In the order of arrival, as long as all that is being read would fit into the cache: it
        takes its room whether it is kept or not. Who is behind one that does not fit waits."""
        while self._line:
            errand = self._line[0]
            if errand.job is None:
                self._begin(errand)
            elif self._has_room(errand):
                self._active.append(self._line.popleft())
            else:
                return

    def _begin(self, errand: _Errand) -> None:
        request = errand.request
        windows = [window.chunks for window in request.windows]
        try:
            job = self._reader.begin(request.owner, request.epoch, windows, errand.queries)
        except BaseException as error:
            self._end_all([errand], error)
            return
        errand.bytes_needed = self._reader.bytes_of(job)
        if errand.bytes_needed > self._most_bytes:
            self._reader.discard(job)
            self._end_all([errand], TooLarge("The memory is larger than the cache."))
        else:
            errand.job = job

    def _has_room(self, errand: _Errand) -> bool:
        """What has been read already is taken from the cache at once and soon given back."""
        if errand.job is None or not errand.job.unread:
            return True
        active = sum(one.bytes_needed for one in self._active if one.job and one.job.unread)
        return active + errand.bytes_needed <= self._most_bytes

    def _forget(self, forgetting: _Forgetting) -> None:
        theirs = [
            one for one in (*self._line, *self._active) if one.request.owner == forgetting.owner
        ]
        self._end_all(theirs, DeadlinePassed("The owner has been forgotten."))
        windows = self._reader.cache.forget(forgetting.owner)
        with suppress(InvalidStateError):  # its caller has gone
            forgetting.answer.set_result(windows)

    def _give_up(self) -> None:
        for errand in self._active:
            if errand.given_up and errand.job is not None:
                errand.job.abandon()

    def _step(self) -> None:
        jobs = [errand.job for errand in self._active if errand.job is not None]
        try:
            self._reader.step(jobs)
        except PassFailed as failed:
            lost = [one for one in self._active if one.job and one.job.needs(failed.windows)]
            self._end_all(lost, failed.__cause__ or failed)

    def _finish(self) -> None:
        for errand in list(self._active):
            if errand.job is not None and errand.job.is_done:
                outcome = _Outcome.of(errand.job)
                self._leave(errand)
                errand.succeed(outcome)

    def _end_all(self, errands: Iterable[_Errand], error: BaseException) -> None:
        """Of what failed at the model nothing stays in the cache."""
        ours = isinstance(error, RetrieverError)
        for errand in list(errands):
            if errand.job is not None and not ours:
                self._reader.discard(errand.job)
            self._leave(errand)
            errand.fail(error if isinstance(error, RetrieverError) else _failed(error))
        if not ours:
            traceback.clear_frames(error.__traceback__)  # tensors hang on it
            logger.error("the model failed: %s", type(error).__name__)

    def _leave(self, errand: _Errand) -> None:
        place = self._active if errand in self._active else self._line
        place.remove(errand)
        with self._lock:
            self._waiting -= 1

    def _cache_figures(self) -> CacheFigures:
        cache = self._reader.cache
        return CacheFigures(
            windows=len(cache),
            bytes=cache.bytes_kept,
            max_bytes=cache.max_bytes,
            hits=cache.counts.hits,
            misses=cache.counts.misses,
            tokens_read=cache.counts.tokens_read,
            tokens_cached=cache.counts.tokens_cached,
            evicted=cache.counts.evicted,
        )


def _failed(error: BaseException) -> Failed:
    """Says the kind alone: a message may quote what was sent."""
    failed = Failed(type(error).__name__)
    failed.__cause__ = error
    return failed
