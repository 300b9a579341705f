"""Admitting and settling against an exact model, under a clock that also jumps."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fuzz.effort import effort
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import RateLimited
from gateway.limits.base import Limits, Reservation
from gateway.limits.limiter import Limiter
from gateway.limits.window import BUCKET_SECONDS, BUCKETS_BEFORE, DAY_SECONDS
from limits.clock import Clock

REQUESTS, TOKENS, BUDGET = 5, 100, 400
LATE_EVENING = 20_000 * DAY_SECONDS + DAY_SECONDS - 120.0
SUBJECTS = ("google:alice", "key:bob")
SIZES = st.integers(0, TOKENS)


class Book:
    """What one subject has used, bucket by bucket and day by day, without a store."""

    def __init__(self) -> None:
        self.requests = Counter[int]()
        self.tokens = Counter[int]()
        self.days = Counter[int]()

    def admits(self, now: float, size: int) -> bool:
        window = range(_bucket(now) - BUCKETS_BEFORE, _bucket(now) + 1)
        return (
            sum(self.requests[one] for one in window) + 1 <= REQUESTS
            and sum(self.tokens[one] for one in window) + size <= TOKENS
            and self.days[_day(now)] + size <= BUDGET
        )

    def admit(self, now: float, size: int) -> None:
        self.requests[_bucket(now)] += 1
        self.tokens[_bucket(now)] += size
        self.days[_day(now)] += size

    def settle(self, now: float, at: float, reserved: int, used: int) -> None:
        """More is counted now; less leaves the bucket that held it while that still counts."""
        owed = used - reserved
        counted = now if owed > 0 else at
        self.days[_day(counted)] += owed
        if _bucket(counted) >= _bucket(now) - BUCKETS_BEFORE:
            self.tokens[_bucket(counted)] += owed


def _bucket(now: float) -> int:
    return int(now // BUCKET_SECONDS)


def _day(now: float) -> int:
    return int(now // DAY_SECONDS)


class Admitting(RuleBasedStateMachine):
    """One process, on SQLite. Begins two minutes before midnight."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._clock = Clock(LATE_EVENING)
        self._documents = SqliteDocuments(str(Path(self._folder.name) / "documents.db"))
        limits = Limits(REQUESTS, TOKENS, 0, 1, BUDGET)
        self._limiter = Limiter(self._documents, self._clock, limits, "closed", Random(7))
        self._books = {subject: Book() for subject in SUBJECTS}

    def teardown(self) -> None:
        self._runner.run(self._documents.close())
        self._runner.close()
        self._folder.cleanup()

    @rule(target=held, subject=st.sampled_from(SUBJECTS), size=SIZES)
    def admit(self, subject: str, size: int) -> object:
        expected = self._books[subject].admits(self._clock.now, size)
        try:
            reservation = self._runner.run(self._limiter.admit(subject, size))
        except RateLimited:
            reservation = None
        assert (reservation is not None) == expected
        if reservation is None:
            return multiple()
        self._books[subject].admit(self._clock.now, size)
        return reservation

    @rule(reservation=consumes(held), used=SIZES)
    def settle(self, reservation: Reservation, used: int) -> None:
        self._runner.run(self._limiter.settle(reservation, used))
        book = self._books[reservation.subject]
        book.settle(self._clock.now, reservation.admitted_at, reservation.tokens, used)

    @rule(seconds=st.one_of(st.floats(0, 20), st.floats(50, 80), st.just(3600.0)))
    def pass_time(self, seconds: float) -> None:
        self._clock.now += seconds

    @precondition(lambda self: self._clock.now < LATE_EVENING + 20 * DAY_SECONDS)
    @rule(days=st.integers(1, 3))
    def jump(self, days: int) -> None:
        self._clock.now += days * DAY_SECONDS


def test_whoever_fits_is_admitted_and_nobody_else_however_the_clock_goes_on() -> None:
    run_state_machine_as_test(Admitting, settings=effort(12, steps=25))
