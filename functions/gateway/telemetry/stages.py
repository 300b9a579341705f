"""The stages of a request, as spans and as seconds. Where nobody asks for either they cost nothing.

    with stage("recall"):
        ...

`begin_completion` and `end_completion` bound the one that outlives a function: the upstream's
answer, which is read long after it was asked for.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from gateway.telemetry.record import Record, current
from gateway.telemetry.tracing import Span, Value

NOTHING = nullcontext()


def stage(name: str) -> AbstractContextManager[object]:
    record = current()
    if record.tracer is None and not record.measured:
        return NOTHING
    return _Stage(name, record)


class _Stage:
    """A child of the request's span. It ends with the kind of error that left it, if one did."""

    def __init__(self, name: str, record: Record) -> None:
        self._name = name
        self._record = record
        self._span: Span | None = None
        self._before = record.active
        self._started = 0.0

    def __enter__(self) -> None:
        record = self._record
        if record.tracer is not None:
            self._span = record.tracer.begin(self._name, "internal", record.active, {})
            record.active = self._span
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        record = self._record
        record.stages.append((self._name, time.perf_counter() - self._started))
        if self._span is not None:
            self._span.end(error=kind.__name__ if kind else "")
            record.active = self._before


class RankingTimer:
    """Seconds of one ranking, whose `retriever` is known at its end."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._started = time.perf_counter()

    def stop(self, retriever: str) -> None:
        if self._record.measured:
            self._record.rankings.append((retriever, time.perf_counter() - self._started))


def begin_completion(model: str, *, streamed: bool) -> None:
    """The upstream is about to be asked for an answer to one chat."""
    record = current()
    record.completion = Completion(record, model, streamed=streamed)


def first_token() -> None:
    record = current()
    if record.first_token is None:
        record.first_token = time.perf_counter()


def end_completion(told: Mapping[str, Value], error: str = "") -> None:
    """Whoever learns it first says how it ended; what is said later changes nothing."""
    completion = current().completion
    if completion is not None:
        completion.end(told, error)


class Completion:
    """In the words of OpenTelemetry's conventions for GenAI, with no text of either side
    (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/)."""

    def __init__(self, record: Record, model: str, *, streamed: bool) -> None:
        self._record = record
        self._started = time.perf_counter()
        self._ended = False
        self._span: Span | None = None
        if record.tracer is not None:
            asked: dict[str, Value] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",  # the wire's flavour, whoever speaks it
                "gen_ai.request.model": model,
                "gen_ai.request.stream": streamed,
            }
            self._span = record.tracer.begin(f"chat {model}", "client", record.span, asked)
            record.active = self._span

    def end(self, told: Mapping[str, Value], error: str) -> None:
        if self._ended:
            return
        self._ended = True
        record = self._record
        record.stages.append(("complete", time.perf_counter() - self._started))
        if self._span is not None:
            if record.first_token is not None:
                first = record.first_token - self._started
                self._span.tell({"gen_ai.response.time_to_first_chunk": first})
            self._span.tell(told)
            self._span.end(error=error)
            record.active = record.span
