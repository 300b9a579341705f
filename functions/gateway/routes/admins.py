"""The admins' door: who is one, and the line that every act of theirs leaves.

Admins come in their own name: `X-Workspace-ID` means nothing. Who is none is refused before
anything of the request is looked at, so that what exists shows in no answer. Nothing here counts
against the limits: an admin gets in when they are what is wrong.
"""

import re

from starlette.requests import Request

from gateway.accounts.admins import Admins
from gateway.accounts.audit import Audit, Detail
from gateway.accounts.workspace import WORKSPACE_ID, digest, owner_of
from gateway.documents.base import Create
from gateway.errors import NotFound
from gateway.identity.base import Authenticator
from gateway.routes.requests import person_of

ID = re.compile(r"[a-z2-7]{52}")


class Office:
    def __init__(self, door: Authenticator, admins: Admins, audit: Audit) -> None:
        self._door = door
        self._admins = admins
        self._audit = audit

    async def admit(self, request: Request) -> str:
        """The admin's subject. Raises `Unauthenticated`, or `Forbidden` for whoever is none."""
        caller = await person_of(request, self._door)
        self._admins.require(caller)
        return caller.subject

    async def record(self, admin: str, act: str, target: str, detail: Detail | None = None) -> None:
        """To be awaited before the act: what leaves no line does not happen."""
        await self._audit.record(admin, act, target, detail)

    def line(self, admin: str, act: str, target: str, detail: Detail | None = None) -> Create:
        """For an act that is one commit: the line goes with it."""
        return self._audit.line(admin, act, target, detail)


def memory_of(request: Request, name: str) -> str:
    """The digest that a memory's path has, from an identity's id or a shared workspace's.

    Raises `NotFound` for what is neither.
    """
    given = str(request.path_params[name])
    if WORKSPACE_ID.fullmatch(given):
        return digest(owner_of(given))
    return identity_of(given)


def identity_of(given: str) -> str:
    if not ID.fullmatch(given):
        raise NotFound("No such identity.", code="identity_not_found")
    return given
