"""Who is on the way between callers and the worker: bounded, in the order of arrival.

The one part of the engine that threads share; all of it under one lock.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

from retriever.errors import Failed, Overloaded
from retriever.reading.errand import Errand, Forgetting
from retriever.reading.forgotten import Forgotten
from retriever_contract.wire import PrefillRequest, RankRequest

RETRY_SECONDS = 1.0
SHUTTING_DOWN = "The retriever is shutting down."
MOST_ON_THE_WAY = 4  # times the line's length: readings that nobody waits for among them


class Line:
    """`length` bounds the callers who wait."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._arrivals: queue.SimpleQueue[Errand | Forgetting | None] = queue.SimpleQueue()
        self._forgotten = Forgotten()
        self._queued = 0  # of those on their way, whose callers wait
        self._closed = False
        self._lock = threading.Lock()
        self.waiting = 0

    def enter(self, errand: Errand) -> None:
        """Raises Overloaded, Failed."""
        with self._lock:
            self._refuse_when_closed()
            left_behind = self.waiting >= MOST_ON_THE_WAY * self._length
            if self._queued >= self._length or left_behind:
                raise Overloaded("The queue is full.", RETRY_SECONDS)
            self.waiting += 1
            self._queued += 1
            self._arrivals.put(errand)

    def give_up(self, errand: Errand) -> None:
        """Its caller has gone, or has been told to."""
        errand.given_up = True
        with self._lock:
            self._free_place(errand)

    def leave(self, errand: Errand) -> None:
        """The worker has done with it."""
        with self._lock:
            self.waiting -= 1
            self._free_place(errand)

    def forget(self, forgetting: Forgetting, until: float) -> None:
        """Whoever enters after this of a lower epoch is known as forgotten. Raises Failed."""
        request = forgetting.request
        with self._lock:
            self._refuse_when_closed()
            self._forgotten.note(request.owner, request.epoch, until)
            self._arrivals.put(forgetting)

    def is_forgotten(self, request: RankRequest | PrefillRequest, now: float) -> bool:
        with self._lock:
            return self._forgotten.covers(request.owner, request.epoch, now)

    def close(self) -> None:
        """Nobody enters any more; who is in the line is met before its end."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._arrivals.put(None)

    def arrived(self, wait_seconds: float | None) -> Iterator[Errand | Forgetting | None]:
        """What is there, and None at the line's end; where nothing is, waits for the first so long
        at the most. None for `wait_seconds`: not at all."""
        wait = wait_seconds is not None
        with suppress(queue.Empty):
            while True:
                yield self._arrivals.get(wait, wait_seconds)
                wait = False

    def _free_place(self, errand: Errand) -> None:
        self._queued -= errand.is_queued
        errand.is_queued = False

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise Failed(SHUTTING_DOWN)
