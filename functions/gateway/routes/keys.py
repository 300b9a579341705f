"""`/v1/keys`: API keys made, listed, changed and revoked, each by its own person."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.key import SCOPES, Key, Scope, missing
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import PERSONAL
from gateway.accounts.workspaces import Workspaces
from gateway.chat.wire import parse_object
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator, Identity
from gateway.identity.delegation import (
    check_end,
    check_scopes,
    check_unlimited,
    manages,
    workspace_for,
)
from gateway.limits.limiter import Limiter
from gateway.routes.allowances import (
    GivenBudgets,
    GivenLimits,
    allowance_of,
    allowance_told,
    changed,
)
from gateway.routes.memory import epoch_of, validated
from gateway.routes.requests import own, person_of, read_body
from gateway.routes.responses import json_response

NEVER_KEPT = {"cache-control": "no-store"}

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class NewKey(BaseModel):
    """Without `expires_at` the key has no end; without `workspace` it is for that of its maker."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES))
    expires_at: datetime | None = None
    workspace: str | None = None
    limits: GivenLimits | None = None
    budgets: GivenBudgets | None = None


class KeyPatch(BaseModel):
    """What is left out stays; of `limits` and `budgets` too."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    limits: GivenLimits | None = None
    budgets: GivenBudgets | None = None


class KeyRoutes:
    def __init__(
        self,
        door: Authenticator,
        keys: Keys,
        forget: Callable[[Key], None],
        workspaces: Workspaces,
        clock: Callable[[], float],
        *,
        limiter: Limiter,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._keys = keys
        self._forget = forget
        self._workspaces = workspaces
        self._clock = clock
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [
            Route("/v1/keys", self.create, methods=["POST"]),
            Route("/v1/keys", self.mine, methods=["GET"]),
            Route("/v1/keys/{id}", self.change, methods=["PATCH"]),
            Route("/v1/keys/{id}", self.revoke, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """201, with the key itself, here and never again. It costs a request of the limits."""
        caller = await person_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        given = validated(NewKey, await self._body(request, caller))
        ends_at = self._end(given.expires_at)
        scopes = frozenset(given.scopes)
        check_unlimited(caller)
        check_scopes(caller, scopes)
        check_end(caller, ends_at)
        workspace = workspace_for(caller, given.workspace)
        if workspace != PERSONAL:
            await self._workspaces.find(workspace, caller.subject)
        key, secret = await self._keys.create(
            caller.subject,
            workspace,
            given.name,
            scopes,
            ends_at,
            allowance_of(given.limits, given.budgets),
            caller.key.id if caller.key else None,
        )
        told = {**key_told(key), "key": secret}
        return json_response(told, 201, {**reservation.headers(), **NEVER_KEPT})

    async def mine(self, request: Request) -> Response:
        """Newest first; to a key, those that it may manage."""
        caller = await person_of(request, self._door)
        keys = [key for key in await self._keys.mine(caller.subject) if manages(caller, key)]
        return json_response({"object": "list", "data": [key_told(key) for key in keys]})

    async def change(self, request: Request) -> Response:
        caller, id = await person_of(request, self._door), request.path_params["id"]
        await self._managed(caller, id)
        check_unlimited(caller)
        patch = validated(KeyPatch, await self._body(request, caller))

        def patched(key: Key) -> Key:
            allowance = changed(key.allowance, patch)
            return replace(key, name=patch.name or key.name, allowance=allowance)

        after = await self._keys.change(caller.subject, id, patched)
        self._forget(after)
        return json_response(key_told(after))

    async def revoke(self, request: Request) -> Response:
        """At once on this instance, within a minute on every other."""
        caller, id = await person_of(request, self._door), request.path_params["id"]
        await self._managed(caller, id)
        self._forget(await self._keys.revoke(caller.subject, id))
        return json_response({"id": id, "object": "api_key.deleted", "deleted": True})

    async def _managed(self, caller: Identity, id: str) -> None:
        if not manages(caller, await self._keys.find(caller.subject, id)):
            raise missing()

    def _end(self, expires_at: datetime | None) -> float | None:
        ends_at = epoch_of(expires_at)
        if ends_at is not None and ends_at <= self._clock():
            raise BadRequest("A key's end lies in the future.", param="expires_at")
        return ends_at

    async def _body(self, request: Request, caller: Identity) -> dict[str, Any]:
        return own(parse_object(await read_body(request, self._max_body_bytes)), caller)


def key_told(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "workspace": key.workspace,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.valid_until,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
        **allowance_told(key.allowance),
    }
