"""`POST /v1/chat/completions` and `POST /v1/compress`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.compressing import CompressionDesk
from gateway.chat.pipeline import Pipeline
from gateway.chat.wire import parse_chat
from gateway.identity.base import Authenticator
from gateway.routes.requests import call_of, caller_of, needed_to_chat, own, read_body
from gateway.routes.responses import json_response, respond


def chat_routes(
    door: Authenticator, pipeline: Pipeline, desk: CompressionDesk, max_body_bytes: int
) -> list[Route]:
    async def complete(request: Request) -> Response:
        caller = await caller_of(request, door, needed_to_chat(request))
        chat = parse_chat(await read_body(request, max_body_bytes))
        call = call_of(request, caller)
        if call.mode != "off":  # then it is the upstream's alone, byte for byte
            own(chat.payload, caller)
        return respond(await pipeline.complete(caller, chat, call))

    async def compress(request: Request) -> Response:
        caller = await caller_of(request, door, "reader")
        chat = parse_chat(await read_body(request, max_body_bytes), needs_model=False)
        own(chat.payload, caller)
        call = call_of(request, caller)
        named = request.headers.get("x-memory", "").strip().lower() in {"read", "on"}
        payload, headers = await desk.compress(caller, chat, call, with_memory=named)
        return json_response(payload, headers=headers)

    return [
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/compress", compress, methods=["POST"]),
    ]
