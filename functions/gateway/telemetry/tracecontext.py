"""Which trace a request belongs to, from its headers. Pure.

`traceparent` as W3C's Trace Context has it (https://www.w3.org/TR/trace-context/#traceparent-header),
else Google's older `X-Cloud-Trace-Context: TRACE_ID/SPAN_ID;o=OPTIONS`
(https://cloud.google.com/trace/docs/trace-context), whose span is a decimal number.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SPAN = 1 << 64

# Version ff is forbidden; a later version than 00 may have more fields behind these.
_W3C = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_GOOGLE = re.compile(rb"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """`trace` is 32 hexadecimal digits, `span` 16, or empty where the caller named none.

    `header` is the `traceparent` it was read from, as it came: what is passed on where no span of
    ours takes its place.
    """

    trace: str
    span: str
    sampled: bool
    header: str = ""


def context_of(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """Of an ASGI scope's headers. None where there is none, or none that can be read."""
    google = None
    for name, value in headers:
        if name == b"traceparent" and (found := _from_w3c(value)) is not None:
            return found
        if name == b"x-cloud-trace-context":
            google = google or _from_google(value)
    return google


def _from_w3c(value: bytes) -> TraceContext | None:
    match = _W3C.fullmatch(value.strip())
    if match is None or (match[1] == b"00" and match[5]):
        return None
    trace, span = match[2].decode(), match[3].decode()
    if not (trace.strip("0") and span.strip("0")):
        return None
    return TraceContext(trace, span, bool(int(match[4], 16) & 1), value.strip().decode("latin-1"))


def _from_google(value: bytes) -> TraceContext | None:
    match = _GOOGLE.fullmatch(value.strip())
    if match is None or not match[1].strip(b"0"):
        return None
    span = int(match[2] or 0)
    named = f"{span:016x}" if 0 < span < MAX_SPAN else ""
    return TraceContext(match[1].decode().lower(), named, bool(int(match[3] or 0) & 1))
