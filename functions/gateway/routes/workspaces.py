"""Workspaces: made, listed, read, renamed, deleted; members added, changed, removed.

What is said here is said in the caller's own name: `X-Workspace-ID` means nothing.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.workspace import (
    PERSONAL,
    WORKSPACE_ID,
    Role,
    Workspace,
    missing,
    owner_of,
)
from gateway.accounts.workspaces import Workspaces
from gateway.chat.wire import parse_object
from gateway.errors import BadRequest, Forbidden
from gateway.identity.base import Authenticator, Identity
from gateway.limits.limiter import Limiter
from gateway.portability.erasure import Erasure
from gateway.routes.erasure import erasure_told
from gateway.routes.memory import validated
from gateway.routes.requests import idempotency_key_of, own, person_of, read_body
from gateway.routes.responses import json_response

PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
SUBJECT = re.compile(r"(google|key):.{1,255}")
ME = "me"


def _subject(text: str) -> str:
    if not SUBJECT.fullmatch(text) or not text.isprintable():
        raise PydanticCustomError("member", "A member is google:<sub> or key:<name>")
    return text


class NewWorkspace(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class WorkspacePatch(NewWorkspace):
    """Another name."""


class NewMember(BaseModel):
    """Somebody by the `member` that their own list of workspaces tells them."""

    model_config = ConfigDict(extra="forbid")

    member: Annotated[str, AfterValidator(_subject)]
    role: Role = Field("reader")


class MemberPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role


class WorkspaceRoutes:
    def __init__(
        self,
        door: Authenticator,
        workspaces: Workspaces,
        erasure: Erasure,
        *,
        limiter: Limiter,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._workspaces = workspaces
        self._erasure = erasure
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        one = "/v1/workspaces/{workspace}"
        member = f"{one}/members/{{member:path}}"  # a key's name may hold a slash
        return [
            Route("/v1/workspaces", self.create, methods=["POST"]),
            Route("/v1/workspaces", self.mine, methods=["GET"]),
            Route(one, self.read, methods=["GET"]),
            Route(one, self.rename, methods=["PATCH"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/members", self.add, methods=["POST"]),
            Route(member, self.change, methods=["PATCH"]),
            Route(member, self.remove, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """201; the caller is its owner. It costs a request and no tokens of the limits."""
        caller = await self._caller(request)
        if caller.key is not None:
            raise Forbidden("This API key is for its own workspace alone.", code="key_bound")
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        name = validated(NewWorkspace, await self._body(request, caller)).name
        key = idempotency_key_of(request, caller)
        made = await self._workspaces.create(caller.subject, name, key)
        return json_response(_told(made, caller), 201, reservation.headers())

    async def mine(self, request: Request) -> Response:
        """The first page begins with the personal one, which also tells who the caller is."""
        caller = await self._caller(request)
        limit, after = _page(request)
        shared, next = await self._workspaces.list(caller.subject, limit=limit, after=after)
        told = [_summary(one, caller) for one in shared if _reaches(caller, one.id)]
        page = told if after or not _reaches(caller, PERSONAL) else [_personal(caller), *told]
        return json_response(
            {"object": "list", "data": page, "has_more": next is not None, "next": next}
        )

    async def read(self, request: Request) -> Response:
        caller = await self._caller(request)
        id = request.path_params["workspace"]
        if id == PERSONAL:
            return json_response(
                {**_personal(caller), "members": [{"member": caller.subject, "role": "owner"}]}
            )
        return json_response(_told(await self._workspaces.find(id, caller.subject), caller))

    async def rename(self, request: Request) -> Response:
        caller, id = await self._caller(request), request.path_params["workspace"]
        await self._workspaces.find(id, caller.subject, "owner")
        name = validated(WorkspacePatch, await self._body(request, caller)).name
        after = await self._workspaces.rename(id, caller.subject, name)
        return json_response(_told(after, caller))

    async def delete(self, request: Request) -> Response:
        """Its memory is erased while its owner can still ask for that again; then the workspace is
        gone, and what somebody stored between the two is erased after it."""
        caller = await self._caller(request)
        id = request.path_params["workspace"]
        await self._workspaces.find(id, caller.subject, "owner")
        erased = await self._erasure.erase(owner_of(id))
        await self._workspaces.delete(id, caller.subject)
        await self._erasure.erase(owner_of(id))
        told = {"id": id, "object": "workspace.deleted", "deleted": True}
        return json_response({**told, "memory": erasure_told(erased)})

    async def add(self, request: Request) -> Response:
        """201. Costs as `create` does, but nothing to who may not: that would be a write."""
        caller = await self._caller(request)
        await self._workspaces.find(request.path_params["workspace"], caller.subject, "owner")
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        given = validated(NewMember, await self._body(request, caller))
        after = await self._set(request, caller, given.member, given.role, new=True)
        return json_response(_told(after, caller), 201, reservation.headers())

    async def change(self, request: Request) -> Response:
        caller = await self._caller(request)
        role = validated(MemberPatch, await self._body(request, caller)).role
        after = await self._set(request, caller, _named(request, caller), role, new=False)
        return json_response(_told(after, caller))

    async def remove(self, request: Request) -> Response:
        """Or to leave: `me` is the caller."""
        caller = await self._caller(request)
        id, member = request.path_params["workspace"], _named(request, caller)
        await self._workspaces.remove(id, caller.subject, member)
        told = {"id": member, "object": "workspace.member.deleted", "deleted": True}
        return json_response(told)

    async def _caller(self, request: Request) -> Identity:
        """Raises `NotFound` where a key made for one workspace asks for another."""
        caller = await person_of(request, self._door)
        if not _reaches(caller, request.path_params.get("workspace", caller.workspace)):
            raise missing()
        return caller

    async def _set(
        self, request: Request, caller: Identity, member: str, role: Role, *, new: bool
    ) -> Workspace:
        id = request.path_params["workspace"]
        return await self._workspaces.set_member(id, caller.subject, member, role, new=new)

    async def _body(self, request: Request, caller: Identity) -> dict[str, Any]:
        return own(parse_object(await read_body(request, self._max_body_bytes)), caller)


def _reaches(caller: Identity, workspace: str) -> bool:
    return caller.key is None or caller.workspace == workspace


def _page(request: Request) -> tuple[int, str | None]:
    limit, after = request.query_params.get("limit", "50"), request.query_params.get("after")
    if not PAGE_SIZE.fullmatch(limit):
        raise BadRequest("'limit' is a number from 1 to 100.", param="limit")
    if after is not None and not WORKSPACE_ID.fullmatch(after):
        raise BadRequest("'after' is the 'next' of the page before.", param="after")
    return int(limit), after


def _named(request: Request, caller: Identity) -> str:
    member = str(request.path_params["member"])
    return caller.subject if member == ME else member


def _personal(caller: Identity) -> dict[str, Any]:
    return {
        "id": PERSONAL,
        "object": "workspace",
        "name": PERSONAL,
        "role": "owner",
        "member": caller.subject,
        "created_at": None,
    }


def _summary(workspace: Workspace, caller: Identity) -> dict[str, Any]:
    return {
        "id": workspace.id,
        "object": "workspace",
        "name": workspace.name,
        "role": workspace.members[caller.subject],
        "member": caller.subject,
        "created_at": workspace.created_at,
    }


def _told(workspace: Workspace, caller: Identity) -> dict[str, Any]:
    members = [{"member": one, "role": role} for one, role in workspace.members.items()]
    return {**_summary(workspace, caller), "members": members}
