"""The least a functions-framework proxy can be, with aiohttp's client: the fastest there is.

Passes the body on and the answer back, whole or streamed; no identity, no limits, no memory.
"""

import os
from functools import cache

import aiohttp
import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse


@cache
def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    headers = {"content-type": "application/json"}
    url, body = os.environ["UPSTREAM"], await request.body()
    answer = await client().post(url, data=body, headers=headers)
    kind = answer.headers["content-type"]
    if kind.startswith("text/event-stream"):
        return StreamingResponse(answer.content.iter_any(), answer.status, media_type=kind)
    return Response(await answer.read(), answer.status, media_type=kind)
