"""What a caller is waiting for, on its way to the worker and back."""

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from retriever.errors import Failed, RetrieverError
from retriever.reading.jobs import Job
from retriever_contract.wire import Chunk, ForgetRequest, PrefillRequest, RankRequest

HIGH_TIME = 0.75  # of the deadline: then a part is better than nothing, and a pass more takes time


@dataclass(frozen=True, slots=True)
class Outcome:
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


@dataclass(slots=True, eq=False)
class Errand:
    """A request on its way through the worker, in a place of the line until its caller goes."""

    request: RankRequest | PrefillRequest
    sent_at: float
    answer: Future[Outcome] = field(default_factory=Future)
    job: Job | None = None
    is_hurried: bool = False  # it cannot have all in time
    is_active: bool = False
    is_queued: bool = True
    given_up: bool = False

    @property
    def windows(self) -> list[list[Chunk]]:
        return [window.chunks for window in self.request.windows]

    @property
    def beyond(self) -> list[list[Chunk]]:
        if not isinstance(self.request, RankRequest):
            return []
        return [window.chunks for window in self.request.beyond]

    @property
    def queries(self) -> Sequence[str]:
        return self.request.queries if isinstance(self.request, RankRequest) else ()

    @property
    def has_unread(self) -> bool:
        return self.job is not None and bool(self.job.unread)

    def can_answer(self, now: float) -> bool:
        """In part: with all vectors, or all scores, when it is high time."""
        job, request = self.job, self.request
        if not (isinstance(request, RankRequest) and request.partial) or job is None:
            return False
        seconds = HIGH_TIME * request.deadline_milliseconds / 1000
        if not self.is_hurried and now < self.sent_at + seconds:
            return False
        return job.is_scored or (job.likeness is not None and job.likeness.is_whole)

    def gives_way_to(self, newer: "Errand") -> bool:
        """Whether reading goes on for the newer one of the same owner instead."""
        if newer.request.owner != self.request.owner:
            return False
        covers = newer.job is not None and self.job is not None and newer.job.covers(self.job)
        return newer.given_up or covers

    def succeed(self, outcome: Outcome) -> None:
        with suppress(InvalidStateError):  # its caller went, perhaps this very moment
            self.answer.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):
            self.answer.set_exception(_told(error))


@dataclass(slots=True, eq=False)
class Forgetting:
    request: ForgetRequest
    answer: Future[int] = field(default_factory=Future)

    def succeed(self, windows: int) -> None:
        with suppress(InvalidStateError):  # its caller has gone
            self.answer.set_result(windows)


def _told(error: BaseException) -> RetrieverError:
    """Of what is not ours the kind alone: a message may quote what was sent."""
    if isinstance(error, RetrieverError):
        return error
    failed = Failed(type(error).__name__)
    failed.__cause__ = error
    return failed
