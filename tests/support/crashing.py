"""The service with a route that fails in every way there is: functions-framework's source for tests
of what a crash leaves in the log. Each way quotes the header `x-secret`.
"""

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import functions_framework.aio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import main
from gateway.settings import Settings
from gateway.wiring.services import set_up_logging


class Unraisable:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __del__(self) -> None:
        raise ValueError(self._secret)


async def crash(request: Request) -> Response:
    secret = request.headers["x-secret"]
    how = request.path_params["how"]
    if how == "handler":
        raise RuntimeError(secret) from KeyError(secret)
    if how == "stream":
        return StreamingResponse(_broken(secret))
    if how == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(_failing(secret))
    WAYS[how](secret)
    await asyncio.sleep(0)
    gc.collect()
    return Response("it went on")


async def _failing(secret: str) -> None:
    raise ValueError(secret)


async def _broken(secret: str) -> AsyncIterator[bytes]:
    yield b"half"
    raise ValueError(secret)


def _forgotten_task(secret: str) -> None:
    asyncio.get_running_loop().create_task(_failing(secret))


def _callback(secret: str) -> None:
    def failing() -> None:
        raise ValueError(secret)

    asyncio.get_running_loop().call_soon(failing)


def _thread(secret: str) -> None:
    def failing() -> None:
        raise ValueError(secret)

    thread = threading.Thread(target=failing, name=secret)
    thread.start()
    thread.join()


def _unraisable(secret: str) -> None:
    Unraisable(secret)


def _library(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError:
        logging.getLogger("some.library").exception("cannot send %s", secret)
        logging.getLogger("some.library").error(f"cannot send {secret}")
        logging.getLogger("uvicorn.error").error(f"Exception\n{secret}", exc_info=True)
        logging.getLogger("gunicorn.error").error("cannot send %s", secret, stack_info=True)
    warnings.warn(secret, stacklevel=1)


WAYS = {
    "task": _forgotten_task,
    "callback": _callback,
    "thread": _thread,
    "unraisable": _unraisable,
    "library": _library,
}


@cache
def _app() -> Starlette:
    set_up_logging(Settings())
    app = main.app
    app.router.routes.insert(0, Route("/crash/{how}", crash))
    return app


@functions_framework.aio.http
async def gateway(request: Request) -> Any:
    """The framework itself has to deal with what is raised here."""
    if request.url.path == "/outside":
        raise RuntimeError(request.headers["x-secret"])
    return _app()
