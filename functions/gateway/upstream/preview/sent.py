"""What would have been sent, read as far as it makes sense, and counted. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import BadRequest

TOKENS_PER_MESSAGE = 3  # https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
TOKENS_BEFORE_THE_ANSWER = 3

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it would have been sent; `remembered` when it is the block of memories."""

    role: str
    text: str
    tokens: int
    remembered: list[Json] | None


@dataclass(frozen=True, slots=True)
class Sent:
    """`tokens` of all of it, tools included."""

    messages: list[Message]
    tokens: int


def read(messages: Any, tools: Any, memory_opening: str, count: Callable[[str], int]) -> Sent:
    """Whatever was sent, as far as it makes sense; what does not is counted as an empty message.

    Raises `BadRequest` for what is nested too deeply to be counted.
    """
    given = messages if isinstance(messages, list) else []
    told = [_message(one if isinstance(one, dict) else {}, memory_opening, count) for one in given]
    tokens = sum(one.tokens for one in told) + TOKENS_BEFORE_THE_ANSWER
    return Sent(told, tokens + _tokens_of(tools, count))


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _message(message: Json, memory_opening: str, count: Callable[[str], int]) -> Message:
    role, content = text_of(message.get("role")) or "unknown", message.get("content")
    text = "\n".join(_texts(content))
    tokens = TOKENS_PER_MESSAGE + count(role) + count(text)
    tokens += _tokens_of(message.get("tool_calls"), count)
    is_memory = isinstance(content, str) and content.startswith(memory_opening)
    body = text.removeprefix(memory_opening)
    return Message(role, text, tokens, list(_json_lines(body)) if is_memory else None)


def _tokens_of(value: Any, count: Callable[[str], int]) -> int:
    try:
        return count(orjson.dumps(value).decode()) if value else 0
    except orjson.JSONEncodeError:  # orjson reads 1,024 levels and writes 254
        raise BadRequest("The body of the request is nested too deeply.") from None


def _texts(content: Any) -> Iterable[str]:
    """Media parts have no text and are never counted by their base64."""
    if isinstance(content, list):
        return [text_of(part.get("text")) for part in content if isinstance(part, dict)]
    return [text_of(content)]


def _json_lines(body: str) -> Iterator[Json]:
    for line in body.split("\n"):  # splitlines would cut at U+2028, which JSON may hold
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value
