"""Items: messages, notes, facts and summaries as one kind of thing, on top of the message log.

An item is a message whose metadata name its type; what a chat said is an item of type `message`.
"""

import re
from collections.abc import Callable
from typing import Any, Literal, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS, parse_object
from gateway.errors import BadRequest, NotFound
from gateway.identity.base import Authenticator, Identity
from gateway.limits.limiter import Limiter
from gateway.memory.archived import Archived
from gateway.memory.edits import Edits
from gateway.memory.intake import Given, Intake
from gateway.memory.records import Record, session_key
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.routes.memory import DEFAULT_SESSION, check_size, validated
from gateway.routes.queries import moment_of
from gateway.routes.requests import (
    caller_of,
    checked_session,
    idempotency_key_of,
    own,
    read_body,
    storer_of,
)
from gateway.routes.responses import json_response
from gateway.search.newest import Newest, Page, Place
from gateway.tokens.base import Tokenizer

TYPE = "item_type"
MESSAGE = "message"
THREAD_NAMES = ("thread_id", "session_id", "session", "conversation_id")
PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
CURSOR = re.compile(r"(?:([0-9]{1,8})|tails)-([a-z0-9]{0,32})")

ItemType = Literal["message", "note", "fact", "summary"]


class NewItem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1)
    item_type: ItemType = "message"
    thread_id: str = Field(DEFAULT_SESSION, validation_alias=AliasChoices(*THREAD_NAMES))


class ItemRoutes:
    def __init__(
        self,
        door: Authenticator,
        intake: Intake,
        edits: Edits,
        archived: Archived,
        newest: Newest,
        tokenizer: Tokenizer,
        clock: Callable[[], float],
        *,
        limiter: Limiter,
        max_body_bytes: int,
        max_message_characters: int,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._door = door
        self._intake = intake
        self._edits = edits
        self._archived = archived
        self._newest = newest
        self._tokenizer = tokenizer
        self._clock = clock
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes
        self._max_message_characters = max_message_characters

    def routes(self) -> list[Route]:
        return [
            Route("/v1/items", self.store, methods=["POST"]),
            Route("/v1/items", self.page, methods=["GET"]),
            Route("/v1/items/{id}", self.read, methods=["GET"]),
        ]

    async def store(self, request: Request) -> Response:
        """201 with the item. It costs a request and no tokens of the limits."""
        caller = await storer_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        redactor = await self._redaction.of(caller.owner)
        given = self._given(validated(NewItem, body), redactor)
        key = idempotency_key_of(request, caller)
        (record,) = await self._intake.store(caller.owner, [given], key)
        headers = {**redactor.headers(), **reservation.headers()}
        return json_response(_told(record, given.session, caller), 201, headers)

    async def page(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        limit, start = _limit(request), _start(request)
        page = await self._newest.page(caller.owner, self._wanted(request), limit, start)
        return json_response(_listed(page, caller))

    async def read(self, request: Request) -> Response:
        """Also one that the cleanup has moved to the archive."""
        caller = await caller_of(request, self._door)
        try:
            record, session = await self._found(caller.owner, request.path_params["id"])
        except NotFound:
            raise _missing() from None
        if not self._alive(record):
            raise _missing()
        return json_response(_told(record, session, caller))

    async def _found(self, owner: str, id: str) -> tuple[Record, str | None]:
        try:
            found = await self._edits.get(owner, id)
        except NotFound:
            shelved = await self._archived.get(owner, id)
            return shelved.record, shelved.session
        return found.record, found.session

    def _given(self, item: NewItem, redactor: Redactor) -> Given:
        metadata = {} if item.item_type == MESSAGE else {TYPE: item.item_type}
        check_size(item.content, metadata, self._max_message_characters)
        content = redactor.text(item.content)
        return Given(
            role="user",
            content=content,
            said=item.content,
            session=checked_session(item.thread_id, "thread_id"),
            tokens=MESSAGE_OVERHEAD_TOKENS + self._tokenizer.count(content),
            metadata=metadata,
        )

    def _wanted(self, request: Request) -> Callable[[Record], bool]:
        thread, type = _thread(request), request.query_params.get(TYPE)
        since, until = moment_of(request, "since"), moment_of(request, "until")
        role = request.query_params.get("role")
        if type is not None and type not in get_args(ItemType):
            raise BadRequest(f"'{TYPE}' is one of {', '.join(get_args(ItemType))}.", param=TYPE)
        key = None if thread is None else session_key(thread)
        return lambda record: (
            record.state == "active"
            and self._alive(record)
            and key in {None, record.session}
            and type in {None, type_of(record)}
            and role in {None, record.role}
            and (since is None or record.at >= since)
            and (until is None or record.at < until)
        )

    def _alive(self, record: Record) -> bool:
        return record.expires_at is None or record.expires_at > self._clock()


def type_of(record: Record) -> str:
    """What a client's own metadata call otherwise is a message."""
    given = record.metadata.get(TYPE)
    return str(given) if given in get_args(ItemType) else MESSAGE


def _limit(request: Request) -> int:
    limit = request.query_params.get("limit", "20")
    if not PAGE_SIZE.fullmatch(limit):
        raise BadRequest("'limit' is a number from 1 to 100.", param="limit")
    return int(limit)


def _start(request: Request) -> Place:
    after = request.query_params.get("after")
    if after is None:
        return Place()
    if (cursor := CURSOR.fullmatch(after)) is None:
        raise BadRequest("'after' is the 'next' of the page before.", param="after")
    segment, id = cursor.groups()
    return Place(None if segment is None else int(segment), id)


def _thread(request: Request) -> str | None:
    asked = request.query_params
    given = [(name, asked[name]) for name in THREAD_NAMES if name in asked]
    if len(given) > 1:
        raise BadRequest("A thread has one name.", param=given[1][0])
    return checked_session(given[0][1], given[0][0]) if given else None


def _listed(page: Page, caller: Identity) -> dict[str, Any]:
    next = page.next
    cursor = None if next is None else f"{_segment(next)}-{next.id}"
    return {
        "object": "list",
        "data": [_told(one, page.sessions.get(one.session), caller) for one in page.records],
        "has_more": cursor is not None,
        "next": cursor,
    }


def _segment(place: Place) -> str:
    return "tails" if place.segment is None else str(place.segment)


def _told(record: Record, session: str | None, caller: Identity) -> dict[str, Any]:
    return {
        "id": record.id,
        "object": "item",
        "workspace_id": caller.workspace,
        "thread_id": session,
        "role": record.role,
        "content": record.content,
        TYPE: type_of(record),
        "pin": record.pin,
        "created_at": record.at,
    }


def _missing() -> NotFound:
    return NotFound("No such item.", code="ITEM_NOT_FOUND")
