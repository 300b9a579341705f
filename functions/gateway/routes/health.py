"""`GET /health`: the process serves. Asks no dependency, so that no outage restarts instances.

`GET /health/detailed`: whether it could do its work, and for those who sign in, what is in the way.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.health.checkup import Check, Checkup, Findings
from gateway.identity.base import Authenticator
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response

NEVER_KEPT = {"cache-control": "no-store"}


def health_routes(version: str) -> list[Route]:
    async def health(_: Request) -> Response:
        return json_response({"status": "ok", "version": version})

    return [Route("/health", health, methods=["GET"])]


def detailed_health_routes(version: str, door: Authenticator, checkup: Checkup) -> list[Route]:
    """503 when unhealthy, for whoever looks at statuses alone."""

    async def detailed(request: Request) -> Response:
        known = await _signed_in(request, door)
        found = await checkup.findings()
        body = {**summary(found), **({"version": version, **details(found)} if known else {})}
        return json_response(body, 200 if found.healthy else 503, NEVER_KEPT)

    return [Route("/health/detailed", detailed, methods=["GET"])]


async def _signed_in(request: Request, door: Authenticator) -> bool:
    """False without a credential; one that is not good is refused."""
    if not {"authorization", "x-api-key"} & set(request.headers.keys()):
        return False
    await caller_of(request, door)
    return True


def summary(found: Findings) -> dict[str, Any]:
    return {
        "status": "healthy" if found.healthy else "unhealthy",
        "timestamp": _when(found.at),
    }


def details(found: Findings) -> dict[str, Any]:
    return {"checks": {name: _told(check) for name, check in found.checks.items()}}


def _told(check: Check) -> dict[str, Any]:
    told = asdict(check)
    return {"status": told.pop("state"), **told, "last_success": _when(check.last_success)}


def _when(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
