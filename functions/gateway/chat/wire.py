"""OpenAI's words: a chat request checked and read, without changing a byte of what is passed on.

Follows https://platform.openai.com/docs/api-reference/chat/create. Fields we do not know are none
of our business and go through.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import BadRequest, TooLarge
from gateway.memory.records import Record
from gateway.memory.segments import MESSAGE_BYTES
from gateway.tokens.base import Tokenizer

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
INSTRUCTIONS = ("system", "developer")
MAX_MESSAGES = 20_000
LARGE_BYTES = 256 * 1024  # of a body, whose tokens are counted beside the loop
MAX_NESTING = 128  # orjson reads 1024 levels and writes 254, some of them around what is stored
MAX_COUNT = 10_000_000  # of tokens or choices; their product still fits where tokens are counted
MEDIA_TOKENS = 765  # one 1024x1024 picture at high detail in OpenAI's own arithmetic
RECORD_BYTES = 64 * 1024  # for what a record holds beside the message, its receipt above all
MAX_MODEL_CHARACTERS = 256
MEDIA_NOTE = "[{type}, {bytes} bytes, not kept]"
MESSAGE_OVERHEAD_TOKENS = 4  # <|im_start|>{role}\n ... <|im_end|>\n
REPLY_PRIMING_TOKENS = 3

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`raw` is the body as it came, `payload` the same parsed."""

    raw: bytes
    payload: Mapping[str, Any]
    messages: Sequence[Message]

    @property
    def model(self) -> str:
        return str(self.payload["model"])

    @property
    def stream(self) -> bool:
        return bool(self.payload.get("stream"))

    @property
    def wants_usage(self) -> bool:
        options = self.payload.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))

    @property
    def max_completion_tokens(self) -> int | None:
        for name in ("max_completion_tokens", "max_tokens"):
            if isinstance(limit := self.payload.get(name), int):
                return limit * self.choices
        return None

    @property
    def stores(self) -> bool:
        """Whether the upstream keeps the answer where its id finds it again."""
        return False

    @property
    def chained(self) -> bool:
        """Whether the upstream itself goes on from an answer that it has kept."""
        return False

    @property
    def choices(self) -> int:
        n = self.payload.get("n")
        return n if isinstance(n, int) and n > 0 else 1


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `BadRequest`; lone surrogates and bottomless nesting are malformed."""
    if not body.strip():
        raise BadRequest("The request body is empty; a JSON object is expected.")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"The request body is not valid JSON (line {error.lineno}, column {error.colno})."
        ) from None
    if not isinstance(payload, dict):
        raise BadRequest("The request body must be a JSON object.")
    if body.count(b"{") + body.count(b"[") > MAX_NESTING:
        _check_nesting(payload)
    return payload


def _check_nesting(payload: Any) -> None:
    level = [payload]
    for _ in range(MAX_NESTING):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for values in inside for one in values if isinstance(one, dict | list)]
        if not level:
            return
    raise BadRequest(f"The request body nests more than {MAX_NESTING} levels deep.")


def parse_chat(body: bytes, *, needs_model: bool = True) -> ChatRequest:
    payload = parse_object(body)
    if needs_model and not (isinstance(payload.get("model"), str) and payload["model"]):
        raise BadRequest("You must provide a model.", param="model")
    if len(str(payload.get("model", ""))) > MAX_MODEL_CHARACTERS:
        raise BadRequest(f"'model' takes {MAX_MODEL_CHARACTERS} characters.", param="model")
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a non-empty array.", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise TooLarge(f"'messages' holds more than {MAX_MESSAGES} messages.", param="messages")
    for i, message in enumerate(messages):
        _check_message(message, f"messages[{i}]")
    for name in ("max_tokens", "max_completion_tokens", "n"):
        _check_count(payload.get(name), name)
    if not isinstance(payload.get("stream", False), bool | None):
        raise BadRequest("'stream' must be a boolean.", param="stream")
    if not isinstance(payload.get("stream_options"), dict | None):
        raise BadRequest("'stream_options' must be an object.", param="stream_options")
    return ChatRequest(body, payload, messages)


def _check_message(message: Any, param: str) -> None:
    if not isinstance(message, dict):
        raise BadRequest(f"'{param}' must be an object.", param=param)
    if message.get("role") not in ROLES:
        raise BadRequest(
            f"'{param}.role' must be one of {', '.join(ROLES)}.", param=f"{param}.role"
        )
    content = message.get("content")
    if not isinstance(content, str | list | None):
        raise BadRequest(
            f"'{param}.content' must be a string, an array of parts or null.",
            param=f"{param}.content",
        )
    for k, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise BadRequest(
                f"'{param}.content[{k}]' must be an object with a type.",
                param=f"{param}.content[{k}]",
            )
    if not isinstance(message.get("tool_calls"), list | None):
        raise BadRequest(f"'{param}.tool_calls' must be an array.", param=f"{param}.tool_calls")


def _check_count(value: Any, name: str) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise BadRequest(f"'{name}' must be an integer from 0 to {MAX_COUNT}.", param=name)


def check_sizes(messages: Sequence[Message]) -> None:
    """Refuse, before any money is spent, what no document could hold."""
    for i, message in enumerate(messages):
        if _stored_bytes(message) > MESSAGE_BYTES - RECORD_BYTES:
            raise TooLarge(
                f"A message may take {MESSAGE_BYTES // 1024} KiB to be remembered;"
                " send it with `X-Memory: off`, or in parts.",
                param=f"messages[{i}].content",
                code="message_too_large",
            )


def _stored_bytes(message: Message) -> int:
    """What a message's text and extras take as JSON, where control characters are escaped."""
    text, extras = text_of(message), extras_of(message)
    longest = 6 * len(text)  # a control character becomes six bytes, any other at most four
    if not extras and longest <= MESSAGE_BYTES - RECORD_BYTES:
        return longest
    return len(orjson.dumps([text, extras]))


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts and refusals one after another."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts = [_part_text(part) for part in content or ()]
    if isinstance(refusal := message.get("refusal"), str):
        texts.append(refusal)
    return "\n".join(text for text in texts if text)


