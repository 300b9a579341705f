"""`GET /v1/memory/export`: everything remembered of the caller, as JSON lines or as Markdown."""

from collections.abc import AsyncIterator, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.portability import markdown
from gateway.portability.export import Export, Line
from gateway.routes.requests import caller_of


def export_routes(door: Authenticator, export: Export) -> list[Route]:
    async def stream(request: Request) -> Response:
        """What can be refused is refused before the first line; later the body is cut short."""
        caller = await caller_of(request, door)
        media_type, written = _written(request.query_params.get("format", "jsonl"))
        lines = export.lines(caller.owner)
        first = await anext(lines)
        return StreamingResponse(_packed(first, lines, written), media_type=media_type)

    return [Route("/v1/memory/export", stream, methods=["GET"])]


def _written(format: str) -> tuple[str, Callable[[Line], bytes]]:
    """The media type, and what writes a line."""
    if format == "jsonl":
        return "application/x-ndjson", _json
    if format == "markdown":
        return "text/markdown", markdown.written
    raise BadRequest("'format' is one of jsonl, markdown.", param="format")


def _json(line: Line) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


async def _packed(
    first: Line, rest: AsyncIterator[Line], written: Callable[[Line], bytes]
) -> AsyncIterator[bytes]:
    yield written(first)
    async for line in rest:
        yield written(line)
