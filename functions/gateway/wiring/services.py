"""The served apps: the gateway, the cleanup, and the sweep of a process with a store of its own."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from random import Random, SystemRandom

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.app import build_app
from gateway.documents.base import Documents
from gateway.identity.development import DevelopmentIssuer
from gateway.retention.schedule import sweep_regularly
from gateway.retention.sweep import Sweep
from gateway.routes.cleanup import Cleanup
from gateway.routes.development import development_routes
from gateway.routes.health import health_routes
from gateway.routes.openapi import Reference
from gateway.settings import Settings
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.openai import make_client
from gateway.wiring import options
from gateway.wiring.adapters import documents_from, upstream_from
from gateway.wiring.console import console
from gateway.wiring.conversing import conversing
from gateway.wiring.health import health
from gateway.wiring.knowing import knowing
from gateway.wiring.parts import parts
from gateway.wiring.remembering import remembering

VERSION = "0.1.0"


def build(settings: Settings) -> Starlette:
    """The gateway as a Starlette app. Opens nothing: files and sockets wait for the first use."""
    _set_up_logging(settings)
    return build_app(_routes(settings, SystemRandom()), sorted(settings.origins))


def build_cleanup(settings: Settings) -> Starlette:
    """The scheduled cleanup as an app of its own. Opens nothing before its first request."""
    _set_up_logging(settings)
    documents, clock = documents_from(settings.store_url), time.time
    upstream = upstream_from(settings, make_client(), RsBpeTokenizer(settings.tokenizer))
    catalogue = Catalogue(upstream, documents, clock)
    cleanup = Cleanup(_sweep(settings, documents), catalogue, clock)
    return build_app([*health_routes(VERSION), *cleanup.routes()], origins=())


def local_sweep(settings: Settings) -> Coroutine[None, None, None] | None:
    """What sweeps beside the gateway where no scheduler calls `cleanup`: on a store in a file."""
    if not (settings.retention_schedule_seconds and settings.store_url.startswith("sqlite:")):
        return None
    sweep = _sweep(settings, documents_from(settings.store_url))
    return sweep_regularly(sweep, settings.retention_schedule_seconds, asyncio.sleep)


def _set_up_logging(settings: Settings) -> None:
    logging.basicConfig(level=settings.effective_log_level, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every URL


def _routes(settings: Settings, randomness: Random) -> list[Route]:
    shared = parts(settings, randomness)
    return [
        *health(shared, VERSION),
        *Reference(VERSION).routes(),
        *console(settings, VERSION),
        *conversing(shared),
        *remembering(shared),
        *knowing(shared),
        *_development(settings),
    ]


def _development(settings: Settings) -> list[Route]:
    if not settings.development_issuer:
        return []
    issuer = DevelopmentIssuer(settings.development_key_file, time.time)
    return development_routes(issuer, min(settings.audiences, default=""))


def _sweep(settings: Settings, documents: Documents) -> Sweep:
    budget = settings.retention_time_budget_seconds
    return Sweep(documents, time.time, SystemRandom(), options.policy(settings), budget)
