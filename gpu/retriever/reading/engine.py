"""Requests from many callers, one worker that has the model. Knows asyncio and no HTTP.

The worker is a thread of its own: it takes what has arrived, runs a pass for all of it together,
and looks again; what would not fit beside it waits, and who has nothing left to be read goes past.
Past a caller's deadline the answer is given up and the reading goes on, so that the next question
finds it done; it takes no place in the queue then.
"""

import asyncio
import logging
import queue
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from retriever.errors import DeadlinePassed, Failed, Overloaded, RetrieverError, TooLarge
from retriever.reading.jobs import Job, tokens_to_read
from retriever.reading.reader import PassFailed, Reader
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
    Window,
    Work,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
SHUTTING_DOWN = "The retriever is shutting down."
FORGOTTEN = "The owner has been forgotten."
CHARACTERS_PER_TOKEN = 8  # hardly any text has more: a bound of a request's tokens from below
MOST_ON_THE_WAY = 4  # times the queue's length: readings that nobody waits for among them
MOST_FORGOTTEN = 10_000  # owners
HOPELESS = 2.0  # times what can be read by the deadline: then nobody waits for it
HIGH_TIME = 0.75  # of the deadline: then a part is better than nothing, and a pass more takes time
MEMORY_OF_PACE = 0.9  # how much a pass's figures count when the next one has been


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Of a job, without its windows: their memory waits for no caller to look. `places` are those
    of the request's chunks that have `scores`."""

    scores: list[list[float]]
    places: list[int]
    embedded: list[list[float]] | None
    tokens: int
    tokens_cached: int
    windows: int

    @classmethod
    def of(cls, job: Job) -> Self:
        embedded = job.likeness.scores() if job.likeness else None
        return cls(
            job.scores(), job.places(), embedded, job.tokens, job.tokens_cached, len(job.parts)
        )


@dataclass(slots=True)
class _Pace:
    """How fast tokens have been read, or characters embedded, lately: an exponential average over
    passes."""

    size: float = 0.0
    seconds: float = 0.0

    def note(self, size: int, seconds: float) -> None:
        if size > 0:
            self.size = MEMORY_OF_PACE * self.size + size
            self.seconds = MEMORY_OF_PACE * self.seconds + seconds

    def seconds_for(self, size: int) -> float:
        """0, as long as nothing was measured."""
        return size * self.seconds / self.size if self.size else 0.0