def _part_text(part: Mapping[str, Any]) -> str:
    for name in ("text", "refusal"):
        if isinstance(text := part.get(name), str):
            return text
    return ""


def media_of(message: Message) -> list[dict[str, Any]]:
    """Digest, type and size of every part that is not text; never its bytes."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    found = []
    for part in parts:
        if part["type"] not in {"text", "refusal", "input_text"}:
            encoded = orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
            digest = hashlib.sha256(encoded).hexdigest()[:32]
            found.append({"type": part["type"], "digest": digest, "bytes": len(encoded)})
    return found


def tool_ids(message: Message) -> tuple[str, ...]:
    """Ids that tell tool messages apart, and the digests of media, for the content hash."""
    calls = message.get("tool_calls") or ()
    ids = [str(call.get("id")) for call in calls if isinstance(call, dict)]
    if message.get("tool_call_id"):
        ids.append(str(message["tool_call_id"]))
    return (*ids, *(medium["digest"] for medium in media_of(message)))


def extras_of(message: Message) -> dict[str, Any]:
    """What a stored message keeps beside role and text, so that it can be sent again."""
    extras = {
        name: message[name]
        for name in ("name", "tool_calls", "tool_call_id", "function_call")
        if message.get(name)
    }
    if media := media_of(message):
        extras["media"] = media
    return extras


def message_of(record: Record) -> Message:
    """A stored message in OpenAI's words; media were not kept and are named instead."""
    media = record.extras.get("media", ())
    notes = [MEDIA_NOTE.format(**medium) for medium in media]
    content = "\n".join(text for text in (record.content, *notes) if text)
    extras = {name: value for name, value in record.extras.items() if name != "media"}
    return {"role": record.role, "content": content or None, **extras}


def count_message(message: Message, tokenizer: Tokenizer) -> int:
    """Tokens of one message in OpenAI's chat format; media count as a constant."""
    tokens = MESSAGE_OVERHEAD_TOKENS + tokenizer.count(text_of(message))
    for name in ("tool_calls", "function_call"):
        if message.get(name):
            tokens += tokenizer.count(orjson.dumps(message[name]).decode())
    if isinstance(speaker := message.get("name"), str):
        tokens += 1 + tokenizer.count(speaker)
    return tokens + MEDIA_TOKENS * len(media_of(message))


def count_extras(payload: Mapping[str, Any], tokenizer: Tokenizer) -> int:
    """Tokens of what is sent beside the messages: tools and a response schema."""
    named = [payload[name] for name in ("tools", "functions", "response_format") if name in payload]
    if isinstance(text := payload.get("text"), dict) and "format" in text:  # of `/v1/responses`
        named.append(text["format"])
    return REPLY_PRIMING_TOKENS + sum(tokenizer.count(orjson.dumps(one).decode()) for one in named)
