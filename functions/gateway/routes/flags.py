"""`/v1/admin/flags`: what is switched on, for the service and for one workspace."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.flags import SERVICE, Flag, Flags
from gateway.accounts.workspace import WORKSPACE_ID
from gateway.accounts.workspaces import Workspaces
from gateway.chat.wire import parse_object
from gateway.routes.admins import Office, memory_of
from gateway.routes.memory import validated
from gateway.routes.requests import read_body
from gateway.routes.responses import json_response

MAX_BYTES = 64 * 1024


class FlagsChange(BaseModel):
    """What is not named stays; None takes an override back."""

    model_config = ConfigDict(extra="forbid")

    flags: dict[Flag, StrictBool | None] = Field(min_length=1)


class FlagRoutes:
    """A `{workspace}` is a shared one's id, or of a personal one the identity's."""

    def __init__(self, office: Office, flags: Flags, workspaces: Workspaces) -> None:
        self._office = office
        self._flags = flags
        self._workspaces = workspaces

    def routes(self) -> list[Route]:
        service, one = "/v1/admin/flags", "/v1/admin/flags/{workspace}"
        return [
            Route(path, endpoint, methods=[method])
            for path in (service, one)
            for endpoint, method in ((self.read, "GET"), (self.change, "PUT"))
        ]

    async def read(self, request: Request) -> Response:
        admin = await self._office.admit(request)
        key = await self._key(request)
        await self._office.record(admin, "flags.read", key)
        return json_response(await self._told(request, key))

    async def change(self, request: Request) -> Response:
        """It holds on this instance at once, on every other within a minute."""
        admin = await self._office.admit(request)
        key = await self._key(request)
        body = parse_object(await read_body(request, MAX_BYTES))
        changes = validated(FlagsChange, body).flags
        named: dict[str, bool | None] = dict(changes.items())
        line = self._office.line(admin, "flags.set", key, named)
        await self._flags.change(key, changes, line)
        return json_response(await self._told(request, key))

    async def _told(self, request: Request, key: str) -> dict[str, Any]:
        held, overrides = await self._flags.told(key)
        workspace = request.path_params.get("workspace")
        return {"object": "flags", "workspace": workspace, "flags": held, "overrides": overrides}

    async def _key(self, request: Request) -> str:
        """Raises `NotFound` for a workspace that is not: its flags would switch nothing."""
        if (given := request.path_params.get("workspace")) is None:
            return SERVICE
        key = memory_of(request, "workspace")
        if WORKSPACE_ID.fullmatch(given):
            await self._workspaces.require(given)
        return key
