"""`/v1/admin/limits/{id}` and `/v1/admin/keys`: what admins allow, and whose keys they revoke.

What changes something leaves its line in the same commit, what only looks before it looks.
"""

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.key import KEY_ID, Key
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import digest
from gateway.chat.wire import parse_object
from gateway.errors import NotFound
from gateway.limits.overrides import Overrides
from gateway.routes.admins import Office, identity_of
from gateway.routes.allowances import GivenBudgets, GivenLimits, allowance_of, allowance_told
from gateway.routes.keys import key_told
from gateway.routes.memory import validated
from gateway.routes.queries import page_of, paged, unknown_after
from gateway.routes.requests import read_body
from gateway.routes.responses import json_response

SUBJECT = re.compile(r"(google|key):.{1,255}")


class IdentityLimits(BaseModel):
    """Instead of what the settings say, as far as it says something."""

    model_config = ConfigDict(extra="forbid")

    limits: GivenLimits | None = None
    budgets: GivenBudgets | None = None


class GrantRoutes:
    def __init__(
        self,
        office: Office,
        overrides: Overrides,
        keys: Keys,
        forget: Callable[[Key], None],
        max_body_bytes: int,
    ) -> None:
        self._office = office
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
        admin, id = await self._office.admit(request), _identity(request)
        await self._office.record(admin, "limits.read", id)
        return _limits_told(id, await self._overrides.of(id) or NOTHING_SAID)

    async def set_limits(self, request: Request) -> Response:
        """All of them at once: what is not said is the settings' again."""
        admin, id = await self._office.admit(request), _identity(request)
        body = parse_object(await read_body(request, self._max_body_bytes))
        given = validated(IdentityLimits, body)
        allowance = allowance_of(given.limits, given.budgets)
        line = self._office.line(admin, "limits.set", id, allowance.packed())
        await self._overrides.set(id, allowance, line)
        return _limits_told(id, allowance)

    async def delete_limits(self, request: Request) -> Response:
        admin, id = await self._office.admit(request), _identity(request)
        line = self._office.line(admin, "limits.delete", id)
        if not await self._overrides.delete(id, line):
            raise NotFound("Nothing was said of this identity.", code="limits_not_found")
        return json_response({"id": id, "object": "identity.limits.deleted", "deleted": True})

    async def keys(self, request: Request) -> Response:
        """A page of everybody's, or all of the `subject`'s."""
        admin = await self._office.admit(request)
        subject = request.query_params.get("subject")
        limit, after = page_of(request)
        if after is not None and not KEY_ID.fullmatch(after):
            raise unknown_after()
        await self._office.record(admin, "keys.list", digest(subject) if subject else "all")
        if subject is not None:
            found, more = await self._keys.mine(subject), None
        else:
            found, more = await self._keys.page(limit=limit, after=after)
        told = [{**key_told(key), "subject": key.subject} for key in found]
        return json_response(paged(told, more))

    async def revoke(self, request: Request) -> Response:
        admin, id = await self._office.admit(request), request.path_params["id"]
        key = await self._keys.find_any(id)
        line = self._office.line(admin, "keys.delete", id, {"subject": digest(key.subject)})
        self._forget(await self._keys.revoke_any(id, line))
        return json_response({"id": id, "object": "api_key.deleted", "deleted": True})


def _identity(request: Request) -> str:
    """Of `google:<sub>`, `key:<name>`, or what such a subject is called in the store."""
    named = str(request.path_params["id"])
    if SUBJECT.fullmatch(named) and named.isprintable():
        return digest(named)
    return identity_of(named)


def _limits_told(id: str, allowance: Allowance) -> Response:
    told: dict[str, Any] = {"id": id, "object": "identity.limits", **allowance_told(allowance)}
    return json_response(told)
