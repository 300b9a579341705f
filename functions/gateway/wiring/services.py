"""The served apps: the gateway, the cleanup, and the sweep of a process with a store of its own."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from random import SystemRandom

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.app import build_app
from gateway.documents.base import Documents
from gateway.identity.development import DevelopmentIssuer
from gateway.retention.schedule import sweep_regularly
from gateway.retention.sweep import Report, Sweep
from gateway.routes.cleanup import Cleanup
from gateway.routes.development import development_routes
from gateway.routes.health import health_routes
from gateway.routes.openapi import Reference
from gateway.settings import Settings
from gateway.telemetry.instruments import Instruments
from gateway.telemetry.logs import install
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.openai import make_client
from gateway.wiring import options
from gateway.wiring.accounting import accounting
from gateway.wiring.adapters import documents_from, upstream_from
from gateway.wiring.administering import administering
from gateway.wiring.conversing import conversing
from gateway.wiring.health import checkup_of, health
from gateway.wiring.knowing import knowing
from gateway.wiring.parts import Parts, parts
from gateway.wiring.remembering import remembering
from gateway.wiring.watching import exposed, instruments, swept, tracer

VERSION = "0.1.0"


def build(settings: Settings) -> Starlette:
    """The gateway as a Starlette app. Opens nothing: files and sockets wait for the first use."""
    shared = parts(settings, SystemRandom())
    watched = instruments(settings, shared, VERSION)
    app = build_app(_routes(shared, watched), sorted(settings.origins), watched)
    app.state.instruments = watched
    return app


def build_cleanup(settings: Settings) -> Starlette:
    """The scheduled cleanup as an app of its own. Opens nothing before its first request."""
    documents, clock = documents_from(settings.store_url), time.time
    upstream = upstream_from(settings, make_client(), RsBpeTokenizer(settings.tokenizer))
    catalogue = Catalogue(upstream, documents, clock)
    cleanup = Cleanup(_sweep(settings, documents), catalogue, clock)
    watched = Instruments(settings.project, tracer=tracer(settings, VERSION))
    return build_app([*health_routes(VERSION), *cleanup.routes()], (), watched)


def local_sweep(settings: Settings, app: Starlette) -> Coroutine[None, None, None] | None:
    """What sweeps beside the gateway where no scheduler calls `cleanup`: on a store in a file.

    `app` is the gateway, whose metrics hear of it.
    """
    if not (settings.retention_schedule_seconds and settings.store_url.startswith("sqlite:")):
        return None
    told = swept(app.state.instruments.metrics)
    sweep = _sweep(settings, documents_from(settings.store_url), told)
    return sweep_regularly(sweep, settings.retention_schedule_seconds, asyncio.sleep)


def set_up_logging(settings: Settings) -> None:
    install(settings.effective_log_level, settings.project)


def _routes(shared: Parts, watched: Instruments) -> list[Route]:
    settings, checkup = shared.settings, checkup_of(shared)
    return [
        *health(shared, VERSION, checkup),
        *Reference(VERSION).routes(),
        *conversing(shared),
        *remembering(shared),
        *knowing(shared),
        *administering(shared, VERSION, checkup),
        *accounting(shared),
        *_development(settings),
        *exposed(settings, watched),
    ]


def _development(settings: Settings) -> list[Route]:
    if not settings.development_issuer:
        return []
    issuer = DevelopmentIssuer(settings.development_key_file, time.time)
    return development_routes(issuer, min(settings.audiences, default=""))


def _sweep(
    settings: Settings, documents: Documents, told: Callable[[Report], None] | None = None
) -> Sweep:
    budget, policy = settings.retention_time_budget_seconds, options.policy(settings)
    return Sweep(documents, time.time, SystemRandom(), policy, budget, told)
