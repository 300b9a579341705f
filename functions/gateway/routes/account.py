"""`GET /v1/me` and `GET /v1/usage`: who is calling, what they used, what is left to them."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.admins import Admins
from gateway.accounts.key import SCOPES
from gateway.accounts.usage import Totals
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.limits.report import Report
from gateway.routes.requests import caller_of, person_of
from gateway.routes.responses import json_response

DAYS = re.compile(r"[1-9]|[1-8][0-9]|90")
DEFAULT_DAYS = "30"


class AccountRoutes:
    def __init__(self, door: Authenticator, report: Report, admins: Admins) -> None:
        self._door = door
        self._report = report
        self._admins = admins

    def routes(self) -> list[Route]:
        return [
            Route("/v1/me", self.me, methods=["GET"]),
            Route("/v1/usage", self.usage, methods=["GET"]),
        ]

    async def me(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        return json_response(
            {
                "subject": caller.subject,
                "workspace": caller.workspace,
                "scopes": [scope for scope in SCOPES if scope in caller.scopes],
                "admin": self._admins.is_admin(caller),
            }
        )

    async def usage(self, request: Request) -> Response:
        """The person's, whatever the workspace and whichever of their keys was used."""
        caller = await person_of(request, self._door)
        days = request.query_params.get("days", DEFAULT_DAYS)
        if not DAYS.fullmatch(days):
            raise BadRequest("'days' is a number from 1 to 90.", param="days")
        used = await self._report.of(caller.subject, int(days))
        return json_response(
            {
                "object": "usage",
                "days": [{"date": day, **totals.told()} for day, totals in used.days.items()],
                "totals": Totals.sum(used.days.values()).told(),
                "limits": used.limits,
            }
        )
