"""A process that sweeps by itself: when it does, and that nothing stops it."""

import logging
from random import Random

import pytest

from gateway.documents.base import Set, StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from gateway.retention.decisions import Policy
from gateway.retention.schedule import PAUSE_SECONDS, sweep_regularly
from gateway.retention.sweep import LEASE_PATH, Report, Sweep
from limits.clock import Clock
from support.memories import NOON

EVERY = 86_400.0


class Enough(BaseException):
    """Ends the loop, which outlives any error."""


class Sleeps:
    """Time passes here alone; after `most` sleeps it is enough."""

    def __init__(self, clock: Clock, most: int) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._clock.now += seconds
        if len(self.seconds) >= self._most:
            raise Enough


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def sweep(documents: MeteredDocuments, clock: Clock) -> Sweep:
    return Sweep(documents, clock, Random(3), Policy(), 240.0)


async def test_it_sweeps_at_once_and_then_at_its_interval(sweep: Sweep, clock: Clock) -> None:
    sleeps = Sleeps(clock, 5)
    with pytest.raises(Enough):
        await sweep_regularly(sweep, EVERY, sleeps)
    rest = EVERY - PAUSE_SECONDS
    assert sleeps.seconds == [0, PAUSE_SECONDS, rest, PAUSE_SECONDS, rest]


async def test_a_restart_changes_nothing(sweep: Sweep, clock: Clock) -> None:
    await sweep.run()
    clock.now += 3600
    sleeps = Sleeps(clock, 1)
    with pytest.raises(Enough):
        await sweep_regularly(sweep, EVERY, sleeps)
    assert sleeps.seconds == [EVERY - 3600]


async def test_another_process_at_it_is_no_error(
    sweep: Sweep, documents: MeteredDocuments, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lease = {"schema": 1, "holder": "x", "until": NOON + 90, "cursor": None, "finished": 0.0}
    await documents.commit(Set(LEASE_PATH, lease))
    with pytest.raises(Enough):
        await sweep_regularly(sweep, EVERY, Sleeps(clock, 6))
    assert await sweep.due_in_seconds(EVERY) > 0
    assert caplog.records == []


async def test_a_failure_is_logged_and_tried_again(
    documents: MeteredDocuments, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Sweep):
        async def run(self, *, dry_run: bool = False) -> Report:
            raise StoreUnavailable("canary")

    sweep = Failing(documents, clock, Random(3), Policy(), 240.0)
    sleeps = Sleeps(clock, 4)
    with caplog.at_level(logging.INFO), pytest.raises(Enough):
        await sweep_regularly(sweep, EVERY, sleeps)
    assert sleeps.seconds == [0, PAUSE_SECONDS, 0, PAUSE_SECONDS]
    assert caplog.text.count("StoreUnavailable") == 2
    assert "canary" not in caplog.text
