"""`POST /v1/responses`. What the upstream has kept is not read back: see `responses/foreign.py`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.identity.base import Authenticator
from gateway.responses.responding import Responding
from gateway.responses.wire import parse_responses
from gateway.routes.requests import call_of, caller_of, needed_to_chat, own, read_body
from gateway.routes.responses import respond


def responding_routes(
    door: Authenticator, responding: Responding, max_body_bytes: int
) -> list[Route]:
    async def answer(request: Request) -> Response:
        caller = await caller_of(request, door, needed_to_chat(request))
        asked = parse_responses(await read_body(request, max_body_bytes))
        call = call_of(request, caller)
        if call.mode != "off":  # then it is the upstream's alone, byte for byte
            own(asked.payload, caller)
        return respond(await responding.respond(caller, asked, call))

    return [Route("/v1/responses", answer, methods=["POST"])]
