"""`/v1/admin/limits/{id}` and `/v1/admin/keys`: what admins allow, and whose keys they revoke.

Each of them leaves a line in the audit: what changes something in the same commit, what only looks
before it looks.
"""

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.admins import Admins
from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.audit import Audit
from gateway.accounts.key import KEY_ID, Key
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import digest
from gateway.chat.wire import parse_object
from gateway.errors import BadRequest, NotFound
from gateway.identity.base import Authenticator, Identity
from gateway.limits.overrides import Overrides
from gateway.routes.allowances import GivenBudgets, GivenLimits, allowance_of, allowance_told
from gateway.routes.keys import key_told
from gateway.routes.memory import validated
from gateway.routes.requests import person_of, read_body
from gateway.routes.responses import json_response

IDENTITY_ID = re.compile(r"[a-z2-7]{52}")
SUBJECT = re.compile(r"(google|key):.{1,255}")
PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


class IdentityLimits(BaseModel):
    """Instead of what the settings say, as far as it says something."""

    model_config = ConfigDict(extra="forbid")

    limits: GivenLimits | None = None
    budgets: GivenBudgets | None = None


class GrantRoutes:
    def __init__(
        self,
        door: Authenticator,
        admins: Admins,
        audit: Audit,
        overrides: Overrides,
        keys: Keys,
        forget: Callable[[Key], None],
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._admins = admins
        self._audit = audit
        self._overrides = overrides
        self._keys = keys
        self._forget = forget
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        limits = "/v1/admin/limits/{id:path}"  # a key's name may hold a slash
        return [
            Route(limits, self.limits, methods=["GET"]),
            Route(limits, self.set_limits, methods=["PUT"]),
            Route(limits, self.delete_limits, methods=["DELETE"]),
            Route("/v1/admin/keys", self.keys, methods=["GET"]),
            Route("/v1/admin/keys/{id}", self.revoke, methods=["DELETE"]),
        ]

    async def limits(self, request: Request) -> Response:
        """What was said of the identity; null where the settings hold."""
        admin, id = await self._admin(request), _identity(request)
        await self._audit.record(admin.subject, "limits.read", id)
        return _limits_told(id, await self._overrides.of(id) or NOTHING_SAID)

    async def set_limits(self, request: Request) -> Response:
        """All of them at once: what is not said is the settings' again."""
        admin, id = await self._admin(request), _identity(request)
        given = validated(IdentityLimits, parse_object(await self._body(request)))
        allowance = allowance_of(given.limits, given.budgets)
        line = self._audit.line(admin.subject, "limits.set", id, allowance.packed())
        await self._overrides.set(id, allowance, line)
        return _limits_told(id, allowance)

    async def delete_limits(self, request: Request) -> Response:
        admin, id = await self._admin(request), _identity(request)
        line = self._audit.line(admin.subject, "limits.delete", id)
        if not await self._overrides.delete(id, line):
            raise NotFound("Nothing was said of this identity.", code="limits_not_found")
        return json_response({"id": id, "object": "identity.limits.deleted", "deleted": True})

    async def keys(self, request: Request) -> Response:
        """A page of everybody's, or all of the `subject`'s."""
        admin = await self._admin(request)
        subject = request.query_params.get("subject")
        limit, after = _page(request)
        await self._audit.record(admin.subject, "keys.list", digest(subject) if subject else "")
        if subject is not None:
            found, next = await self._keys.mine(subject), None
        else:
            found, next = await self._keys.page(limit=limit, after=after)
        told = [{**key_told(key), "subject": key.subject} for key in found]
        return json_response(
            {"object": "list", "data": told, "has_more": next is not None, "next": next}
        )

    async def revoke(self, request: Request) -> Response:
        admin, id = await self._admin(request), request.path_params["id"]
        key = await self._keys.find_any(id)
        line = self._audit.line(admin.subject, "keys.delete", id, {"subject": digest(key.subject)})
        self._forget(await self._keys.revoke_any(id, line))
        return json_response({"id": id, "object": "api_key.deleted", "deleted": True})

    async def _admin(self, request: Request) -> Identity:
        caller = await person_of(request, self._door)
        self._admins.require(caller)
        return caller

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, self._max_body_bytes)


def _identity(request: Request) -> str:
    """Of `google:<sub>`, `key:<name>`, or what such a subject is called in the store."""
    named = str(request.path_params["id"])
    if SUBJECT.fullmatch(named) and named.isprintable():
        return digest(named)
    if not IDENTITY_ID.fullmatch(named):
        raise NotFound("No such identity.", code="identity_not_found")
    return named


def _limits_told(id: str, allowance: Allowance) -> Response:
    told: dict[str, Any] = {"id": id, "object": "identity.limits", **allowance_told(allowance)}
    return json_response(told)


def _page(request: Request) -> tuple[int, str | None]:
    limit, after = request.query_params.get("limit", "50"), request.query_params.get("after")
    if not PAGE_SIZE.fullmatch(limit):
        raise BadRequest("'limit' is a number from 1 to 100.", param="limit")
    if after is not None and not KEY_ID.fullmatch(after):
        raise BadRequest("'after' is the 'next' of the page before.", param="after")
    return int(limit), after
