"""Facts that change: entities with their versions, read as of a date and as known on one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.entities.cards import Card
from gateway.entities.content import Content, Kind, Statement, blocks_of
from gateway.entities.editor import Changes, Editor, Given, Replaced
from gateway.entities.operations import (
    MAX_OPERATIONS,
    AlwaysLoad,
    Block,
    Identifier,
    Name,
    Sources,
    Strength,
    Text,
)
from gateway.entities.paths import is_entity
from gateway.entities.register import Register, View
from gateway.entities.removal import Removal
from gateway.entities.versions import told
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.routes.memory import epoch_of, validated
from gateway.routes.queries import moment_of, number_of, page_of, paged, unknown_after
from gateway.routes.requests import caller_of, idempotency_key_of, own, read_body, storer_of
from gateway.routes.responses import json_response


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GivenStatement(_Body):
    """`valid_from` is that of the whole change where it is not given; without a `block` it is
    `facts`, or that of the statement replaced."""

    block: Block | None = None
    text: Text
    sources: Sources = Field(default_factory=list)
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def given(self, place: str) -> Given:
        begins, ends = epoch_of(self.valid_from), epoch_of(self.valid_to)
        if begins is not None and ends is not None and ends <= begins:
            raise BadRequest("'valid_to' is later than 'valid_from'.", param=f"{place}.valid_to")
        return Given(self.text, self.block, self.sources, begins, ends)


class GivenReplacement(GivenStatement):
    statement: Identifier


class NewEntity(_Body):
    kind: Kind
    name: Name
    strength: Strength = 0.5
    always_load: AlwaysLoad = Field(default_factory=list)
    statements: list[GivenStatement] = Field(default_factory=list, max_length=MAX_OPERATIONS)
    valid_from: datetime | None = None


class EntityPatch(_Body):
    """`version` is the current one. What is absent or null stays."""

    version: int = Field(ge=1)
    name: Name | None = None
    kind: Kind | None = None
    strength: Strength | None = None
    always_load: AlwaysLoad | None = None
    add: list[GivenStatement] = Field(default_factory=list, max_length=MAX_OPERATIONS)
    replace: list[GivenReplacement] = Field(default_factory=list, max_length=MAX_OPERATIONS)
    remove: list[Identifier] = Field(default_factory=list, max_length=MAX_OPERATIONS)
    valid_from: datetime | None = None


class EntityRoutes:
    def __init__(
        self,
        door: Authenticator,
        register: Register,
        removal: Removal,
        editor: Editor,
        *,
        limiter: Limiter,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._register = register
        self._removal = removal
        self._editor = editor
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        path = "/v1/memory/entities"
        return [
            Route(path, self.list, methods=["GET"]),
            Route(path, self.create, methods=["POST"]),
            Route(f"{path}/{{id}}", self.read, methods=["GET"]),
            Route(f"{path}/{{id}}", self.edit, methods=["PATCH"]),
            Route(f"{path}/{{id}}", self.delete, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        """Cards, without statements."""
        caller = await caller_of(request, self._door)
        limit, after = page_of(request)
        if after is not None and not is_entity(after):
            raise unknown_after()
        cards, more = await self._register.cards(
            caller.owner,
            limit=limit,
            after=after,
            as_of=moment_of(request, "as_of"),
            known_at=moment_of(request, "known_at"),
        )
        return json_response(paged([_card(card) for card in cards], more))

    async def create(self, request: Request) -> Response:
        caller = await storer_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        new = validated(NewEntity, body)
        statements = [one.given(f"statements[{i}]") for i, one in enumerate(new.statements)]
        view = await self._editor.create(
            caller.owner,
            kind=new.kind,
            name=new.name,
            strength=new.strength,
            always_load=new.always_load,
            statements=statements,
            valid_from=epoch_of(new.valid_from),
            idempotency_key=idempotency_key_of(request, caller),
        )
        return json_response(_entity(view), 201, reservation.headers())

    async def read(self, request: Request) -> Response:
        return json_response(_entity(await self._view(request)))

    async def edit(self, request: Request) -> Response:
        """The version it makes, as of when that begins to hold where it lies in the future."""
        caller = await caller_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        patch = validated(EntityPatch, body)
        id = request.path_params["id"]
        changes = _changes(patch)
        view = await self._editor.edit(caller.owner, id, patch.version, changes)
        return json_response(_entity(view), headers=reservation.headers())

    async def delete(self, request: Request) -> Response:
        """Ends the entity and keeps its history; `history=erase` leaves nothing of either."""
        caller = await caller_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        id, version = request.path_params["id"], number_of(request, "version")
        if (history := request.query_params.get("history", "keep")) not in {"keep", "erase"}:
            raise BadRequest("'history' is keep or erase.", param="history")
        deleted: dict[str, Any] = {"id": id, "object": "memory.entity.deleted", "deleted": True}
        if history == "erase":
            await self._removal.erase(caller.owner, id)
        else:
            commit = await self._editor.end(caller.owner, id, version)
            deleted["commit"] = commit.sequence
        return json_response({**deleted, "history": history}, headers=reservation.headers())

    async def _view(self, request: Request) -> View:
        caller = await caller_of(request, self._door)
        return await self._register.get(
            caller.owner,
            request.path_params["id"],
            as_of=moment_of(request, "as_of"),
            known_at=moment_of(request, "known_at"),
        )


def _changes(patch: EntityPatch) -> Changes:
    return Changes(
        name=patch.name,
        kind=patch.kind,
        strength=patch.strength,
        always_load=patch.always_load,
        add=[one.given(f"add[{i}]") for i, one in enumerate(patch.add)],
        replace=[
            Replaced(one.statement, one.given(f"replace[{i}]"))
            for i, one in enumerate(patch.replace)
        ],
        remove=patch.remove,
        valid_from=epoch_of(patch.valid_from),
    )


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "object": "memory.entity",
        "kind": card.kind,
        "name": card.name,
        "strength": card.strength,
        "version": card.version,
        "valid_from": card.valid_from,
        "valid_to": card.valid_to,
        "updated_at": card.updated_at,
        "statements": card.statements,
        "always_load": card.always_load,
    }


def _entity(view: View) -> dict[str, Any]:
    """`version` is the one that tells this, `current_version` the one that an edit must name."""
    content = view.content
    return {
        **attributes(view.id, content),
        "version": view.mark.number,
        "current_version": view.history.current,
        "recorded_at": view.mark.recorded_at,
        "commit": view.mark.commit,
        "as_of": view.as_of,
        "valid_from": content.valid_from,
        "valid_to": content.valid_to,
        "blocks": blocks_told(content, content.holding(view.as_of)),
        "superseded": [told(one) for one in content.past(view.as_of)],
    }


def attributes(id: str, content: Content) -> dict[str, Any]:
    return {
        "id": id,
        "object": "memory.entity",
        "kind": content.kind,
        "name": content.name,
        "strength": content.strength,
    }


def blocks_told(content: Content, statements: Sequence[Statement]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "always_load": name in content.always_load,
            "statements": [told(one) for one in block],
        }
        for name, block in blocks_of(statements).items()
    ]
