"""What is remembered: messages handed in, sessions listed, read back and deleted, receipts."""

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS, parse_object
from gateway.errors import BadRequest, TooLarge
from gateway.identity.base import Authenticator
from gateway.memory.heads import Head
from gateway.memory.intake import Given, Intake
from gateway.memory.log import MessageLog
from gateway.memory.receipts import Receipts
from gateway.memory.records import Record
from gateway.routes.requests import caller_of, checked_session, read_body
from gateway.routes.responses import json_response
from gateway.tokens.base import Tokenizer

MAX_BATCH = 500
MAX_PAGE = 200
PAGE_SIZE = re.compile(r"[0-9]{1,4}")
DEFAULT_SESSION = "notes"


class GivenMessage(BaseModel):
    """One message of `POST /v1/messages`. `at` is epoch seconds or an ISO 8601 time."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "tool", "system"] = "user"
    content: str = Field(min_length=1)
    session_id: str = Field(
        DEFAULT_SESSION,
        validation_alias=AliasChoices("session_id", "session", "thread_id", "conversation_id"),
    )
    at: datetime | None = None
    metadata: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, max_length=16
    )


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    messages: list[GivenMessage] = Field(min_length=1, max_length=MAX_BATCH)


class MemoryRoutes:
    def __init__(
        self,
        door: Authenticator,
        log: MessageLog,
        intake: Intake,
        receipts: Receipts,
        tokenizer: Tokenizer,
        *,
        max_body_bytes: int,
        max_message_characters: int,
    ) -> None:
        self._door = door
        self._log = log
        self._intake = intake
        self._receipts = receipts
        self._tokenizer = tokenizer
        self._max_body_bytes = max_body_bytes
        self._max_message_characters = max_message_characters

    def routes(self) -> list[Route]:
        return [
            Route("/v1/messages", self.store, methods=["POST"]),
            Route("/v1/sessions", self.sessions, methods=["GET"]),
            Route("/v1/sessions/{session}", self.delete_session, methods=["DELETE"]),
            Route("/v1/sessions/{session}/messages", self.messages, methods=["GET"]),
            Route("/v1/memory/receipts/{id}", self.receipt, methods=["GET"]),
        ]

    async def store(self, request: Request) -> Response:
        """201 with the ids, in the order given."""
        caller = await caller_of(request, self._door)
        body = parse_object(await read_body(request, self._max_body_bytes))
        given = [self._given(one, i) for i, one in enumerate(_parsed(body))]
        key = request.headers.get("idempotency-key")
        stored = await self._intake.store(caller.owner, given, key)
        items = [
            {"id": record.id, "object": "memory.message", "session_id": one.session}
            for one, record in zip(given, stored, strict=True)
        ]
        return json_response({"object": "list", "data": items}, 201)

    async def sessions(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        limit, after = _page(request)
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
        caller = await caller_of(request, self._door)
        session = checked_session(request.path_params["session"], "session")
        records = await self._log.messages(caller.owner, session)
        limit, after = _page(request)
        ids = [record.id for record in records]
        start = ids.index(after) + 1 if after in ids else 0
        page = records[start : start + limit]
        has_more = start + limit < len(records)
        return json_response(
            {
                "object": "list",
                "data": [_message(record, session) for record in page],
                "has_more": has_more,
                "next": page[-1].id if has_more else None,
            }
        )

    async def delete_session(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        session = checked_session(request.path_params["session"], "session")
        removed = await self._log.delete_session(caller.owner, session)
        return json_response(
            {"id": session, "object": "session.deleted", "deleted": True, "messages": removed}
        )

    async def receipt(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        found = await self._receipts.find(caller.owner, request.path_params["id"])
        return json_response(found)

    def _given(self, message: GivenMessage, i: int) -> Given:
        if len(message.content) > self._max_message_characters:
            raise TooLarge(
                f"A message may take {self._max_message_characters} characters here.",
                param=f"messages[{i}].content",
                code="message_too_large",
            )
        tokens = MESSAGE_OVERHEAD_TOKENS + self._tokenizer.count(message.content)
        return Given(
            role=message.role,
            content=message.content,
            session=checked_session(message.session_id, f"messages[{i}].session_id"),
            tokens=tokens,
            at=_epoch(message.at),
            metadata=message.metadata,
        )


def _parsed(body: dict[str, Any]) -> list[GivenMessage]:
    """The messages of a batch, or the one message that the body is."""
    try:
        if "messages" in body:
            return Batch.model_validate(body).messages
        return [GivenMessage.model_validate(body)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(first["msg"] + ".", param=_param(first["loc"])) from None


def _param(location: tuple[int | str, ...]) -> str:
    param = ""
    for part in location:
        param += f"[{part}]" if isinstance(part, int) else f".{part}"
    return param.lstrip(".")


def _epoch(at: datetime | None) -> float | None:
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _page(request: Request) -> tuple[int, str | None]:
    limit = request.query_params.get("limit", "100")
    if not PAGE_SIZE.fullmatch(limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise BadRequest(f"'limit' is a number from 1 to {MAX_PAGE}.", param="limit")
    return int(limit), request.query_params.get("after")


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


def _message(record: Record, session: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": record.id,
        "object": "memory.message",
        "session_id": session,
        "role": record.role,
        "content": record.content,
        "created_at": record.at,
        "tokens": record.tokens,
        "parent": record.parent,
        "active": record.state == "active",
        "state": record.state,
        "interrupted": record.interrupted,
        "metadata": dict(record.metadata),
        **record.extras,
    }
    if record.receipt:
        message["receipt_id"] = record.receipt["id"]
    return message
