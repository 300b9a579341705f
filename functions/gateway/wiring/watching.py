"""What a process is watched with: metrics where they are wanted, spans where they have somewhere to
go. The libraries for either are imported only then."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.routing import Route

from gateway.routes.metrics import metrics_routes
from gateway.settings import Settings
from gateway.telemetry.instruments import Instruments
from gateway.telemetry.metrics import Metrics, NoMetrics, PoolUse
from gateway.telemetry.tracing import Tracer
from gateway.upstream.openai import pool_use
from gateway.wiring import options
from gateway.wiring.parts import Parts

if TYPE_CHECKING:
    from gateway.retention.sweep import Report


def instruments(settings: Settings, parts: Parts, version: str) -> Instruments:
    metrics = _metrics(parts) if settings.metrics_enabled else NoMetrics()
    return Instruments(settings.project, metrics, tracer(settings, version))


def tracer(settings: Settings, version: str) -> Tracer | None:
    """Connects to nothing, and starts no thread, before its first span."""
    endpoint = options.collector(settings)
    if not endpoint:
        return None
    from gateway.telemetry.opentelemetry import OpenTelemetryTracer

    return OpenTelemetryTracer(
        endpoint,
        options.collector_headers(settings),
        settings.otel_service_name,
        version,
        settings.otel_traces_sampler_arg,
    )


def exposed(settings: Settings, watched: Instruments) -> list[Route]:
    token = settings.metrics_token.get_secret_value()
    return metrics_routes(watched.metrics, token) if settings.metrics_enabled else []


def swept(metrics: Metrics) -> "Callable[[Report], None]":
    def told(report: "Report") -> None:
        tally = {**asdict(report.tally), "rolled_up": report.rolled_up}
        metrics.swept(tally, len(report.failed))

    return told


def _metrics(parts: Parts) -> Metrics:
    from gateway.telemetry.prometheus import PrometheusMetrics, Sources

    return PrometheusMetrics(
        Sources(
            pools=_pools(parts),
            documents=lambda: _operations(parts),
            retriever=lambda: _outcomes(parts),
            limiter=lambda: {
                "fail-open": parts.limiter.fail_opens,
                "lost-write": parts.limiter.lost_writes,
            },
        )
    )


def _pools(parts: Parts) -> dict[str, Callable[[], PoolUse | None]]:
    """The certificates' connections are the upstream's client's too."""
    from gateway.retrieval.remote import RemoteRanker

    pools: dict[str, Callable[[], PoolUse | None]] = {"upstream": lambda: pool_use(parts.client)}
    if isinstance(ranker := parts.ranker, RemoteRanker):
        client = ranker.client
        pools["retriever"] = lambda: pool_use(client)
    return pools


def _operations(parts: Parts) -> Mapping[str, int]:
    counted = parts.documents.operations
    return {"read": counted.reads, "write": counted.writes, "delete": counted.deletes}


def _outcomes(parts: Parts) -> Mapping[str, int]:
    from gateway.retrieval.remote import RemoteRanker

    return parts.ranker.outcomes if isinstance(parts.ranker, RemoteRanker) else {}
