"""The breaker: three failures open it, one probe at a time closes it."""

import pytest

from gateway.breaker import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Breaker, Permit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def test_three_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert breaker.closed
    fail(breaker, 1)
    assert not breaker.closed
    assert breaker.admit() is None


def test_an_answer_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.answered(admitted(breaker))
    fail(breaker, 2)
    assert breaker.closed


def test_after_the_pause_exactly_one_call_probes(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += FIRST_PAUSE_SECONDS - 0.1
    assert breaker.admit() is None
    clock.now += 0.1
    probe = admitted(breaker)
    assert breaker.admit() is None
    breaker.answered(probe)
    assert breaker.closed
    assert breaker.admit() is not None


def test_each_failed_probe_doubles_the_pause_up_to_a_minute(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    for pause in (5, 10, 20, 40, 60, 60):
        clock.now += pause - 0.1
        assert breaker.admit() is None
        clock.now += 0.1
        breaker.failed(admitted(breaker))
    assert LONGEST_PAUSE_SECONDS == 60


def test_once_closed_it_opens_with_a_short_pause_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += FIRST_PAUSE_SECONDS
    fail(breaker, 1)
    clock.now += 2 * FIRST_PAUSE_SECONDS
    breaker.answered(admitted(breaker))
    fail(breaker, 3)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.admit() is not None


def test_lateness_is_no_failure_and_no_probe_that_succeeded(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 2)
    breaker.late(admitted(breaker))
    assert breaker.closed
    fail(breaker, 1)
    clock.now += FIRST_PAUSE_SECONDS
    breaker.late(admitted(breaker))
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.admit() is None
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.admit() is not None


def test_a_probe_whose_caller_left_lets_the_next_one_probe(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += FIRST_PAUSE_SECONDS
    breaker.abandoned(admitted(breaker))
    assert breaker.admit() is not None
    assert not breaker.closed


def test_calls_begun_before_it_opened_tell_nothing(breaker: Breaker, clock: Clock) -> None:
    slow = [admitted(breaker) for _ in range(3)]
    fail(breaker, 3)
    breaker.answered(slow[0])
    breaker.failed(slow[1])
    assert not breaker.closed
    clock.now += FIRST_PAUSE_SECONDS
    probe = admitted(breaker)
    breaker.abandoned(slow[2])
    assert breaker.admit() is None
    breaker.answered(probe)
    assert breaker.closed