@dataclass(slots=True, eq=False)
class _Errand:
    """A request on its way through the worker, in a place of the queue until its caller goes."""

    request: RankRequest | PrefillRequest
    sent_at: float
    answer: Future[_Outcome] = field(default_factory=Future)
    job: Job | None = None
    is_hurried: bool = False  # it cannot have all in time
    is_active: bool = False
    is_queued: bool = True
    given_up: bool = False

    def can_answer(self, now: float) -> bool:
        """In part: with all vectors, or all scores, when it is high time."""
        job, request = self.job, self.request
        if not (isinstance(request, RankRequest) and request.partial) or job is None:
            return False
        seconds = HIGH_TIME * request.deadline_milliseconds / 1000
        if not self.is_hurried and now < self.sent_at + seconds:
            return False
        return job.is_scored or (job.likeness is not None and job.is_embedded)

    @property
    def beyond(self) -> Sequence[Window]:
        return self.request.beyond if isinstance(self.request, RankRequest) else ()

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
        self._queued = 0  # of those, whose callers wait
        self._forgotten: OrderedDict[str, tuple[int, float]] = OrderedDict()  # epoch, until when
        self._closed = False
        self._lock = threading.Lock()  # of the four above, and the order of arrivals
        self._errands: list[_Errand] = []  # in the order of arrival
        self._pace = _Pace()
        self._embedding_pace = _Pace()
        self._figures = self._cache_figures()
        self._worker = threading.Thread(target=self._work, name="retriever", daemon=True)
        self._worker.start()

    async def rank(self, request: RankRequest) -> RankAnswer:
        """Raises DeadlinePassed, Overloaded, TooLarge, Failed."""
        started = self._clock()
        if self._is_forgotten(request):
            raise DeadlinePassed(FORGOTTEN)
        errand = self._sent(request)
        try:
            async with asyncio.timeout(request.deadline_milliseconds / 1000):
                outcome = await asyncio.wrap_future(errand.answer)
        except TimeoutError:
            raise self._late("Not ready in time; the memory goes on being read.") from None
        finally:
            self._give_up(errand)
        named = [*request.windows, *request.beyond]
        ids = [chunk.id for window in named for chunk in window.chunks]
        return RankAnswer(
            facts=self._facts,
            scores=_named([ids[place] for place in outcome.places], outcome.scores),
            work=self._spent(outcome, started),
            embedded=outcome.embedded and _named(ids, outcome.embedded),
        )

    def prefill(self, request: PrefillRequest) -> PrefillAnswer:
        """Raises Overloaded, TooLarge. Returns at once."""
        if self._is_forgotten(request):
            return PrefillAnswer(windows=0)
        self._sent(request)
        return PrefillAnswer(windows=len(request.windows))

    async def forget(self, request: ForgetRequest) -> ForgetAnswer:
        """Also what is being read for the owner at this moment. Requests of lower epochs that come
        late read nothing. Raises Failed."""
        forgetting = _Forgetting(request.owner)
        with self._lock:
            self._refuse_when_closed()
            self._remember_forgotten(request)
            self._arrivals.put(forgetting)
        windows = await asyncio.wrap_future(forgetting.answer)
        return ForgetAnswer(windows=windows, horizon_seconds=self._horizon_seconds)

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
        errand = _Errand(request, self._clock())
        with self._lock:
            self._refuse_when_closed()
            left_behind = self._waiting >= MOST_ON_THE_WAY * self._queue_length
            if self._queued >= self._queue_length or left_behind:
                raise Overloaded("The queue is full.", RETRY_SECONDS)
            self._waiting += 1
            self._queued += 1
            self._arrivals.put(errand)
        return errand

    def _give_up(self, errand: _Errand) -> None:
        """Its caller has gone, or has been told to."""
        errand.given_up = True
        with self._lock:
            self._queued -= errand.is_queued
            errand.is_queued = False

    def _remember_forgotten(self, request: ForgetRequest) -> None:
        """For as long as anything may be kept elsewhere; more than `MOST_FORGOTTEN` nowhere."""
        epoch, _ = self._forgotten.pop(request.owner, (0, 0.0))
        until = self._clock() + self._horizon_seconds
        self._forgotten[request.owner] = max(epoch, request.epoch), until
        while len(self._forgotten) > MOST_FORGOTTEN:
            self._forgotten.popitem(last=False)

    def _is_forgotten(self, request: RankRequest | PrefillRequest) -> bool:
        with self._lock:
            epoch, until = self._forgotten.get(request.owner, (0, 0.0))
        return request.epoch < epoch and self._clock() <= until

    @property
    def _horizon_seconds(self) -> float:
        """When what is kept of an owner whom nobody asks about is gone."""
        return self._reader.cache.idle_seconds + self._wake_seconds

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
            self._begin_all()
            self._leave_abandoned()
            self._admit()
            self._step()
            self._finish()
            self._figures = self._cache_figures()
        except BaseException as error:  # a panic of the tokenizer's Rust is no Exception
            self._end_all(self._errands, error)
        return True

    def _take_arrivals(self) -> bool:
        """Waits only where there is nothing else to do. False: it is over."""
        wait = not self._errands
        with suppress(queue.Empty):
            while True:
                arrival = self._arrivals.get(wait, self._wake_seconds if wait else None)
                wait = False
                if arrival is None:
                    self._end_all(self._errands, Failed(SHUTTING_DOWN))
                    return False
                if isinstance(arrival, _Forgetting):
                    self._forget(arrival)
                else:
                    self._errands.append(arrival)
        return True

    @property
    def _wake_seconds(self) -> float:
        """How long a window may outlast its time when nobody asks for anything."""
        return max(0.05, min(30.0, self._reader.cache.idle_seconds / 10))

    def _begin_all(self) -> None:
        for errand in list(self._errands):
            if errand.job is None:
                self._begin(errand)

    def _begin(self, errand: _Errand) -> None:
        request, most = errand.request, self._most_bytes
        windows = [window.chunks for window in request.windows]
        beyond = [window.chunks for window in errand.beyond]
        try:
            errand.job = self._reader.begin(
                request.owner, request.epoch, windows, errand.queries, most, beyond
            )
        except BaseException as error:
            self._end_all([errand], error)
        else:
            self._foresee(errand)

    def _foresee(self, errand: _Errand) -> None:
        """Who cannot have all in time waits for the first half that is whole, or for nothing."""
        request = errand.request
        if isinstance(request, PrefillRequest):
            return
        before = [one.job for one in self._errands[: self._errands.index(errand) + 1] if one.job]
        left = request.deadline_milliseconds / 1000 - (self._clock() - errand.sent_at)
        embeds = errand.job is not None and not errand.job.is_embedded
        embedding = (
            self._embedding_pace.seconds_for(_characters_to_embed(before)) if embeds else 0.0
        )
        reading = self._pace.seconds_for(tokens_to_read(before)) if _unread(errand) else 0.0
        if embedding + reading <= max(0.0, HOPELESS * left):
            return
        if not request.partial or min(embedding, reading) > left:
            errand.fail(self._late("Cannot be ready in time; the memory is being read."))
            self._give_up(errand)
        errand.is_hurried = True

    def _late(self, message: str) -> DeadlinePassed:
        return DeadlinePassed(message, embeds=self._facts.embedding is not None)

    def _leave_abandoned(self) -> None:
        """What nobody waits for is read on, once for each owner: for the newest who has gone, or
        for a newer question that needs the same, which takes its place."""
        for errand in [one for one in self._errands if one.given_up]:
            if errand.job is not None:
                errand.job.abandon()
            place = self._errands.index(errand)
            later = self._errands[place + 1 :]
            newer = next((one for one in later if _replaces(one, errand)), None)
            if newer is not None:
                self._errands.remove(newer)
                self._errands.insert(place, newer)
                self._leave(errand)

    def _admit(self) -> None:
        """In the order of arrival, as long as all that is being read fits into the cache: it takes
        its room whether it is kept or not. Who needs nothing read waits for nobody."""
        waits = False
        for errand in self._errands:
            if not errand.is_active:
                errand.is_active = not _unread(errand) or (not waits and self._has_room(errand))
                waits = waits or not errand.is_active

    def _has_room(self, errand: _Errand) -> bool:
        """Alone it has always; windows that several read take their room once."""
        reading = [one.job for one in self._active if one.job and one.job.unread]
        if not reading or errand.job is None:
            return True
        return self._reader.bytes_of(*reading, errand.job) <= self._most_bytes

    @property
    def _active(self) -> list[_Errand]:
        return [errand for errand in self._errands if errand.is_active]

    def _forget(self, forgetting: _Forgetting) -> None:
        theirs = [one for one in self._errands if one.request.owner == forgetting.owner]
        self._end_all(theirs, DeadlinePassed(FORGOTTEN))
        windows = self._reader.cache.forget(forgetting.owner)
        with suppress(InvalidStateError):  # its caller has gone
            forgetting.answer.set_result(windows)

    def _step(self) -> None:
        counts, started = self._reader.cache.counts, self._clock()
        read, embedded = counts.tokens_read, counts.characters_embedded
        try:
            self._reader.step([errand.job for errand in self._active if errand.job is not None])
        except PassFailed as failed:
            lost = [one for one in self._active if one.job and one.job.needs(failed.windows)]
            self._end_all(lost, failed.__cause__ or failed)
        else:
            seconds = self._clock() - started
            self._pace.note(counts.tokens_read - read, seconds)
            self._embedding_pace.note(counts.characters_embedded - embedded, seconds)

    def _finish(self) -> None:
        for errand in self._active:
            if errand.job is not None and errand.job.is_done:
                outcome = _Outcome.of(errand.job)
                self._leave(errand)
                errand.succeed(outcome)
            elif errand.can_answer(self._clock()) and errand.job is not None:
                errand.succeed(_Outcome.of(errand.job))  # and its memory is read on

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
        self._errands.remove(errand)
        errand.job = None  # nothing holds its windows any more
        with self._lock:
            self._waiting -= 1
            self._queued -= errand.is_queued
            errand.is_queued = False

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


def _named(ids: Sequence[str], scores: Iterable[Sequence[float]]) -> list[list[ChunkScore]]:
    return [
        [ChunkScore(id=id, score=score) for id, score in zip(ids, of_query, strict=True)]
        for of_query in scores
    ]


def _characters_to_embed(jobs: Iterable[Job]) -> int:
    return sum(job.likeness.missing_characters for job in jobs if job.likeness)


def _unread(errand: _Errand) -> bool:
    return errand.job is not None and bool(errand.job.unread)


def _replaces(newer: _Errand, errand: _Errand) -> bool:
    """Whether reading goes on for the newer one of the same owner instead."""
    if newer.request.owner != errand.request.owner:
        return False
    covers = newer.job is not None and errand.job is not None and newer.job.covers(errand.job)
    return newer.given_up or covers


def _failed(error: BaseException) -> Failed:
    """Says the kind alone: a message may quote what was sent."""
    failed = Failed(type(error).__name__)
    failed.__cause__ = error
    return failed
