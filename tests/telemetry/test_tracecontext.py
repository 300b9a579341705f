"""Trace headers as callers and Google's front end send them, and as they should not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.tracecontext import TraceContext, context_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = f"00-{TRACE}-{SPAN}-01"


def of(**headers: str) -> TraceContext | None:
    return context_of(
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    )


def test_the_w3c_header_is_read() -> None:
    assert of(traceparent=W3C) == TraceContext(TRACE, SPAN, True, W3C)


def test_the_last_bit_alone_says_whether_it_is_sampled() -> None:
    for flags, sampled in (("00", False), ("01", True), ("02", False), ("ff", True)):
        found = of(traceparent=f"00-{TRACE}-{SPAN}-{flags}")
        assert found is not None
        assert found.sampled is sampled


def test_a_later_version_may_hold_more() -> None:
    assert of(traceparent=f"01-{TRACE}-{SPAN}-01-more") is not None


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        "a secret",
    ],
)
def test_what_is_malformed_is_no_trace(value: str) -> None:
    assert of(traceparent=value) is None


def test_googles_span_is_a_decimal_number() -> None:
    assert of(x_cloud_trace_context=f"{TRACE}/255;o=1") == TraceContext(TRACE, f"{255:016x}", True)
    assert of(x_cloud_trace_context=TRACE) == TraceContext(TRACE, "", False)
    assert of(x_cloud_trace_context=f"{TRACE}/{1 << 64};o=1") == TraceContext(TRACE, "", True)


def test_w3c_goes_first_whatever_the_order() -> None:
    for headers in (
        {"traceparent": W3C, "x_cloud_trace_context": "f" * 32},
        {"x_cloud_trace_context": "f" * 32, "traceparent": W3C},
    ):
        found = of(**headers)
        assert found is not None
        assert found.trace == TRACE


@given(st.binary(max_size=80), st.sampled_from([b"traceparent", b"x-cloud-trace-context"]))
def test_no_header_breaks_anything(value: bytes, name: bytes) -> None:
    found = context_of([(name, value)])
    assert found is None or len(found.trace) == 32
