"""The window's arithmetic, over a document kept as a plain dict."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.window import (
    BUCKET_SECONDS,
    BUCKETS_AHEAD,
    BUCKETS_BEFORE,
    DAY_SECONDS,
    DayAmounts,
    Units,
    Usage,
    amounts_at,
    bucket_at,
    day_name,
    day_of,
    field_of,
    settlement_at,
    usage_from,
)

MIDNIGHT = 20_000 * DAY_SECONDS
NOON = MIDNIGHT + DAY_SECONDS // 2

Days = dict[int, dict[str, float]]

near_midnight = st.floats(MIDNIGHT - 200, MIDNIGHT + 200)
anytime = st.floats(MIDNIGHT, MIDNIGHT + 3 * DAY_SECONDS) | near_midnight
steps = st.floats(0, 30) | st.sampled_from([0.0, 5.0, 59.999, 60.0, 65.0, 400.0])
arrivals = st.lists(st.tuples(steps, st.integers(1, 20)), min_size=1, max_size=60)


def apply(days: Days, part: DayAmounts) -> Mapping[str, float]:
    fields = days.setdefault(part.day, {})
    for name in part.drop:
        fields.pop(name, None)
    for name, amount in part.amounts.items():
        fields[name] = fields.get(name, 0) + amount
    return {name: fields[name] for name in part.amounts}


def count(days: Days, now: float, units: Units) -> Usage:
    return usage_from(now, {part.day: apply(days, part) for part in amounts_at(now, units)})


def admitted(days: Days, now: float, size: int, limit: int) -> bool:
    """As the limiter does it: count first, give back when it was too much."""
    if count(days, now, {"tokens": size}).minute["tokens"].fits(now, 0, limit):
        return True
    count(days, now, {"tokens": -size})
    return False


@given(start=near_midnight, arrivals=arrivals, limit=st.integers(20, 60))
def test_no_sixty_seconds_hold_more_than_the_limit(
    start: float, arrivals: list[tuple[float, int]], limit: int
) -> None:
    days: Days = {}
    passed: list[tuple[float, int]] = []
    now = start
    for step, size in arrivals:
        now += step
        if admitted(days, now, size, limit):
            passed.append((now, size))
    for end, _ in passed:
        assert sum(size for at, size in passed if end - 60 <= at <= end) <= limit


@given(start=anytime, arrivals=arrivals, size=st.integers(1, 20), limit=st.integers(20, 60))
def test_waiting_the_stated_seconds_admits_and_no_bucket_earlier_does(
    start: float, arrivals: list[tuple[float, int]], size: int, limit: int
) -> None:
    days: Days = {}
    now = start
    for step, units in arrivals:
        now += step
        admitted(days, now, units, limit)
    standing = count(days, now, {"requests": 0, "tokens": 0}).minute["tokens"]
    wait = standing.wait_seconds(now, size, limit)
    assert (wait == 0) == standing.fits(now, size, limit)
    if wait > BUCKET_SECONDS:
        assert not admitted(days, now + wait - BUCKET_SECONDS, size, limit)
    assert admitted(days, now + wait, size, limit)


@given(start=near_midnight, arrivals=arrivals)
def test_the_window_is_empty_after_its_reset(
    start: float, arrivals: list[tuple[float, int]]
) -> None:
    days: Days = {}
    now = start
    for step, units in arrivals:
        now += step
        usage = count(days, now, {"requests": 1, "tokens": units})
    for contents in usage.minute.values():
        later = now + contents.reset_seconds(now)
        assert contents.used(later) == 0
        assert contents.used(later - 0.001) > 0


@given(now=anytime)
def test_the_window_covers_a_minute_and_less_than_a_bucket_more(now: float) -> None:
    days: Days = {}
    standing = count(days, now, {"requests": 1}).minute["requests"]
    assert standing.used(now + 60) == 1
    assert standing.used(now + 65) == 0


@given(now=anytime)
def test_the_window_is_current_twelve_before_and_one_ahead(now: float) -> None:
    current = bucket_at(now)
    window = range(current - BUCKETS_BEFORE, current + BUCKETS_AHEAD + 1)
    read = {(part.day, name) for part in amounts_at(now, {"tokens": 0}) for name in part.amounts}
    fields = {(day_of(bucket), field_of("tokens", bucket)) for bucket in window}
    assert len(fields) == 14
    assert read == fields | {(day_of(current), "tokens")}


@given(now=anytime)
def test_nothing_of_any_window_near_now_is_dropped(now: float) -> None:
    dropped = {
        (part.day, name)
        for part in amounts_at(now, {"requests": 1, "tokens": 1})
        for name in part.drop
    }
    for nearby in (now - BUCKET_SECONDS, now, now + BUCKET_SECONDS):
        for part in amounts_at(nearby, {"requests": 1, "tokens": 1}):
            assert dropped.isdisjoint((part.day, name) for name in part.amounts)


def test_a_steady_day_keeps_its_document_small() -> None:
    days: Days = {}
    for second in range(0, 3600, 7):
        count(days, NOON + second, {"requests": 1, "tokens": 100})
    assert len(days[day_of(bucket_at(NOON))]) < 40


def test_a_bursty_day_keeps_its_document_small() -> None:
    days: Days = {}
    for burst in range(DAY_SECONDS // 365):
        count(days, MIDNIGHT + burst * 365, {"requests": 1, "tokens": 100})
    fields = days[day_of(bucket_at(MIDNIGHT))]
    assert sum(len(name) + 1 + 8 for name in fields) < 150_000


def test_one_document_is_written_but_around_midnight() -> None:
    written = {
        offset: len(amounts_at(MIDNIGHT + offset, {"requests": 1}))
        for offset in (-65, -6, -5, 0, 59.9, 60, 3600)
    }
    assert written == {-65: 1, -6: 1, -5: 2, 0: 2, 59.9: 2, 60: 1, 3600: 1}


def test_after_midnight_yesterday_is_only_read() -> None:
    today, yesterday = amounts_at(MIDNIGHT + 1, {"requests": 1, "tokens": 7})
    assert today.day == yesterday.day + 1
    assert (today.amounts["requests"], today.amounts["tokens"]) == (1, 7)
    assert (today.amounts["r0"], today.amounts["t0"]) == (1, 7)
    assert set(yesterday.amounts.values()) == {0}
    assert yesterday.drop == ()


def test_the_minute_before_midnight_counts_after_it() -> None:
    days: Days = {}
    assert admitted(days, MIDNIGHT - 1, 8, 10)
    assert not admitted(days, MIDNIGHT + 1, 3, 10)
    assert admitted(days, MIDNIGHT + 2, 2, 10)
    assert admitted(days, MIDNIGHT + 60, 8, 10)


def test_a_late_writer_sees_who_came_in_the_next_bucket() -> None:
    days: Days = {}
    assert admitted(days, NOON + 5.1, 10, 10)
    assert not admitted(days, NOON + 4.9, 1, 10)


def test_a_late_writer_before_midnight_sees_who_came_after_it() -> None:
    days: Days = {}
    assert admitted(days, MIDNIGHT + 0.1, 10, 10)
    assert not admitted(days, MIDNIGHT - 0.1, 1, 10)


def test_the_wait_depends_on_the_size() -> None:
    days: Days = {}
    for second, size in ((0, 2), (10, 3), (20, 5)):
        count(days, NOON + second, {"tokens": size})
    standing = count(days, NOON + 30, {"tokens": 0}).minute["tokens"]
    waits = [standing.wait_seconds(NOON + 30, size, 10) for size in (1, 2, 3, 5, 6, 10)]
    assert waits == [35, 35, 45, 45, 55, 55]


def test_clipping_takes_from_the_newest() -> None:
    days: Days = {}
    count(days, NOON, {"requests": 6})
    standing = count(days, NOON + 20, {"requests": 10}).minute["requests"]
    assert standing.wait_seconds(NOON + 20, 1, 10) == 65
    clipped = standing.clipped(10)
    assert clipped.used(NOON + 20) == 10
    assert clipped.wait_seconds(NOON + 20, 1, 10) == 45
    assert clipped.clipped(20) == clipped


def test_the_days_totals_stand_in_the_same_document() -> None:
    days: Days = {}
    for second in (0, 100, 1000):
        usage = count(days, NOON + second, {"requests": 1, "tokens": 5})
    fields = days[day_of(bucket_at(NOON))]
    assert (fields["requests"], fields["tokens"]) == (3, 15)
    assert usage.today("tokens", NOON + 1000) == 15
    assert usage.today("tokens", NOON + DAY_SECONDS) == 0


def test_a_day_is_kept_for_two_more() -> None:
    (part,) = amounts_at(NOON, {"requests": 1})
    assert part.expires_at == MIDNIGHT + 3 * DAY_SECONDS


def test_days_are_named_in_utc() -> None:
    assert day_name(0) == "1970-01-01"
    assert day_name(day_of(bucket_at(1_709_251_199))) == "2024-02-29"
    assert day_name(day_of(bucket_at(1_709_251_200))) == "2024-03-01"


# settlement


def test_nothing_is_settled_when_the_estimate_was_right() -> None:
    assert settlement_at(NOON + 9, NOON, 100, 100) is None


def test_the_rest_is_counted_now() -> None:
    part = settlement_at(MIDNIGHT + 30, MIDNIGHT - 300, 100, 150)
    assert part == DayAmounts(day_of(bucket_at(MIDNIGHT)), {"tokens": 50, "t6": 50})


def test_a_surplus_leaves_the_bucket_that_reserved_it() -> None:
    part = settlement_at(MIDNIGHT + 30, MIDNIGHT - 1, 100, 40)
    assert part == DayAmounts(day_of(bucket_at(MIDNIGHT)) - 1, {"tokens": -60, "t17279": -60})


def test_a_surplus_that_left_the_window_corrects_the_day_alone() -> None:
    part = settlement_at(NOON + 65, NOON, 100, 40)
    assert part == DayAmounts(day_of(bucket_at(NOON)), {"tokens": -60})


@given(
    start=near_midnight,
    seconds=st.floats(0, 400),
    reserved=st.integers(0, 99),
    used=st.integers(0, 99),
)
def test_settled_tokens_are_the_used_ones(
    start: float, seconds: float, reserved: int, used: int
) -> None:
    days: Days = {}
    count(days, start, {"requests": 1, "tokens": reserved})
    part = settlement_at(start + seconds, start, reserved, used)
    if part is not None:
        apply(days, part)
    assert sum(fields.get("tokens", 0) for fields in days.values()) == used
    standing = count(days, start + seconds, {"tokens": 0}).minute["tokens"].used(start + seconds)
    in_window = bucket_at(start) >= bucket_at(start + seconds) - BUCKETS_BEFORE
    assert standing == (used if in_window else max(0, used - reserved))
