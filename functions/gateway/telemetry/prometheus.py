"""Metrics in Prometheus' text format, of this process alone, in a registry of their own.

Every label has few values: a route's pattern, a status, words of ours. No model, no identity, no
path. What rooms count by themselves is read when somebody looks.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.telemetry.metrics import METHODS, Answer, PoolUse
from gateway.telemetry.record import Record

MEMORY_OPERATIONS = frozenset({"recall", "compress", "remember", "search"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked at each look: plain counts of other rooms, by name."""

    pools: Mapping[str, Callable[[], PoolUse | None]] = field(default_factory=dict)
    documents: Callable[[], Mapping[str, int]] = dict
    retriever: Callable[[], Mapping[str, int]] = dict
    limiter: Callable[[], Mapping[str, int]] = dict


class PrometheusMetrics:
    on = True

    def __init__(self, sources: Sources) -> None:
        # A second series for each, which nobody here reads. The library has no annotation there.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # see above
        self._registry = registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Sourced(sources))
        self._requests = Counter(
            "http_requests",
            "Answers.",
            ("method", "endpoint", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "To an answer's last byte.",
            ("method", "endpoint"),
            buckets=SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "http_requests_in_flight", "Requests being answered.", registry=registry
        )
        self._limiter = Counter(
            "limiter_decisions", "What the limiter said.", ("decision",), registry=registry
        )
        self._turns = _Turns(registry)
        self._sweeps = _Sweeps(registry)

    def began(self) -> None:
        self._in_flight.inc()

    def ended(self, answer: Answer, record: Record) -> None:
        self._in_flight.dec()
        method = answer.method if answer.method in METHODS else "other"
        self._requests.labels(method, answer.endpoint, str(answer.status)).inc()
        self._seconds.labels(method, answer.endpoint).observe(answer.seconds)
        if record.limiter:
            self._limiter.labels(record.limiter).inc()
        self._turns.ended(record)

    def swept(self, tally: Mapping[str, int], failures: int) -> None:
        self._sweeps.swept(tally, failures)

    def told(self) -> tuple[bytes, str]:
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _Turns:
    """What requests did with memories, the retriever and the upstream."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._created = Counter("messages_created", "Messages stored.", registry=registry)
        self._searches = Counter("memory_searches", "Searches of a memory.", registry=registry)
        self._operations = Histogram(
            "memory_operation_duration_seconds",
            "Of what is done with a memory.",
            ("operation",),
            buckets=SHORT_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "turn_stage_duration_seconds",
            "Of a request's other stages.",
            ("stage",),
            buckets=SECONDS,
            registry=registry,
        )
        self._rankings = Histogram(
            "retriever_duration_seconds",
            "Of one ranking, by who ranked and why.",
            ("retriever", "reason"),
            buckets=SHORT_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "tokens",
            "Before: history and what was sent; after: the prompt that went; and completions.",
            ("kind",),
            registry=registry,
        )
        self._saved = Counter(
            "tokens_saved", "Of prompts that were made shorter.", registry=registry
        )
        self._upstream = Counter(
            "upstream_responses", "The upstream's answers.", ("status",), registry=registry
        )
        self._failures = Counter(
            "upstream_errors", "No answer, or one that is an error.", ("kind",), registry=registry
        )
        self._redactions = Counter("redactions", "What was not stored.", registry=registry)

    def ended(self, record: Record) -> None:
        self._created.inc(record.messages_created)
        self._searches.inc(record.searches)
        self._redactions.inc(record.redactions)
        for name, seconds in record.stages:
            if name in MEMORY_OPERATIONS:
                self._operations.labels(name).observe(seconds)
            else:
                self._stages.labels(name).observe(seconds)
        for told, seconds in record.rankings:
            retriever, _, reason = told.partition("; reason=")
            self._rankings.labels(retriever, reason).observe(seconds)
        self._counted(record)
        self._asked(record)

    def _counted(self, record: Record) -> None:
        kinds = {
            "before": record.tokens_before,
            "after": record.tokens_after,
            "completion": record.tokens_completion,
        }
        for kind, tokens in kinds.items():
            if tokens is not None:
                self._tokens.labels(kind).inc(max(0, tokens))
        self._saved.inc(max(0, record.tokens_saved or 0))

    def _asked(self, record: Record) -> None:
        status = record.upstream_status
        if status is not None:
            self._upstream.labels(f"{status // 100}xx").inc()
        if kind := record.upstream_error or _error_of(status):
            self._failures.labels(kind).inc()


class _Sweeps:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("retention_sweeps", "Sweeps that ended.", registry=registry)
        self._failures = Counter(
            "retention_failures", "Owners that a sweep failed for.", registry=registry
        )
        self._done = Counter(
            "retention_items",
            "Messages and documents, by what became of them.",
            ("outcome",),
            registry=registry,
        )

    def swept(self, tally: Mapping[str, int], failures: int) -> None:
        self._runs.inc()
        self._failures.inc(failures)
        for outcome, count in tally.items():
            self._done.labels(outcome).inc(count)


class _Sourced(Collector):
    """Asks the other rooms at each look."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        pools = GaugeMetricFamily(
            "http_pool_connections", "Of HTTP clients.", labels=("pool", "state")
        )
        for name, use in self._sources.pools.items():
            if (told := use()) is not None:
                pools.add_metric((name, "active"), told.active)
                pools.add_metric((name, "idle"), told.idle)
        yield pools
        named = (
            ("document_operations", "Billed by the store.", "kind", self._sources.documents),
            ("retriever_calls", "Calls of the GPU tier.", "outcome", self._sources.retriever),
            ("limiter_incidents", "Where the store was away.", "kind", self._sources.limiter),
        )
        for name, said, label, counts in named:
            family = CounterMetricFamily(name, said, labels=(label,))
            for value, count in counts().items():
                family.add_metric((value,), count)
            yield family


def _error_of(status: int | None) -> str:
    if status is None or status < 400:
        return ""
    return "429" if status == 429 else f"{status // 100}xx"
