"""What is known of one request while it is served: any room notes here what the log line, the
metrics and the spans shall tell.

It holds numbers, digests and words of ours, never text of a caller's, a credential or an address.
Where no request is served (a sweep, a test) `current` gives a record that nobody reads.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.telemetry.tracecontext import TraceContext
from gateway.telemetry.tracing import Span, Tracer

if TYPE_CHECKING:  # it notes its end here
    from gateway.telemetry.stages import Completion

HASH_DIGITS = 16
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,79}")

_current: ContextVar["Record"] = ContextVar("gateway_request")


@dataclass(slots=True)
class Record:
    """`identity` and `session` are digests. `retriever` is as in `x-memory-retriever`; `rankings`
    are who ranked with their seconds, `stages` names with theirs, kept where `measured`.

    `first_token` is the timer's, as `time.perf_counter`. `upstream_status` is that of the last
    answer, `upstream_error` why there was none.
    """

    context: TraceContext | None = None
    tracer: Tracer | None = None
    measured: bool = False
    request_id: str = ""
    span: Span | None = None
    active: Span | None = None
    completion: "Completion | None" = None
    identity: str = ""
    session: str = ""
    model: str = ""
    tokens_before: int | None = None
    tokens_after: int | None = None
    tokens_saved: int | None = None
    tokens_completion: int | None = None
    first_token: float | None = None
    limiter: str = ""
    retriever: str = ""
    upstream_status: int | None = None
    upstream_error: str = ""
    reads: int = 0
    writes: int = 0
    deletes: int = 0
    messages_created: int = 0
    searches: int = 0
    redactions: int = 0
    stages: list[tuple[str, float]] = field(default_factory=list)
    rankings: list[tuple[str, float]] = field(default_factory=list)

    def identified(self, subject: str) -> None:
        self.identity = hashed("identity", subject)

    def in_session(self, owner: str, session: str) -> None:
        """Hashed with the owner: the same name says nothing of somebody else's session."""
        self.session = hashed("session", f"{len(owner)} {owner} {session}") if session else ""

    def asks(self, model: str) -> None:
        """A name that looks like no model's is a caller's own words."""
        self.model = model if MODEL.fullmatch(model) else "other"

    def prompted(self, before: int, after: int, retriever: str) -> None:
        self.tokens_before, self.tokens_after = before, after
        self.tokens_saved = before - after
        self.retriever = retriever


def current() -> Record:
    """The record of the request that is being served, or one that nobody reads."""
    return _current.get(None) or Record()


@contextmanager
def recording(record: Record) -> Iterator[Record]:
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def trace_headers() -> dict[str, str]:
    """What an outgoing call passes on: the span at work, else the caller's own context untouched
    (https://www.w3.org/TR/trace-context/#mutating-the-traceparent-field)."""
    record = current()
    if record.active is not None:
        return {"traceparent": record.active.traceparent}
    if record.context is not None and record.context.header:
        return {"traceparent": record.context.header}
    return {}


def hashed(kind: str, name: str) -> str:
    """No digest that names documents or the GPU tier's owners: a log alone leads to neither."""
    named = f"memory-ops/log/{kind}/{name}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(named).hexdigest()[:HASH_DIGITS]
