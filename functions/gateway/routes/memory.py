"""What is remembered: messages handed in, sessions listed, read back and deleted, receipts."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS, parse_object
from gateway.errors import BadRequest, TooLarge
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.memory.heads import Head
from gateway.memory.intake import Given, Intake
from gateway.memory.log import MessageLog
from gateway.memory.receipts import Receipts
from gateway.memory.records import Record
from gateway.memory.segments import MESSAGE_BYTES
from gateway.routes.requests import caller_of, checked_session, read_body
from gateway.routes.responses import json_response
from gateway.tokens.base import Tokenizer

MAX_BATCH = 500
MAX_PAGE = 200
PAGE_SIZE = re.compile(r"[0-9]{1,4}")
DOCUMENT_ID = re.compile(r"[a-z2-7]{1,64}")
DEFAULT_SESSION = "notes"
KEY_CHARACTERS = 64
VALUE_CHARACTERS = 512
RECORD_BYTES = 1024  # more than a record's other fields take

Model = TypeVar("Model", bound=BaseModel)
Scalar = str | int | float | bool | None


def _scalar(value: object) -> object:
    """One error per value, whereas a union tells one for each of its branches."""
    if not isinstance(value, Scalar):
        raise PydanticCustomError("scalar", "A value is a string, a number, a boolean or null")
    if isinstance(value, str) and len(value) > VALUE_CHARACTERS:
        raise PydanticCustomError("long", f"A value takes {VALUE_CHARACTERS} characters")
    return value


Key = Annotated[str, Field(max_length=KEY_CHARACTERS)]
Value = Annotated[Any, BeforeValidator(_scalar)]
Metadata = Annotated[dict[Key, Value], Field(max_length=16)]


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
    metadata: Metadata = Field(default_factory=dict)


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
        limiter: Limiter,
        max_body_bytes: int,
        max_message_characters: int,
    ) -> None:
        self._door = door
        self._log = log
        self._intake = intake
        self._receipts = receipts
        self._tokenizer = tokenizer
        self._limiter = limiter
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
        """201 with the ids, in the order given. It costs a request and no tokens of the limits."""
        caller = await caller_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0)
        body = parse_object(await read_body(request, self._max_body_bytes))
        given = [self._given(one, place) for place, one in _parsed(body).items()]
        key = request.headers.get("idempotency-key")
        stored = await self._intake.store(caller.owner, given, key)
        items = [
            {"id": record.id, "object": "memory.message", "session_id": one.session}
            for one, record in zip(given, stored, strict=True)
        ]
        return json_response({"object": "list", "data": items}, 201, reservation.headers())

    async def sessions(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        limit, after = _page(request)
        if after is not None and not DOCUMENT_ID.fullmatch(after):
            raise _unknown_after()
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
        limit, after = _page(request)
        records = await self._log.messages(caller.owner, session)
        start = _after(records, after)
        page = records[start : start + limit]
        has_more = start + limit < len(records)
        return json_response(
            {
                "object": "list",
                "data": [message_told(record, session) for record in page],
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

    def _given(self, message: GivenMessage, place: str) -> Given:
        """All that could be refused is refused here, before the first message is stored."""
        check_size(message.content, message.metadata, self._max_message_characters, place)
        tokens = MESSAGE_OVERHEAD_TOKENS + self._tokenizer.count(message.content)
        return Given(
            role=message.role,
            content=message.content,
            session=checked_session(message.session_id, f"{place}session_id"),
            tokens=tokens,
            at=_epoch(message.at),
            metadata=message.metadata,
        )


def check_size(
    content: str, metadata: Mapping[str, Any], max_characters: int, place: str = ""
) -> None:
    """Raises `TooLarge` for what one message may not take; `place` begins the error's `param`."""
    if len(content) > max_characters:
        raise _too_large(f"{max_characters} characters", place)
    if RECORD_BYTES + len(orjson.dumps([content, metadata])) > MESSAGE_BYTES:
        raise _too_large(f"{MESSAGE_BYTES // 1024} KiB", place)


def _too_large(bound: str, place: str) -> TooLarge:
    return TooLarge(
        f"A message may take {bound} here.", param=f"{place}content", code="message_too_large"
    )


def _parsed(body: dict[str, Any]) -> dict[str, GivenMessage]:
    """The messages of a batch, or the one message that the body is, by how a `param` begins."""
    if "messages" in body:
        messages = validated(Batch, body).messages
        return {f"messages[{i}].": message for i, message in enumerate(messages)}
    return {"": validated(GivenMessage, body)}


def validated(model: type[Model], body: dict[str, Any]) -> Model:
    """The body as `model`; the first thing wrong with it as a `BadRequest`."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(first["msg"] + ".", param=_param(first["loc"])) from None


def _param(location: tuple[int | str, ...]) -> str:
    if location[-1] == "[key]":  # pydantic's mark; the key before it is too long to repeat
        location = location[:-2]
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


def _after(records: Sequence[Record], id: str | None) -> int:
    """Where the page behind that message begins."""
    if id is None:
        return 0
    for place, record in enumerate(records, start=1):
        if record.id == id:
            return place
    raise _unknown_after()


def _unknown_after() -> BadRequest:
    return BadRequest("'after' is the 'next' of the page before.", param="after")


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


def message_told(record: Record, session: str | None) -> dict[str, Any]:
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
        "pin": record.pin,
        "metadata": dict(record.metadata),
        **record.extras,
    }
    if record.receipt:
        message["receipt_id"] = record.receipt["id"]
    return message
