"""Entry points of the function: what `FUNCTION_TARGET` names. All the work is in `gateway`.

The framework serves one handler on every path and has no start-up hook, so the handler hands over a
Starlette app, which Starlette then calls as it would any response. The app is built at the first
request, in the process and the event loop that serve it: importing this module opens nothing.
"""

import asyncio
from functools import cache
from typing import Any

import functions_framework.aio
from starlette.applications import Starlette
from starlette.requests import Request

from gateway.drain import Drain
from gateway.settings import Settings
from gateway.wiring.services import build, build_cleanup, local_sweep

build(Settings())  # refuses to start what must not or cannot be served, and is thrown away


@cache
def _app() -> Drain:
    settings = Settings()
    drain = Drain(build(settings), settings.drain_seconds)
    drain.watch()
    return drain


@cache
def _housekeeping() -> asyncio.Task[None] | None:
    """The sweep of a process with a store of its own; the cache keeps the task alive."""
    work = local_sweep(Settings())
    return asyncio.create_task(work) if work else None


@cache
def _cleanup_app() -> Starlette:
    return build_cleanup(Settings())


@functions_framework.aio.http
async def gateway(_: Request) -> Any:  # an ASGI app answers as a Response does
    _housekeeping()
    return _app()


@functions_framework.aio.http
async def cleanup(_: Request) -> Any:
    """Called by Cloud Scheduler, whose OIDC token Cloud Run's IAM checks before this runs.

    A function of its own, without public access: it is no path of `gateway`, and asks for no
    credential itself.
    """
    return _cleanup_app()
