"""The least a functions-framework proxy can be, with httpx: what the service is compared with.

Passes the body on and the answer back, whole or streamed; no identity, no limits, no memory.
"""

import os
from functools import cache

import functions_framework.aio
import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse


@cache
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=60, trust_env=False)


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    asked = httpx.Request(
        "POST",
        os.environ["UPSTREAM"],
        headers={"content-type": "application/json"},
        content=await request.body(),
    )
    answer = await client().send(asked, stream=True)
    kind = answer.headers["content-type"]
    if kind.startswith("text/event-stream"):
        return StreamingResponse(answer.aiter_raw(), answer.status_code, media_type=kind)
    return Response(await answer.aread(), answer.status_code, media_type=kind)
