"""Messages handed in: a past to import, a note to keep. And how a message is told."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS, parse_object
from gateway.errors import BadRequest, TooLarge
from gateway.identity.base import Authenticator, Identity
from gateway.limits.limiter import Limiter
from gateway.memory.intake import Given, Intake
from gateway.memory.records import Record
from gateway.memory.segments import MESSAGE_BYTES
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.retention.decisions import OVERRIDE, override_of
from gateway.routes.requests import checked_session, idempotency_key_of, own, read_body, storer_of
from gateway.routes.responses import json_response
from gateway.tokens.base import Tokenizer

MAX_BATCH = 500
DEFAULT_SESSION = "notes"
KEY_CHARACTERS = 64
VALUE_CHARACTERS = 512
METADATA_NAMES = 16
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
Metadata = Annotated[dict[Key, Value], Field(max_length=METADATA_NAMES)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class GivenMessage(BaseModel):
    """One message of `POST /v1/messages`; its times are epoch seconds or ISO 8601.

    A `pin` is kept for good, up to `expires_at`; `importance_override` stands for the computed one.
    """

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "tool", "system"] = "user"
    content: str = Field(min_length=1)
    session_id: str = Field(
        DEFAULT_SESSION,
        validation_alias=AliasChoices("session_id", "session", "thread_id", "conversation_id"),
    )
    at: datetime | None = None
    metadata: Metadata = Field(default_factory=dict)
    importance_override: Share | None = None
    expires_at: datetime | None = None
    pin: StrictBool = False


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    messages: list[GivenMessage] = Field(min_length=1, max_length=MAX_BATCH)


class MemoryRoutes:
    def __init__(
        self,
        door: Authenticator,
        intake: Intake,
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
        self._tokenizer = tokenizer
        self._clock = clock
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes
        self._max_message_characters = max_message_characters

    def routes(self) -> list[Route]:
        return [Route("/v1/messages", self.store, methods=["POST"])]

    async def store(self, request: Request) -> Response:
        """201 with the ids, in the order given. It costs a request and no tokens of the limits."""
        caller = await storer_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = parse_object(await read_body(request, self._max_body_bytes))
        parsed = _parsed(body, caller)
        redactor = await self._redaction.of(caller.owner)
        await redactor.read([one.content for one in parsed.values()])
        given = [self._given(one, place, redactor) for place, one in parsed.items()]
        key = idempotency_key_of(request, caller)
        stored = await self._intake.store(caller.owner, given, key)
        items = [
            {"id": record.id, "object": "memory.message", "session_id": one.session}
            for one, record in zip(given, stored, strict=True)
        ]
        headers = {**redactor.headers(), **reservation.headers()}
        return json_response({"object": "list", "data": items}, 201, headers)

    def _given(self, message: GivenMessage, place: str, redactor: Redactor) -> Given:
        """All that could be refused is refused here, before the first message is stored."""
        metadata = with_override(message.metadata, message.importance_override, place)
        check_size(message.content, metadata, self._max_message_characters, place)
        content = redactor.text(message.content)
        return Given(
            role=message.role,
            content=content,
            said=message.content,
            session=checked_session(message.session_id, f"{place}session_id"),
            tokens=MESSAGE_OVERHEAD_TOKENS + self._tokenizer.count(content),
            at=epoch_of(message.at),
            metadata=redactor.value(metadata),
            expires_at=ending(message.expires_at, self._clock(), place),
            pin=message.pin,
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


def with_override(
    metadata: Mapping[str, Any], override: float | None, place: str = ""
) -> Mapping[str, Any]:
    """The metadata with the importance that was given, which is kept and exported among them.

    Raises `BadRequest` where there is no room for it.
    """
    if override is None:
        return metadata
    return checked_names({**metadata, OVERRIDE: override}, place)


def checked_names(metadata: Mapping[str, Any], place: str = "") -> Mapping[str, Any]:
    """Raises `BadRequest` for metadata of more names than there is room for."""
    if len(metadata) > METADATA_NAMES:
        raise BadRequest(
            f"There is room for {METADATA_NAMES} names, with an 'importance_override' and an"
            " item's type among them.",
            param=f"{place}metadata",
        )
    return metadata


def ending(at: datetime | None, now: float, place: str = "") -> float | None:
    """Raises `BadRequest` for a moment that is past: an old date is a mistake."""
    moment = epoch_of(at)
    if moment is not None and moment <= now:
        raise BadRequest("'expires_at' is a moment in the future.", param=f"{place}expires_at")
    return moment


def _parsed(body: dict[str, Any], caller: Identity) -> dict[str, GivenMessage]:
    """The messages of a batch, or the one message that the body is, by how a `param` begins."""
    body = own(body, caller)
    if "messages" not in body:
        return {"": validated(GivenMessage, body)}
    if isinstance(given := body["messages"], list):
        body["messages"] = [own(one, caller) if isinstance(one, dict) else one for one in given]
    messages = validated(Batch, body).messages
    return {f"messages[{i}].": message for i, message in enumerate(messages)}


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


def epoch_of(at: datetime | None) -> float | None:
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def message_told(record: Record, session: str | None) -> dict[str, Any]:
    """An override is told beside the metadata that keep it."""
    override, metadata = override_of(record), dict(record.metadata)
    if override is not None:
        del metadata[OVERRIDE]
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
        "expires_at": record.expires_at,
        "importance_override": override,
        "metadata": metadata,
        **record.extras,
    }
    if record.receipt:
        message["receipt_id"] = record.receipt["id"]
    return message
