"""What the cleanup has moved to the archive: listed, and brought back."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.identity.base import Authenticator
from gateway.memory.archived import Archived, Shelved
from gateway.memory.unarchiving import Unarchiving
from gateway.routes.memory import message_told
from gateway.routes.queries import paged, unknown_after
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response

DOCUMENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ArchiveRoutes:
    def __init__(self, door: Authenticator, archived: Archived, unarchiving: Unarchiving) -> None:
        self._door = door
        self._archived = archived
        self._unarchiving = unarchiving

    def routes(self) -> list[Route]:
        return [
            Route("/v1/memory/archive", self.page, methods=["GET"]),
            Route("/v1/messages/{id}/restore", self.restore, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        after = request.query_params.get("after")
        if after is not None and not DOCUMENT_ID.fullmatch(after):
            raise unknown_after()
        shelved, more = await self._archived.page(caller.owner, after)
        return json_response(paged([_told(one) for one in shelved], more))

    async def restore(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        record, session = await self._unarchiving.restore(caller.owner, request.path_params["id"])
        return json_response(message_told(record, session))


def _told(shelved: Shelved) -> dict[str, Any]:
    document = shelved.document
    return {
        **message_told(shelved.record, shelved.session),
        "archived": True,
        "archived_at": document.fields["archived_at"],
        "deleted_at": document.expires_at,
    }
