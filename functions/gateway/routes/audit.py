"""`GET /v1/admin/audit`: what admins did, the newest first. Looking is an act too."""

import re
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.audit import Audit, Entry
from gateway.routes.admins import Office
from gateway.routes.queries import page_of, paged, unknown_after
from gateway.routes.responses import json_response

ENTRY_ID = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{15}-[0-9a-f]{16}")


def audit_routes(office: Office, audit: Audit) -> list[Route]:
    async def page(request: Request) -> Response:
        admin = await office.admit(request)
        limit, after = page_of(request)
        if after is not None and not ENTRY_ID.fullmatch(after):
            raise unknown_after()
        await office.record(admin, "audit.list", "all", {"limit": limit, "after": after})
        found, more = await audit.list(limit=limit, after=after)
        return json_response(paged([_told(one) for one in found], more))

    return [Route("/v1/admin/audit", page, methods=["GET"])]


def _told(entry: Entry) -> dict[str, Any]:
    return {"object": "audit.entry", **asdict(entry)}
