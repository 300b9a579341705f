"""A Responses request checked and read, without changing a byte of what is passed on.

Follows https://platform.openai.com/docs/api-reference/responses/create. Fields we do not know are
none of our business and go through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.chat.wire import (
    MAX_COUNT,
    MAX_MESSAGES,
    MAX_MODEL_CHARACTERS,
    ROLES,
    ChatRequest,
    Message,
    parse_object,
)
from gateway.errors import BadRequest, TooLarge
from gateway.responses.items import CALLS, KNOWN, OUTPUTS, Item, grouped, kind_of

SPEAKERS = tuple(role for role in ROLES if role not in {"tool", "function"})


@dataclass(frozen=True, slots=True)
class ResponsesRequest(ChatRequest):
    """`sources` are the items of each message; of `instructions`, which stay where they are, none.

    `mapped`: every item is of a kind that a memory can make sense of.
    """

    sources: Sequence[Sequence[Item]] = ()
    mapped: bool = True

    @property
    def wants_usage(self) -> bool:
        """It comes without being asked for."""
        return True

    @property
    def max_completion_tokens(self) -> int | None:
        limit = self.payload.get("max_output_tokens")
        return limit if isinstance(limit, int) else None

    @property
    def choices(self) -> int:
        return 1

    @property
    def stores(self) -> bool:
        return self.payload.get("store") is not False

    @property
    def chained(self) -> bool:
        return bool(self.payload.get("previous_response_id"))


def parse_responses(body: bytes) -> ResponsesRequest:
    """Raises `BadRequest` and `TooLarge`."""
    payload = parse_object(body)
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("You must provide a model.", param="model")
    if len(model) > MAX_MODEL_CHARACTERS:
        raise BadRequest(f"'model' takes {MAX_MODEL_CHARACTERS} characters.", param="model")
    _check_fields(payload)
    items = _items(payload.get("input"))
    groups = grouped(items)
    messages: list[Message] = [one.message for one in groups]
    sources: list[Sequence[Item]] = [one.items for one in groups]
    if instructions := payload.get("instructions"):
        messages.insert(0, {"role": "system", "content": instructions})
        sources.insert(0, ())
    mapped = all(kind_of(item) in KNOWN for item in items)
    return ResponsesRequest(body, payload, messages, sources, mapped)


def _check_fields(payload: Mapping[str, Any]) -> None:
    if not isinstance(payload.get("instructions"), str | None):
        raise BadRequest("'instructions' must be a string.", param="instructions")
    if not isinstance(payload.get("previous_response_id"), str | None):
        raise BadRequest("'previous_response_id' must be a string.", param="previous_response_id")
    for name in ("stream", "store", "background"):
        if not isinstance(payload.get(name), bool | None):
            raise BadRequest(f"'{name}' must be a boolean.", param=name)
    if not isinstance(payload.get("tools"), list | None):
        raise BadRequest("'tools' must be an array.", param="tools")
    limit = payload.get("max_output_tokens")
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MAX_COUNT:
        raise BadRequest(
            f"'max_output_tokens' must be an integer from 0 to {MAX_COUNT}.",
            param="max_output_tokens",
        )


def _items(given: Any) -> list[Item]:
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("'input' must be a text or a non-empty array of items.", param="input")
    if len(given) > MAX_MESSAGES:
        raise TooLarge(f"'input' holds more than {MAX_MESSAGES} items.", param="input")
    for i, item in enumerate(given):
        _check_item(item, f"input[{i}]")
    return given


def _check_item(item: Any, param: str) -> None:
    if not isinstance(item, dict):
        raise BadRequest(f"'{param}' must be an object.", param=param)
    if not isinstance(item.get("type"), str | None):
        raise BadRequest(f"'{param}.type' must be a string.", param=f"{param}.type")
    kind = kind_of(item)
    if kind == "message":
        if item.get("role") not in SPEAKERS:
            words = ", ".join(SPEAKERS)
            raise BadRequest(f"'{param}.role' must be one of {words}.", param=f"{param}.role")
        _check_content(item.get("content"), f"{param}.content")
    if kind in OUTPUTS:
        _check_content(item.get("output"), f"{param}.output")
    if kind in {*CALLS, *OUTPUTS} and not isinstance(item.get("call_id"), str):
        raise BadRequest(f"'{param}.call_id' must be a string.", param=f"{param}.call_id")


def _check_content(content: Any, param: str) -> None:
    if not isinstance(content, str | list):
        raise BadRequest(f"'{param}' must be a string or an array of parts.", param=param)
    for k, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise BadRequest(
                f"'{param}[{k}]' must be an object with a type.", param=f"{param}[{k}]"
            )
