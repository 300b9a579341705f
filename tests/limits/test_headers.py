"""OpenAI's names and durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.headers import duration, rate_limit_headers
from gateway.limits.window import Contents, Usage


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (0.0001, "1ms"),
        (1, "1s"),
        (1.2, "2s"),
        (59.5, "1m0s"),
        (65, "1m5s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (86_399, "23h59m59s"),
        (-1, "0s"),
    ],
)
def test_durations_read_as_openais(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1))
def test_a_short_duration_is_never_told_shorter(seconds: float) -> None:
    told = duration(seconds)
    value = float(told[:-2]) / 1000 if told.endswith("ms") else float(told[:-1])
    assert value >= seconds


def test_headers_tell_limit_remaining_and_reset() -> None:
    usage = Usage(100, {"requests": Contents(((20, 3),)), "tokens": Contents(((8, 10), (19, 2.5)))})
    assert rate_limit_headers({"requests": 60, "tokens": 12}, usage, 100) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "57",
        "x-ratelimit-reset-requests": "1m5s",
        "x-ratelimit-limit-tokens": "12",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m0s",
    }


def test_an_unlimited_dimension_has_no_headers() -> None:
    usage = Usage(100, {"requests": Contents(), "tokens": Contents()})
    assert rate_limit_headers({"requests": 0, "tokens": 0}, usage, 100) == {}
