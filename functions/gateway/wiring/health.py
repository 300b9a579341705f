"""Whether the process is alive, and whether what it needs is."""

import time

from starlette.routing import Route

from gateway.health.checkup import Checkup
from gateway.health.probes import (
    CertificatesProbe,
    DocumentsProbe,
    RetrieverProbe,
    UpstreamProbe,
)
from gateway.routes.health import detailed_health_routes, health_routes
from gateway.wiring.parts import Parts


def health(parts: Parts, version: str, checkup: Checkup) -> list[Route]:
    return [
        *health_routes(version),
        *detailed_health_routes(version, parts.door, checkup),
    ]


def checkup_of(parts: Parts) -> Checkup:
    """One for all who ask, so that they are told the same."""
    return Checkup(
        [
            DocumentsProbe(parts.documents),
            RetrieverProbe(parts.ranker),
            UpstreamProbe(parts.upstream),
            CertificatesProbe(parts.certificates, in_use=bool(parts.settings.audiences)),
        ],
        parts.clock,
        time.perf_counter,
    )
