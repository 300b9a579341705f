"""`/v1/admin/holds`: the legal holds there are, and each one set and lifted."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.retention.holds import Hold, Holds
from gateway.routes.admins import ID, Office, memory_of
from gateway.routes.queries import page_of, paged, unknown_after
from gateway.routes.responses import json_response


class HoldRoutes:
    """An `{id}` is an identity's, as `/v1/admin/identities` tells it, or a shared workspace's."""

    def __init__(self, office: Office, holds: Holds) -> None:
        self._office = office
        self._holds = holds

    def routes(self) -> list[Route]:
        one = "/v1/admin/holds/{id}"
        return [
            Route("/v1/admin/holds", self.page, methods=["GET"]),
            Route(one, self.put, methods=["PUT"]),
            Route(one, self.lift, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        admin = await self._office.admit(request)
        limit, after = page_of(request)
        if after is not None and not ID.fullmatch(after):
            raise unknown_after()
        await self._office.record(admin, "holds.list", "all", {"limit": limit, "after": after})
        found, more = await self._holds.list(limit=limit, after=after)
        return json_response(paged([_told(one) for one in found], more))

    async def put(self, request: Request) -> Response:
        """The hold as it stands: one set before keeps who set it and when."""
        admin = await self._office.admit(request)
        id = memory_of(request, "id")
        hold = await self._holds.put(id, admin, self._office.line(admin, "holds.set", id))
        return json_response(_told(hold))

    async def lift(self, request: Request) -> Response:
        admin = await self._office.admit(request)
        id = memory_of(request, "id")
        await self._holds.lift(id, self._office.line(admin, "holds.lift", id))
        return json_response({"id": id, "object": "legal_hold", "legal_hold": False})


def _told(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "object": "legal_hold",
        "legal_hold": True,
        "by": hold.by,
        "since": hold.since,
    }
