"""Entry points of the function: what `FUNCTION_TARGET` names. All the work is in `gateway`.

The framework serves one handler on every path and has no start-up hook, so the handler hands over a
Starlette app, which Starlette then calls as it would any response. The app is built at the first
request, in the process and the event loop that serve it: importing this module opens nothing.
"""

from functools import cache
from typing import Any

import functions_framework.aio
from starlette.applications import Starlette
from starlette.requests import Request

from gateway.settings import Settings
from gateway.wiring import build

build(Settings())  # refuses to start what must not or cannot be served, and is thrown away


@cache
def _app() -> Starlette:
    return build(Settings())


@functions_framework.aio.http
async def gateway(_: Request) -> Any:  # an ASGI app answers as a Response does
    return _app()
