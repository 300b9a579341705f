"""`GET /openapi.json`: every route of this service; `GET /docs`: the same, to be read.

Both are made of what the app serves, once, when first asked for; they ask nobody who is calling
and read no document.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.reference import descriptions
from gateway.reference.document import Composer
from gateway.reference.page import Page
from gateway.routes.allowances import GivenBudgets, GivenLimits
from gateway.routes.context import ContextRequest
from gateway.routes.conversations import ConversationMessage
from gateway.routes.entities import EntityPatch, GivenReplacement, GivenStatement, NewEntity
from gateway.routes.flags import FlagsChange
from gateway.routes.grants import IdentityLimits
from gateway.routes.items import NewItem
from gateway.routes.keys import KeyPatch, NewKey
from gateway.routes.later import every
from gateway.routes.memory import Batch, GivenMessage
from gateway.routes.messages import Patch
from gateway.routes.orchestrated import OrchestratedRequest
from gateway.routes.search import SearchRequest
from gateway.routes.sessions import SessionPatch
from gateway.routes.staging import ProcessSession, SaidMessage
from gateway.routes.sweeps import RetentionRun
from gateway.routes.workspaces import MemberPatch, NewMember, NewWorkspace, WorkspacePatch

BODIES: tuple[type[BaseModel], ...] = (
    Batch,
    ContextRequest,
    ConversationMessage,
    EntityPatch,
    FlagsChange,
    GivenBudgets,
    GivenLimits,
    GivenMessage,
    GivenReplacement,
    GivenStatement,
    IdentityLimits,
    KeyPatch,
    MemberPatch,
    NewEntity,
    NewItem,
    NewKey,
    NewMember,
    NewWorkspace,
    WorkspacePatch,
    OrchestratedRequest,
    Patch,
    ProcessSession,
    RetentionRun,
    SaidMessage,
    SearchRequest,
    SessionPatch,
)
CACHED = "public, max-age=300"  # then asked again with its ETag: a deployment shows soon


@dataclass(frozen=True, slots=True)
class Sheet:
    """A body that stays the same, with the headers that go with it."""

    body: bytes
    media_type: str
    headers: dict[str, str]


class Reference:
    def __init__(self, version: str) -> None:
        self._version = version
        self._sheets: dict[str, Sheet] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/openapi.json", self.document, methods=["GET"]),
            Route("/docs", self.page, methods=["GET"]),
        ]

    async def document(self, request: Request) -> Response:
        return await self._answer(request, self._document)

    async def page(self, request: Request) -> Response:
        return await self._answer(request, self._page)

    async def _answer(
        self, request: Request, make: Callable[[Sequence[BaseRoute]], Sheet]
    ) -> Response:
        """Made in a thread: it takes a tenth of a second, and chats go on meanwhile."""
        path = request.url.path
        if path not in self._sheets:
            routes = list(every(request.app.routes))  # this one is among those made later
            self._sheets[path] = await asyncio.to_thread(make, routes)
        sheet = self._sheets[path]
        if _has(request.headers.get("if-none-match", ""), sheet.headers["etag"]):
            return Response(status_code=304, headers=sheet.headers)
        return Response(sheet.body, headers=sheet.headers, media_type=sheet.media_type)

    def _document(self, routes: Sequence[BaseRoute]) -> Sheet:
        return _sheet(orjson.dumps(self._composed(routes)), "application/json")

    def _page(self, routes: Sequence[BaseRoute]) -> Sheet:
        page = Page(self._composed(routes))
        headers = {
            "content-security-policy": page.policy,
            "referrer-policy": "no-referrer",
        }
        return _sheet(page.html().encode(), "text/html", headers)

    def _composed(self, routes: Sequence[BaseRoute]) -> descriptions.Json:
        read = descriptions.read()
        return Composer(read, BODIES, served(routes), self._version).document()


def served(routes: Iterable[BaseRoute]) -> set[str]:
    """`METHOD /path` of each, in OpenAPI's words; a HEAD is no more than its GET."""
    return {
        f"{method} {route.path_format}"
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def _sheet(body: bytes, media_type: str, headers: dict[str, str] | None = None) -> Sheet:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    always = {"etag": etag, "cache-control": CACHED, "x-content-type-options": "nosniff"}
    return Sheet(body, media_type, {**always, **(headers or {})})


def _has(asked: str, etag: str) -> bool:
    """Whether `If-None-Match` names it; weakly compared (RFC 9110, 13.1.2)."""
    tags = {one.strip().removeprefix("W/") for one in asked.split(",")}
    return bool(tags & {etag, "*"})
