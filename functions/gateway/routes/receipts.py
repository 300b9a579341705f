"""`GET /v1/memory/receipts/{id}`: why a prompt held what it held, and what has become of it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.identity.base import Authenticator
from gateway.memory.receipts import Receipts
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response


def receipt_routes(door: Authenticator, receipts: Receipts) -> list[Route]:
    async def read(request: Request) -> Response:
        caller = await caller_of(request, door)
        found = await receipts.find(caller.owner, request.path_params["id"])
        return json_response(found)

    return [Route("/v1/memory/receipts/{id}", read, methods=["GET"])]
