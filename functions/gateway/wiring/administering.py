"""What admins see and do."""

import platform
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import Route

from gateway.accounts.admins import Admins
from gateway.accounts.audit import Audit
from gateway.health.checkup import Checkup
from gateway.limits.days import Days
from gateway.memory.upgrades import SCHEMA
from gateway.retention.holds import Holds
from gateway.retention.sweep import Sweep
from gateway.retrieval.remote import RemoteRanker
from gateway.routes.admins import Office
from gateway.routes.audit import audit_routes
from gateway.routes.flags import FlagRoutes
from gateway.routes.holds import HoldRoutes
from gateway.routes.identities import IdentityRoutes
from gateway.routes.sweeps import sweep_routes
from gateway.routes.vitals import vital_routes
from gateway.wiring import options
from gateway.wiring.parts import Parts

SWEEP_SECONDS = 20.0  # a request's; clients, proxies and consoles wait for half a minute at least


def administering(parts: Parts, version: str, checkup: Checkup) -> list[Route]:
    documents, clock, settings = parts.documents, parts.clock, parts.settings
    audit, holds = Audit(documents, clock, parts.randomness), Holds(documents, clock)
    office = Office(parts.door, Admins(settings.admins), audit)
    budget = min(SWEEP_SECONDS, settings.retention_time_budget_seconds)
    sweep = Sweep(documents, clock, parts.randomness, options.policy(settings), budget)
    days, limits = Days(documents, clock), options.limits(settings)
    people = IdentityRoutes(office, days, holds, limits, parts.overrides)
    return [
        *people.routes(),
        *FlagRoutes(office, parts.flags, parts.workspaces).routes(),
        *HoldRoutes(office, holds).routes(),
        *sweep_routes(office, sweep),
        *audit_routes(office, audit),
        *vital_routes(office, checkup, lambda: _vitals(parts, version)),
    ]


def _vitals(parts: Parts, version: str) -> Mapping[str, Any]:
    limiter, ranker, settings = parts.limiter, parts.ranker, parts.settings
    outcomes = ranker.outcomes if isinstance(ranker, RemoteRanker) else None
    return {
        "limiter": {
            "failure": settings.limiter_failure,
            "fail_opens": limiter.fail_opens,
            "lost_writes": limiter.lost_writes,
        },
        "retriever": {
            "kind": "lexical" if outcomes is None else "gpu",
            "outcomes": dict(outcomes or {}),
        },
        "versions": {
            "service": version,
            "python": platform.python_version(),
            "schema": SCHEMA,
            "store": urlsplit(settings.store_url).scheme,
        },
    }
