"""Entry points of the function: what `FUNCTION_TARGET` names. All the work is in `gateway`.

The framework serves one handler on every path and has no start-up hook, so the handler hands over a
Starlette app, which Starlette then calls as it would any response. The app is built here, in the
process that later forks those that serve it: what must not or cannot be served refuses to start.
It opens nothing before its first request, no file, no socket, no thread.
"""

import asyncio
from functools import cache
from typing import Any

import functions_framework.aio
from starlette.applications import Starlette
from starlette.requests import Request

from gateway.drain import Drain
from gateway.settings import Settings
from gateway.wiring.services import begin, build_cleanup, local_sweep, set_up_logging

app = begin(Settings())
set_up_logging(Settings())  # only now: a refusal is to be read


@cache
def _housekeeping() -> asyncio.Task[None] | None:
    """The sweep of a process with a store of its own; the cache keeps the task alive."""
    work = local_sweep(Settings(), app)
    return asyncio.create_task(work) if work else None


@cache
def _served() -> Drain:
    """Made by the first request: signals and loggers are those of the process that serves."""
    settings = Settings()
    set_up_logging(settings)  # once more: the server has brought loggers of its own
    drain = Drain(app, settings.drain_seconds)
    drain.watch()
    return drain


@cache
def _cleanup_app() -> Starlette:
    set_up_logging(Settings())
    return build_cleanup(Settings())


@functions_framework.aio.http
async def gateway(_: Request) -> Any:  # an ASGI app answers as a Response does
    _housekeeping()
    return _served()


@functions_framework.aio.http
async def cleanup(_: Request) -> Any:
    """Called by Cloud Scheduler, whose OIDC token Cloud Run's IAM checks before this runs.

    A function of its own, without public access: it is no path of `gateway`, and asks for no
    credential itself.
    """
    return _cleanup_app()
