"""What is remembered, searched; how much it is; what is derived of it, made anew."""

import re
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.memory.recall import NEVER
from gateway.retention.importance import Importance
from gateway.routes.memory import epoch_of, validated
from gateway.routes.requests import caller_of, checked_session, own, read_body
from gateway.routes.responses import json_response
from gateway.search.rebuilding import NOWHERE, Rebuilding, Rebuilt
from gateway.search.search import LONG_AGO, Found, Hit, Search, Wanted
from gateway.search.status import Standing, Status

MOST_HITS = 50
QUERY_CHARACTERS = 10_000
CURSOR = re.compile(r"[0-9]{1,8}")

Query = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=QUERY_CHARACTERS)
]


class SearchRequest(BaseModel):
    """`since` counts, `until` no longer does; both are epoch seconds or ISO 8601 times."""

    model_config = ConfigDict(extra="forbid")

    query: Query
    top_k: int = Field(5, ge=1, le=MOST_HITS, validation_alias=AliasChoices("top_k", "k"))
    session_id: str | None = Field(
        None,
        validation_alias=AliasChoices("session_id", "session", "thread_id", "conversation_id"),
    )
    role: Literal["user", "assistant", "tool", "function", "developer"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    importance_min: float = Field(0.0, ge=0, le=1)
    include_archived: bool = False

    def wanted(self) -> Wanted:
        since, until = epoch_of(self.since), epoch_of(self.until)
        if since is not None and until is not None and since >= until:
            raise BadRequest("'until' is later than 'since'.", param="until")
        return Wanted(
            query=self.query,
            top_k=self.top_k,
            session=self._session(),
            role=self.role,
            since=LONG_AGO if since is None else since,
            until=NEVER if until is None else until,
            importance_min=self.importance_min,
            include_archived=self.include_archived,
        )

    def _session(self) -> str | None:
        given = self.session_id
        return None if given is None else checked_session(given, "session_id")


class SearchRoutes:
    def __init__(
        self,
        door: Authenticator,
        search: Search,
        status: Status,
        rebuilding: Rebuilding,
        *,
        limiter: Limiter,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._search = search
        self._status = status
        self._rebuilding = rebuilding
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [
            Route("/v1/memory/search", self.search, methods=["GET", "POST"]),
            Route("/v1/memory/status", self.status, methods=["GET"]),
            Route("/v1/memory/rebuild-index", self.rebuild, methods=["POST"]),
        ]

    async def search(self, request: Request) -> Response:
        """It costs a request and no tokens of the limits."""
        caller = await caller_of(request, self._door, "reader")
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        asked = own(await self._asked(request), caller)
        wanted = validated(SearchRequest, asked).wanted()
        found = await self._search.find(caller.owner, wanted)
        headers = {"x-memory-retriever": found.retriever, **reservation.headers()}
        return json_response(_told(found), headers=headers)

    async def status(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        return json_response(_standing(await self._status.of(caller.owner)))

    async def rebuild(self, request: Request) -> Response:
        """It costs a request; a memory of many segments takes several calls, each from `next`."""
        caller = await caller_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        rebuilt = await self._rebuilding.rebuild(caller.owner, _after(request))
        return json_response(_rebuilt(rebuilt), headers=reservation.headers())

    async def _asked(self, request: Request) -> dict[str, Any]:
        if request.method == "POST":
            return parse_object(await read_body(request, self._max_body_bytes))
        given = request.query_params
        for name in given:
            if len(given.getlist(name)) > 1:
                raise BadRequest("A parameter is given once.", param=name)
        return dict(given)


def _after(request: Request) -> int:
    after = request.query_params.get("after")
    if after is None:
        return NOWHERE
    if not CURSOR.fullmatch(after):
        raise BadRequest("'after' is the 'next' of the call before.", param="after")
    return int(after)


def _told(found: Found) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [hit_told(one) for one in found.hits],
        "relevant": found.relevant,
        "retriever": found.retriever,
        "searched": found.searched,
        "left_out": {**asdict(found.left_out), "matches": found.unweighed},
    }


def hit_told(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "id": passage.id,
        "object": "memory.hit",
        "session_id": hit.session,
        "role": passage.role,
        "date": passage.date,
        "created_at": passage.at,
        "text": passage.text,
        "tokens": passage.tokens,
        "archived": hit.archived,
        "score": hit.score,
        "parts": asdict(hit.parts),
        "importance": importance_told(hit.importance, hit.uses),
        "ranks": dict(hit.ranks),
    }


def including_importance(request: Request) -> bool:
    """Importance is told where it is asked for: what it goes by may take many reads."""
    include = request.query_params.get("include")
    if include not in {None, "importance"}:
        raise BadRequest("'include' is importance.", param="include")
    return include is not None


def importance_told(importance: Importance, uses: int) -> dict[str, Any]:
    return {**asdict(importance), "uses": uses}


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "object": "memory.status",
        **asdict(standing),
        "index_stats": {
            "total_blocks": standing.messages,
            "average_tokens": standing.average_tokens,
        },
    }


def _rebuilt(rebuilt: Rebuilt) -> dict[str, Any]:
    after = None if rebuilt.next is None else f"{rebuilt.next:08d}"
    fields = {**asdict(rebuilt), "has_more": after is not None, "next": after}
    return {"object": "memory.index", **fields}
