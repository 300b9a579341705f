"""The served apps: the gateway, the cleanup, and the sweep of a process with a store of its own.

What a first answer does not need is imported where it is used: a cold start waits for every import
(`tests/wiring/test_imports.py` names what must not be there).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from random import SystemRandom
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from gateway.app import build_app
from gateway.documents.base import Documents
from gateway.health.checkup import Checkup
from gateway.routes.health import health_routes
from gateway.routes.later import Later
from gateway.settings import Settings
from gateway.telemetry.instruments import Instruments
from gateway.telemetry.logs import install
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.openai import make_client
from gateway.wiring import options
from gateway.wiring.adapters import documents_from, upstream_from
from gateway.wiring.conversing import conversing
from gateway.wiring.health import checkup_of, health
from gateway.wiring.parts import Parts, parts
from gateway.wiring.watching import exposed, instruments, swept, tracer

if TYPE_CHECKING:
    from gateway.retention.sweep import Report, Sweep

VERSION = "0.1.0"


def build(settings: Settings) -> Starlette:
    """The gateway as a Starlette app. Opens nothing: files and sockets wait for the first use."""
    return _gateway(settings, lambda first, rest: [*first, *rest()])


def begin(settings: Settings) -> Starlette:
    """As `build`, for a cold start: health and chat at once, the rest when first asked for."""
    return _gateway(settings, lambda first, rest: [*first, Later(lambda: [*first, *rest()])])


def build_cleanup(settings: Settings) -> Starlette:
    """The scheduled cleanup as an app of its own. Opens nothing before its first request."""
    from gateway.routes.cleanup import Cleanup

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
    from gateway.retention.schedule import sweep_regularly

    told = swept(app.state.instruments.metrics)
    sweep = _sweep(settings, documents_from(settings.store_url), told)
    return sweep_regularly(sweep, settings.retention_schedule_seconds, asyncio.sleep)


def set_up_logging(settings: Settings) -> None:
    install(settings.effective_log_level, settings.project)


def _gateway(
    settings: Settings,
    routes: Callable[[list[Route], Callable[[], list[Route]]], list[BaseRoute]],
) -> Starlette:
    shared = parts(settings, SystemRandom())
    watched, checkup = instruments(settings, shared, VERSION), checkup_of(shared)
    first = [
        *conversing(shared),
        *health(shared, VERSION, checkup),
        *exposed(settings, watched),
    ]
    all_of_them = routes(first, lambda: _rest(shared, checkup))
    app = build_app(all_of_them, sorted(settings.origins), watched)
    app.state.instruments = watched
    return app


def _rest(shared: Parts, checkup: Checkup) -> list[Route]:
    from gateway.routes.openapi import Reference
    from gateway.wiring.accounting import accounting
    from gateway.wiring.administering import administering
    from gateway.wiring.console import console
    from gateway.wiring.knowing import knowing
    from gateway.wiring.remembering import remembering

    return [
        *console(shared.settings, VERSION),
        *Reference(VERSION).routes(),
        *remembering(shared),
        *knowing(shared),
        *administering(shared, VERSION, checkup),
        *accounting(shared),
        *_development(shared.settings),
    ]


def _development(settings: Settings) -> list[Route]:
    if not settings.development_issuer:
        return []
    from gateway.identity.development import DevelopmentIssuer
    from gateway.routes.development import development_routes

    issuer = DevelopmentIssuer(settings.development_key_file, time.time)
    return development_routes(issuer, min(settings.audiences, default=""))


def _sweep(
    settings: Settings, documents: Documents, told: "Callable[[Report], None] | None" = None
) -> "Sweep":
    from gateway.retention.sweep import Sweep

    budget, policy = settings.retention_time_budget_seconds, options.policy(settings)
    return Sweep(documents, time.time, SystemRandom(), policy, budget, told)
