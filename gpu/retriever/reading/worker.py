"""The thread that has the model. It takes what has arrived, runs a pass for all of it together, and
looks again; what would not fit beside it waits, and who has nothing left to be read goes past.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Iterable

from retriever.errors import DeadlinePassed, Failed, RetrieverError
from retriever.reading.errand import Errand, Forgetting, Outcome
from retriever.reading.line import SHUTTING_DOWN, Line
from retriever.reading.pace import Paces
from retriever.reading.reader import PassFailed, Reader
from retriever_contract.wire import CacheFigures, PrefillRequest

logger = logging.getLogger(__name__)

FORGOTTEN = "The owner has been forgotten."
HOPELESS = 2.0  # times what can be read by the deadline: then nobody waits for it


class Worker:
    """`embeds` is what those who are late are told; `clock` is monotonic, in seconds."""

    def __init__(
        self, reader: Reader, line: Line, clock: Callable[[], float], *, embeds: bool
    ) -> None:
        self._reader = reader
        self._line = line
        self._clock = clock
        self._embeds = embeds
        self._errands: list[Errand] = []  # in the order of arrival
        self._paces = Paces()
        self.figures = self._cache_figures()
        self._thread = threading.Thread(target=self._work, name="retriever", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Returns once all is answered that was in the line before it was closed."""
        self._thread.join()

    @property
    def wake_seconds(self) -> float:
        """How long a window may outlast its time when nobody asks for anything."""
        return max(0.05, min(30.0, self._reader.cache.idle_seconds / 10))

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
            self.figures = self._cache_figures()
        except BaseException as error:  # a panic of the tokenizer's Rust is no Exception
            self._end_all(self._errands, error)
        return True

    def _take_arrivals(self) -> bool:
        """Waits only where there is nothing else to do. False: it is over."""
        for arrival in self._line.arrived(None if self._errands else self.wake_seconds):
            if arrival is None:
                self._end_all(self._errands, Failed(SHUTTING_DOWN))
                return False
            if isinstance(arrival, Forgetting):
                self._forget(arrival)
            else:
                self._errands.append(arrival)
        return True

    def _forget(self, forgetting: Forgetting) -> None:
        owner = forgetting.request.owner
        theirs = [one for one in self._errands if one.request.owner == owner]
        self._end_all(theirs, DeadlinePassed(FORGOTTEN))
        forgetting.succeed(self._reader.cache.forget(owner))

    def _begin_all(self) -> None:
        for errand in list(self._errands):
            if errand.job is None:
                self._begin(errand)

    def _begin(self, errand: Errand) -> None:
        request, most = errand.request, self._reader.cache.max_bytes
        try:
            errand.job = self._reader.begin(
                request.owner, request.epoch, errand.windows, errand.queries, most, errand.beyond
            )
        except BaseException as error:
            self._end_all([errand], error)
        else:
            self._foresee(errand)

    def _foresee(self, errand: Errand) -> None:
        """Who cannot have all in time waits for the first half that is whole, or for nothing; for
        likeness that comes too late no head waits to be told which windows are worth asking."""
        request, job = errand.request, errand.job
        if isinstance(request, PrefillRequest) or job is None:
            return
        before = [one.job for one in self._errands[: self._errands.index(errand)] if one.job]
        left = request.deadline_milliseconds / 1000 - (self._clock() - errand.sent_at)
        embedding = self._paces.until_embedded(job, before)
        reading = self._paces.until_read(job, before)
        if max(embedding, reading) <= max(0.0, HOPELESS * left):
            return
        takes_part = request.partial and job.likeness is not None
        if not takes_part or min(embedding, reading) > left:
            message = "Cannot be ready in time; the memory is being read."
            errand.fail(DeadlinePassed(message, embeds=self._embeds))
            self._line.give_up(errand)
        elif embedding > left:
            job.ask_all()
        errand.is_hurried = True

    def _leave_abandoned(self) -> None:
        """What nobody waits for is read on, once for each owner: for the newest who has gone, or
        for a newer question that needs the same, which takes its place."""
        for errand in [one for one in self._errands if one.given_up]:
            if errand.job is not None:
                errand.job.abandon()
            place = self._errands.index(errand)
            later = self._errands[place + 1 :]
            newer = next((one for one in later if errand.gives_way_to(one)), None)
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
                errand.is_active = not errand.has_unread or (not waits and self._has_room(errand))
                waits = waits or not errand.is_active

    def _has_room(self, errand: Errand) -> bool:
        """Alone it has always; windows that several read take their room once, beside vectors."""
        reading = [one.job for one in self._active if one.job and one.job.unread]
        if not reading or errand.job is None:
            return True
        cache = self._reader.cache
        left = cache.max_bytes - cache.vectors.bytes_kept
        return self._reader.bytes_of(*reading, errand.job) <= left

    @property
    def _active(self) -> list[Errand]:
        return [errand for errand in self._errands if errand.is_active]

    def _step(self) -> None:
        counts, started = self._reader.cache.counts, self._clock()
        read, embedded = counts.tokens_read, counts.characters_embedded
        try:
            self._reader.step([errand.job for errand in self._active if errand.job is not None])
        except PassFailed as failed:
            lost = [one for one in self._active if one.job and one.job.needs(failed.windows)]
            self._end_all(lost, failed.__cause__ or failed)
        else:
            self._paces.note(
                counts.tokens_read - read,
                counts.characters_embedded - embedded,
                self._clock() - started,
            )

    def _finish(self) -> None:
        for errand in self._active:
            if errand.job is not None and errand.job.is_done:
                outcome = Outcome.of(errand.job)
                self._leave(errand)
                errand.succeed(outcome)
            elif errand.can_answer(self._clock()) and errand.job is not None:
                errand.succeed(Outcome.of(errand.job))  # and its memory is read on

    def _end_all(self, errands: Iterable[Errand], error: BaseException) -> None:
        """Of what failed at the model nothing stays in the cache."""
        ours = isinstance(error, RetrieverError)
        for errand in list(errands):
            if errand.job is not None and not ours:
                self._reader.discard(errand.job)
            self._leave(errand)
            errand.fail(error)
        if not ours:
            traceback.clear_frames(error.__traceback__)  # tensors hang on it
            logger.error("the model failed: %s", type(error).__name__)

    def _leave(self, errand: Errand) -> None:
        self._errands.remove(errand)
        errand.job = None  # nothing holds its windows any more
        self._line.leave(errand)

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
