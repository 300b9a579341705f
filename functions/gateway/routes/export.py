"""`GET /v1/memory/export`: everything remembered of the caller, as JSON lines."""

from collections.abc import AsyncIterator

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.identity.base import Authenticator
from gateway.portability.export import Export, Line
from gateway.routes.requests import caller_of

MEDIA_TYPE = "application/x-ndjson"


def export_routes(door: Authenticator, export: Export) -> list[Route]:
    async def stream(request: Request) -> Response:
        """What can be refused is refused before the first line; later the body is cut short."""
        caller = await caller_of(request, door)
        lines = export.lines(caller.owner)
        first = await anext(lines)
        return StreamingResponse(_packed(first, lines), media_type=MEDIA_TYPE)

    return [Route("/v1/memory/export", stream, methods=["GET"])]


async def _packed(first: Line, rest: AsyncIterator[Line]) -> AsyncIterator[bytes]:
    yield orjson.dumps(first, option=orjson.OPT_APPEND_NEWLINE)
    async for line in rest:
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
