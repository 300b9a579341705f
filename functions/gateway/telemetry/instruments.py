"""What a process is watched with, in one hand: chosen by the wiring, used by the app."""

from dataclasses import dataclass, field

from gateway.telemetry.metrics import Metrics, NoMetrics
from gateway.telemetry.tracing import Tracer


@dataclass(frozen=True, slots=True)
class Instruments:
    """`project` is Google Cloud's. With none of the others nothing is measured and no span made."""

    project: str = ""
    metrics: Metrics = field(default_factory=NoMetrics)
    tracer: Tracer | None = None
