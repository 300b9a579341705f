"""`DELETE /v1/memory`: forget everything."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.identity.base import Authenticator
from gateway.portability.erasure import Erasure, ErasureReceipt
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response


def erasure_routes(door: Authenticator, erasure: Erasure) -> list[Route]:
    async def erase(request: Request) -> Response:
        caller = await caller_of(request, door, "owner")
        return json_response(erasure_told(await erasure.erase(caller.owner)))

    return [Route("/v1/memory", erase, methods=["DELETE"])]


def erasure_told(receipt: ErasureReceipt) -> dict[str, Any]:
    return {"object": "memory.erasure", "erased": True, **asdict(receipt)}
