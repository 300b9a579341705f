"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP. Imported only where an endpoint is set.

Nothing global is set: no provider, no propagator, no context of the library's. A parent's decision
to sample holds; of traces that begin here `ratio` are kept. Spans are sent by a thread of the
SDK's, in batches, and what an endpoint that is away does not take is dropped.
"""

import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import Tracer as SdkTracer

from gateway.telemetry.tracecontext import TraceContext
from gateway.telemetry.tracing import Kind, Span, Value

KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
EXPORT_SECONDS = 5.0
BATCH_SECONDS = 1.0
FLUSH_SECONDS = 3.0  # of the ten that Cloud Run gives a process to end


class OpenTelemetrySpan:
    def __init__(self, span: SdkSpan) -> None:
        self.span = span
        told = span.get_span_context()
        self.trace = f"{told.trace_id:032x}"
        self.id = f"{told.span_id:016x}"
        self.sampled = told.trace_flags.sampled
        self.traceparent = f"00-{self.trace}-{self.id}-{told.trace_flags:02x}"

    def tell(self, attributes: Mapping[str, Value]) -> None:
        self.span.set_attributes(dict(attributes))

    def end(self, name: str | None = None, error: str = "") -> None:
        if not self.span.is_recording():
            return
        if name is not None:
            self.span.update_name(name)
        if error:
            self.span.set_attribute("error.type", error)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class OpenTelemetryTracer:
    """`endpoint` is the collector's base, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], service: str, version: str, ratio: float
    ) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        self._headers = dict(headers)
        self._resource = Resource({"service.name": service, "service.version": version})
        self._sampler = ParentBased(TraceIdRatioBased(ratio))
        self._tracer: SdkTracer | None = None

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: Span | TraceContext | None,
        attributes: Mapping[str, Value],
    ) -> OpenTelemetrySpan:
        within = Context() if parent is None else set_span_in_context(_parent(parent), Context())
        tracer = self._tracer = self._tracer or self._started()
        return OpenTelemetrySpan(tracer.start_span(name, within, KINDS[kind], dict(attributes)))

    def _started(self) -> SdkTracer:
        """With the thread that sends, which has to be the serving process's: no fork keeps it."""
        exporter = OTLPSpanExporter(self._url, headers=self._headers, timeout=EXPORT_SECONDS)
        provider = TracerProvider(self._sampler, self._resource)
        provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=1000 * BATCH_SECONDS)
        )
        before_termination(provider.force_flush, FLUSH_SECONDS)
        return provider.get_tracer("gateway")


def before_termination(flush: Callable[[], object], seconds: float) -> None:
    """Send what is left when the process is told to end: uvicorn dies of the signal itself, and
    nothing runs at exit.

    Before the handler that is there, which still lets the requests at hand end. In a thread, since
    the SDK's flush knows no deadline, and since the word may come again while it holds its lock:
    from the server's parent, say, beside that of whoever told both.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)
    flushing = threading.Thread(target=flush, daemon=True)

    def ending(number: int, frame: FrameType | None) -> None:
        if flushing.ident is None:
            flushing.start()
            flushing.join(seconds)
        if callable(before):
            before(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, ending)


def _parent(parent: Span | TraceContext) -> SdkSpan:
    if isinstance(parent, OpenTelemetrySpan):
        return parent.span
    named = parent.span if isinstance(parent, TraceContext) else parent.id
    context = SpanContext(
        int(parent.trace, 16),
        int(named or "1", 16),  # of a caller that named its trace alone
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT),
    )
    return NonRecordingSpan(context)
