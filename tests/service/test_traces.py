"""Spans of the running service as an OTLP collector receives them, and the context it passes on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.chats import user
from support.service import Service
from support.upstream import Answer, LoopbackUpstream, Recorded, closed_port

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"
PARENT = "b7ad6b7169203331"
STREAMED, WHOLE, CUT, UNSAMPLED = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
SECRET = "the-quokka-naps-at-noon"
STAGES = {"identify", "admit", "recall", "compress", "chat m-1", "remember"}


@dataclass(frozen=True)
class Traced:
    """All spans that came, by trace and name, and what the upstream got of each trace."""

    spans: Mapping[str, Mapping[str, Span]]
    passed: Mapping[str, str]


def asks(url: str, trace: str, *, sampled: bool = True, stream: bool = False) -> int:
    body = {"model": "m-1", "messages": [user(f"{SECRET} {trace}")], "stream": stream}
    headers = {
        "x-api-key": "sk-alice",
        "x-session-id": SECRET,
        "traceparent": f"00-{trace}-{PARENT}-0{int(sampled)}",
    }
    answer = httpx.post(f"{url}{CHAT}", json=body, headers=headers, timeout=20, trust_env=False)
    return answer.status_code


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A life of a service, which at its end sends what is left."""
    with LoopbackUpstream() as upstream, LoopbackUpstream() as collector:
        collector.default = lambda _: Answer.json({})
        with Service(
            tmp_path_factory.mktemp("traces"),
            UPSTREAM_BASE=upstream.base_url,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.base_url.removesuffix("/v1"),
            OTEL_EXPORTER_OTLP_HEADERS="x-collector-key=a%20key",
        ) as service:
            assert asks(service.url, WHOLE) == 200
            assert asks(service.url, STREAMED, stream=True) == 200
            assert asks(service.url, UNSAMPLED, sampled=False) == 200
            upstream.queue(Answer.hang_up())
            assert asks(service.url, CUT) == 502
            service.stop()
        told = [span for request in collector.requests for span in spans_of(request)]
        by_trace: dict[str, dict[str, Span]] = {}
        for span in told:
            by_trace.setdefault(span.trace_id.hex(), {})[span.name] = span
        passed = [request.headers["traceparent"] for request in upstream.requests]
        yield Traced(by_trace, {header.split("-")[1]: header for header in passed})


def spans_of(request: Recorded) -> Iterator[Span]:
    assert request.path.endswith("/v1/traces")
    assert request.headers["x-collector-key"] == "a key"
    for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def told(span: Span) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in span.attributes:
        kind = one.value.WhichOneof("value")
        assert kind is not None
        value = getattr(one.value, kind)
        if kind == "array_value":
            value = [each.string_value for each in value.values]
        found[one.key] = value
    return found


def test_each_stage_is_a_span_of_the_callers_trace(traced: Traced) -> None:
    named = traced.spans[STREAMED]
    assert named.keys() == {*STAGES, f"POST {CHAT}"}
    root = named[f"POST {CHAT}"]
    assert (root.kind, root.parent_span_id.hex()) == (Span.SPAN_KIND_SERVER, PARENT)
    assert {named[name].parent_span_id for name in STAGES} == {root.span_id}
    assert told(root) == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
    }


def test_the_answer_is_told_in_the_conventions_for_genai(traced: Traced) -> None:
    span = traced.spans[STREAMED]["chat m-1"]
    found = told(span)
    first, tokens = (
        found.pop(f"gen_ai.{name}")
        for name in ("response.time_to_first_chunk", "usage.input_tokens")
    )
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert isinstance(first, float)
    assert first > 0
    assert isinstance(tokens, int)
    assert tokens > 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m-1",
        "gen_ai.request.stream": True,
        "gen_ai.usage.output_tokens": found["gen_ai.usage.output_tokens"],
        "gen_ai.response.finish_reasons": ["stop"],
    }


def test_the_upstream_continues_the_trace_from_the_span_that_asked(traced: Traced) -> None:
    span = traced.spans[WHOLE]["chat m-1"]
    assert traced.passed[WHOLE] == f"00-{WHOLE}-{span.span_id.hex()}-01"


def test_an_upstream_that_broke_off_is_an_error_by_kind(traced: Traced) -> None:
    failed = {
        name: told(span).get("error.type")
        for name, span in traced.spans[CUT].items()
        if span.status.code
    }
    assert failed == {"chat m-1": "unreachable", f"POST {CHAT}": "502"}


def test_a_caller_who_samples_nothing_has_no_spans(traced: Traced) -> None:
    assert UNSAMPLED not in traced.spans
    assert traced.passed[UNSAMPLED].endswith("-00")


def test_no_span_holds_a_word_of_what_was_said_or_who_said_it(traced: Traced) -> None:
    assert len(traced.spans[WHOLE]) == len(STAGES) + 1
    text = str([list(spans.values()) for spans in traced.spans.values()])
    assert [word for word in (SECRET, "key:alice", "sk-alice", "echo:") if word in text] == []


def test_a_collector_that_is_away_costs_no_answer(
    tmp_path: Path, upstream: LoopbackUpstream
) -> None:
    away = f"http://127.0.0.1:{closed_port()}"
    settings = {"UPSTREAM_BASE": upstream.base_url, "OTEL_EXPORTER_OTLP_ENDPOINT": away}
    with Service(tmp_path, **settings) as service:
        assert asks(service.url, WHOLE) == 200


def test_without_an_endpoint_the_context_goes_through_untouched(
    service: Service, upstream: LoopbackUpstream
) -> None:
    assert asks(service.url, WHOLE) == 200
    assert upstream.requests[-1].headers["traceparent"] == f"00-{WHOLE}-{PARENT}-01"
