"""`GET /v1/admin/health`: all that this instance knows of how it is.

The one admin route that leaves no line: it tells of nobody, and pages ask it again and again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.health.checkup import Checkup
from gateway.routes.admins import Office
from gateway.routes.health import NEVER_KEPT, details, summary
from gateway.routes.responses import json_response

Vitals = Callable[[], Mapping[str, Any]]
"""Numbers and names by the part that they are of; never a key, a URL or a text."""


def vital_routes(office: Office, checkup: Checkup, vitals: Vitals) -> list[Route]:
    async def health(request: Request) -> Response:
        """200 also when unhealthy, for whoever can read what is in the way."""
        await office.admit(request)
        found = await checkup.findings()
        body = {"object": "health", **summary(found), **details(found), **vitals()}
        return json_response(body, headers=NEVER_KEPT)

    return [Route("/v1/admin/health", health, methods=["GET"])]
