"""One remembered message by its id: read, edited, deleted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.errors import BadRequest, Contested, NotFound
from gateway.identity.base import Authenticator
from gateway.memory.archived import Archived
from gateway.memory.edits import Edits, missing
from gateway.memory.records import Record
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.retention.decisions import OVERRIDE, override_of
from gateway.routes.items import MESSAGE, TYPE, type_of
from gateway.routes.memory import (
    Metadata,
    Share,
    check_size,
    checked_names,
    ending,
    message_told,
    validated,
    with_override,
)
from gateway.routes.requests import caller_of, own, read_body
from gateway.routes.responses import json_response
from gateway.routes.search import importance_told, including_importance
from gateway.search.search import Search

CLEARABLE = frozenset({OVERRIDE, "expires_at"})


class Patch(BaseModel):
    """What of a message changes; what is absent stays. `metadata` is replaced as a whole.

    A `pin` is kept for good: the cleanup leaves the message where it is. A null takes an
    `importance_override` or an `expires_at` away; of the others it changes nothing.
    """

    model_config = ConfigDict(extra="forbid")

    content: StrictStr | None = Field(None, min_length=1)
    pin: StrictBool | None = None
    metadata: Metadata | None = None
    importance_override: Share | None = None
    expires_at: datetime | None = None

    def metadata_after(self, record: Record) -> Mapping[str, Any]:
        """An override stays until it is replaced or taken away, an item's type until it is
        replaced. Raises `BadRequest`."""
        after = dict(record.metadata if self.metadata is None else self.metadata)
        if (type := type_of(record)) != MESSAGE:
            after.setdefault(TYPE, type)
        override = override_of(record) if OVERRIDE not in after else None
        if OVERRIDE in self.model_fields_set:
            after.pop(OVERRIDE, None)
            override = self.importance_override
        return checked_names(with_override(after, override))


class MessageRoutes:
    def __init__(
        self,
        door: Authenticator,
        edits: Edits,
        archived: Archived,
        search: Search,
        clock: Callable[[], float],
        *,
        max_body_bytes: int,
        max_message_characters: int,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._door = door
        self._edits = edits
        self._archived = archived
        self._search = search
        self._clock = clock
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
        including_importance(request)  # it always is, of one message
        record, told = await self._found(caller.owner, request.path_params["id"])
        (valued,) = await self._search.importances(caller.owner, [record])
        told["importance"] = importance_told(valued.importance, valued.uses)
        return json_response(told)

    async def edit(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        body = parse_object(await read_body(request, self._max_body_bytes))
        redactor = await self._redaction.of(caller.owner)
        change = self._change(validated(Patch, own(body, caller)), redactor)
        id = request.path_params["id"]
        try:
            found = await self._edits.revise(caller.owner, id, change)
        except NotFound:
            await self._archived.get(caller.owner, id)
            raise Contested(
                "What is archived is read and deleted, not changed.", code="message_archived"
            ) from None
        told = message_told(found.record, found.session)
        return json_response(told, headers=redactor.headers())

    async def delete(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        id = request.path_params["id"]
        try:
            await self._edits.delete(caller.owner, id)
        except NotFound:  # moved, or never there
            await self._archived.delete(caller.owner, id)
        return json_response({"id": id, "object": "memory.message.deleted", "deleted": True})

    async def _found(self, owner: str, id: str) -> tuple[Record, dict[str, Any]]:
        """Raises `NotFound`, for a message too whose time is over."""
        record, told = await self._anywhere(owner, id)
        if not record.alive(self._clock()):
            raise missing()
        return record, told

    async def _anywhere(self, owner: str, id: str) -> tuple[Record, dict[str, Any]]:
        try:
            found = await self._edits.get(owner, id)
        except NotFound:
            shelved = await self._archived.get(owner, id)
            told = message_told(shelved.record, shelved.session)
            return shelved.record, {**told, "archived": True}
        return found.record, message_told(found.record, found.session)

    def _change(self, patch: Patch, redactor: Redactor) -> Callable[[Record], Record]:
        """Raises `BadRequest`, `TooLarge`; what it returns raises them too, and `NotFound`."""
        given = patch.model_dump(exclude_none=True).keys() | (patch.model_fields_set & CLEARABLE)
        if not given:
            raise BadRequest(f"Give what is to change: {', '.join(Patch.model_fields)}.")
        check_size(patch.content or "", patch.metadata or {}, self._max_message_characters)
        expires_at = ending(patch.expires_at, self._clock())
        content = redactor.text(patch.content or "")

        def changed(record: Record) -> Record:
            if not record.alive(self._clock()):
                raise missing()
            return replace(
                record,
                content=content or record.content,
                pin=record.pin if patch.pin is None else patch.pin,
                metadata=redactor.value(patch.metadata_after(record)),
                expires_at=expires_at if "expires_at" in given else record.expires_at,
            )

        return changed
