"""What is remembered, session by session: listed, read back page by page, renamed, deleted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.memory.heads import TITLE_CHARACTERS, Head
from gateway.memory.log import MessageLog
from gateway.memory.records import Record
from gateway.routes.memory import message_told, validated
from gateway.routes.requests import caller_of, checked_session, own, read_body
from gateway.routes.responses import json_response
from gateway.routes.search import importance_told, including_importance
from gateway.search.search import Search

MAX_PAGE = 200
PAGE_SIZE = re.compile(r"[0-9]{1,4}")
DOCUMENT_ID = re.compile(r"[a-z2-7]{1,64}")


class SessionPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: StrictStr = Field(min_length=1, max_length=TITLE_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a session's messages; `next` is where a page `after` them begins, `previous` where
    one `before` them ends. A listing goes one way, so one of them at most is told."""

    records: Sequence[Record]
    next: str | None = None
    previous: str | None = None


class SessionRoutes:
    def __init__(
        self, door: Authenticator, log: MessageLog, search: Search, max_body_bytes: int
    ) -> None:
        self._door = door
        self._log = log
        self._search = search
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [
            Route("/v1/sessions", self.sessions, methods=["GET"]),
            Route("/v1/sessions/{session}", self.rename, methods=["PATCH"]),
            Route("/v1/sessions/{session}", self.delete, methods=["DELETE"]),
            Route("/v1/sessions/{session}/messages", self.messages, methods=["GET"]),
        ]

    async def sessions(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        limit, after = _limit(request), request.query_params.get("after")
        if after is not None and not DOCUMENT_ID.fullmatch(after):
            raise _unknown("after")
        found = await self._log.sessions(caller.owner, limit=limit + 1, after=after)
        page = found[:limit]
        newest_first = sorted(page, key=lambda one: one[1].updated_at, reverse=True)
        return json_response(
            {
                "object": "list",
                "data": [_session(head) for _, head in newest_first],
                "has_more": len(found) > limit,
                "next": page[-1][0] if len(found) > limit else None,
            }
        )

    async def messages(self, request: Request) -> Response:
        """From the first on, or `after` one; with `before` alone the last ones before it."""
        caller = await caller_of(request, self._door)
        session = checked_session(request.path_params["session"], "session")
        limit, included = _limit(request), including_importance(request)
        asked = request.query_params
        records = await self._log.messages(caller.owner, session)
        page = paged(records, limit, asked.get("before"), asked.get("after"))
        told = [message_told(record, session) for record in page.records]
        if included:
            valued = await self._search.importances(caller.owner, page.records)
            for one, value in zip(told, valued, strict=True):
                one["importance"] = importance_told(value.importance, value.uses)
        return json_response(
            {
                "object": "list",
                "data": told,
                "has_more": bool(page.next or page.previous),
                "next": page.next,
                "previous": page.previous,
            }
        )

    async def rename(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        session = checked_session(request.path_params["session"], "session")
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        title = " ".join(validated(SessionPatch, body).title.split())
        if not title:
            raise BadRequest("A title has letters.", param="title")
        return json_response(_session(await self._log.rename(caller.owner, session, title)))

    async def delete(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        session = checked_session(request.path_params["session"], "session")
        removed = await self._log.delete_session(caller.owner, session)
        return json_response(
            {"id": session, "object": "session.deleted", "deleted": True, "messages": removed}
        )


def paged(records: Sequence[Record], limit: int, before: str | None, after: str | None) -> Page:
    """Raises `BadRequest` for the id of no message of the session."""
    first = 0 if after is None else _place(records, after, "after") + 1
    end = len(records) if before is None else _place(records, before, "before")
    if before is not None and after is None:
        start = max(first, end - limit)
        page = records[start:end]
        return Page(page, previous=page[0].id if start > first else None)
    page = records[first : min(end, first + limit)]
    return Page(page, next=page[-1].id if first + limit < end else None)


def _place(records: Sequence[Record], id: str, param: str) -> int:
    for place, record in enumerate(records):
        if record.id == id:
            return place
    raise _unknown(param)


def _limit(request: Request) -> int:
    limit = request.query_params.get("limit", "100")
    if not PAGE_SIZE.fullmatch(limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise BadRequest(f"'limit' is a number from 1 to {MAX_PAGE}.", param="limit")
    return int(limit)


def _unknown(param: str) -> BadRequest:
    return BadRequest(f"'{param}' comes from the page beside this one.", param=param)


def _session(head: Head) -> dict[str, Any]:
    return {
        "id": head.session,
        "object": "session",
        "title": head.title,
        "created_at": head.created_at,
        "updated_at": head.updated_at,
        "messages": head.messages,
        "turns": head.turns,
        "tokens": head.tokens,
    }
