"""`POST /v1/chat/completions` and `POST /v1/compress`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.compressing import CompressionDesk
from gateway.chat.pipeline import Pipeline
from gateway.chat.wire import parse_chat
from gateway.identity.base import Authenticator
from gateway.routes.requests import call_of, caller_of, read_body
from gateway.routes.responses import json_response, respond


def chat_routes(
    door: Authenticator, pipeline: Pipeline, desk: CompressionDesk, max_body_bytes: int
) -> list[Route]:
    async def complete(request: Request) -> Response:
        caller = await caller_of(request, door)
        body = await read_body(request, max_body_bytes)
        return respond(await pipeline.complete(caller, parse_chat(body), call_of(request)))

    async def compress(request: Request) -> Response:
        caller = await caller_of(request, door)
        body = await read_body(request, max_body_bytes)
        chat = parse_chat(body, needs_model=False)
        named = request.headers.get("x-memory", "").strip().lower() in {"read", "on"}
        payload, headers = await desk.compress(caller, chat, call_of(request), with_memory=named)
        return json_response(payload, headers=headers)

    return [
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/compress", compress, methods=["POST"]),
    ]
