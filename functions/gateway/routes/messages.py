"""One remembered message by its id: read, edited, deleted."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.memory.edits import Edits
from gateway.routes.memory import Metadata, check_size, message_told, validated
from gateway.routes.requests import caller_of, read_body
from gateway.routes.responses import json_response


class Patch(BaseModel):
    """What of a message changes; what is absent or null stays. `metadata` is replaced as a whole.

    A `pin` is kept for good: the cleanup leaves the message where it is.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    content: str | None = Field(None, min_length=1)
    pin: bool | None = None
    metadata: Metadata | None = None


class MessageRoutes:
    def __init__(
        self,
        door: Authenticator,
        edits: Edits,
        *,
        max_body_bytes: int,
        max_message_characters: int,
    ) -> None:
        self._door = door
        self._edits = edits
        self._max_body_bytes = max_body_bytes
        self._max_message_characters = max_message_characters

    def routes(self) -> list[Route]:
        path = "/v1/messages/{id}"
        return [
            Route(path, self.read, methods=["GET"]),
            Route(path, self.edit, methods=["PATCH"]),
            Route(path, self.delete, methods=["DELETE"]),
        ]

    async def read(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        found = await self._edits.get(caller.owner, request.path_params["id"])
        return json_response(message_told(found.record, found.session))

    async def edit(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        body = parse_object(await read_body(request, self._max_body_bytes))
        changes = self._changes(validated(Patch, body))
        found = await self._edits.edit(caller.owner, request.path_params["id"], **changes)
        return json_response(message_told(found.record, found.session))

    async def delete(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        id = request.path_params["id"]
        await self._edits.delete(caller.owner, id)
        return json_response({"id": id, "object": "memory.message.deleted", "deleted": True})

    def _changes(self, patch: Patch) -> dict[str, Any]:
        changes = patch.model_dump(exclude_none=True)
        if not changes:
            raise BadRequest("Give the 'content', the 'pin' or the 'metadata' to change.")
        check_size(patch.content or "", patch.metadata or {}, self._max_message_characters)
        return changes
