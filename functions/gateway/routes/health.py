"""`GET /health`: the process serves. Asks no dependency, so that no outage restarts instances."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.routes.responses import json_response


def health_routes(version: str) -> list[Route]:
    async def health(_: Request) -> Response:
        return json_response({"status": "ok", "version": version})

    return [Route("/health", health, methods=["GET"])]
