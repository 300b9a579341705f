"""What a call costs beside its work: pessimistic at first, then as it was measured."""

import pytest

from gateway.retrieval.overhead import FIRST_SECONDS, LARGEST_SHARE, Overhead


def test_unmeasured_it_is_that_of_a_far_away_tier() -> None:
    assert Overhead().within(2.0) == FIRST_SECONDS


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1])
def test_it_never_takes_more_than_half_of_the_patience(seconds: float) -> None:
    assert Overhead().within(seconds) == LARGEST_SHARE * seconds


def test_it_approaches_what_the_calls_measure() -> None:
    overhead = Overhead()
    for _ in range(40):
        overhead.measured(1.5, 1.38)
    assert overhead.within(2.0) == pytest.approx(0.12, abs=0.001)


@pytest.mark.parametrize("lie", [9.0, float("inf"), float("nan"), -9.0])
def test_a_tier_that_lies_about_its_work_adds_no_more_than_passed(lie: float) -> None:
    overhead = Overhead()
    for _ in range(40):
        overhead.measured(0.5, lie)
    assert 0 <= overhead.within(2.0) <= 0.5


def test_a_way_longer_than_believed_is_found_by_what_came_too_late() -> None:
    overhead = Overhead()
    overhead.missed(2.0)
    assert overhead.within(2.0) == 2 * FIRST_SECONDS
    for _ in range(9):
        overhead.missed(2.0)
    assert overhead.within(9.0) == 1.0


def test_even_a_tier_next_door_is_believed_far_away_once_it_was_not_heard() -> None:
    overhead = Overhead()
    for _ in range(60):
        overhead.measured(1.0, 1.0)
    overhead.missed(2.0)
    assert overhead.within(2.0) == FIRST_SECONDS
