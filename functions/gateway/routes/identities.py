"""`/v1/admin/identities` and `/v1/admin/usage`: who used what, by day."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.usage import Totals
from gateway.errors import BadRequest
from gateway.limits.base import Limits
from gateway.limits.days import Day, Days, Used
from gateway.limits.overrides import Overrides
from gateway.retention.holds import Hold, Holds
from gateway.routes.admins import ID, Office, identity_of
from gateway.routes.queries import page_of, paged, unknown_after
from gateway.routes.responses import json_response

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAYS = re.compile(r"[1-9][0-9]?")
MOST_DAYS = 90


class IdentityRoutes:
    def __init__(
        self, office: Office, days: Days, holds: Holds, limits: Limits, overrides: Overrides
    ) -> None:
        self._office = office
        self._days = days
        self._holds = holds
        self._limits = limits
        self._overrides = overrides

    def routes(self) -> list[Route]:
        return [
            Route("/v1/admin/identities", self.page, methods=["GET"]),
            Route("/v1/admin/usage", self.usage, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Those who were admitted on a UTC day, today's if none is named, in the order of ids."""
        admin = await self._office.admit(request)
        limit, after = page_of(request)
        if after is not None and not ID.fullmatch(after):
            raise unknown_after()
        day = _day(request) or self._days.today
        await self._office.record(admin, "identities.list", day, {"limit": limit, "after": after})
        found, more = await self._days.identities(day, limit=limit, after=after)
        held = await self._holds.among([one.id for one in found])
        await self._overrides.fresh()
        told = [self._told(one, held) for one in found]
        return json_response({**paged(told, more), "date": day})

    async def usage(self, request: Request) -> Response:
        """All identities' together, or of one alone, by day, today's last, and their sums."""
        admin = await self._office.admit(request)
        count, identity = _count(request), request.query_params.get("identity")
        id = None if identity is None else identity_of(identity)
        await self._office.record(admin, "usage.read", id or "all", {"days": count})
        days = await (self._days.of(id, count) if id else self._days.together(count))
        return json_response(
            {
                "object": "usage",
                "identity": id,
                "days": [_day_told(day) for day in days],
                "totals": Totals.sum(day.totals for day in days).told(),
            }
        )

    def _told(self, used: Used, held: Mapping[str, Hold]) -> dict[str, Any]:
        limits = self._limits.allowing(self._overrides.known(used.id))
        return {
            "id": used.id,
            "object": "identity",
            "subject": used.subject,
            **used.totals.told(),
            "limits": {
                "requests_per_minute": limits.requests_per_minute,
                "tokens_per_minute": limits.tokens_per_minute,
                "daily_token_budget": limits.daily_token_budget,
                "monthly_token_budget": limits.monthly_token_budget,
                "daily_cost_budget_usd": limits.daily_cost_budget_usd,
                "monthly_cost_budget_usd": limits.monthly_cost_budget_usd,
            },
            "legal_hold": used.id in held,
        }


def _day_told(day: Day) -> dict[str, Any]:
    told = {"date": day.name, "complete": day.complete, **day.totals.told()}
    return told if day.identities is None else {**told, "identities": day.identities}


def _day(request: Request) -> str | None:
    given = request.query_params.get("day")
    if given is None:
        return None
    try:
        if DAY.fullmatch(given):
            return date.fromisoformat(given).isoformat()
    except ValueError:
        pass
    raise BadRequest("'day' is a date such as 2026-11-21.", param="day")


def _count(request: Request) -> int:
    given = request.query_params.get("days", "30")
    if not DAYS.fullmatch(given) or int(given) > MOST_DAYS:
        raise BadRequest(f"'days' is a number from 1 to {MOST_DAYS}.", param="days")
    return int(given)
