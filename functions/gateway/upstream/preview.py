"""The upstream of a gateway that has none: it answers with what it would have sent.

OpenAI's shapes, whole and streamed, so that a client sees the entire path work without an account.
https://platform.openai.com/docs/api-reference/chat/object
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound
from gateway.upstream.base import UpstreamRequest, UpstreamResponse
from gateway.upstream.preview_responses import Response, as_messages
from gateway.upstream.sse import encode

MODEL = {"id": "preview", "object": "model", "created": 0, "owned_by": "memory-ops"}
MOST_CHOICES = 128  # OpenAI's own bound on `n`
QUOTED_CHARACTERS = 200
TOKENS_PER_MESSAGE = 3  # https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
TOKENS_BEFORE_THE_ANSWER = 3
EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)

Json = dict[str, Any]


class PreviewUpstream:
    """`memory_opening` is how the text of a message of remembered lines begins."""

    answers_are_memories = False

    def __init__(
        self, count_tokens: Callable[[str], int], memory_opening: str, clock: Callable[[], float]
    ) -> None:
        self._count_tokens = count_tokens
        self._memory_opening = memory_opening
        self._clock = clock

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        try:
            return self._answer(request)
        except GatewayError as error:
            return _json(error.body(), error.status)

    async def close(self) -> None:
        pass

    def _answer(self, request: UpstreamRequest) -> UpstreamResponse:
        path, _, name = request.path.strip("/").partition("/")
        match request.method.upper(), path, name:
            case "POST", "chat", "completions":
                return self._complete(request.body)
            case "GET", "models", "":
                return _json({"object": "list", "data": [MODEL]})
            case "GET", "models", _:
                return _model(name)
            case "POST", "responses", "":
                return self._respond(request.body)
            case (_, "chat", "completions") | (_, "responses", "") | (_, "models", _):
                raise MethodNotAllowed(f"Not allowed: {request.method} /v1/{request.path}.")
        raise NotFound(f"Invalid URL ({request.method} /v1/{request.path})", code="unknown_url")

    def _complete(self, body: bytes) -> UpstreamResponse:
        asked = _parsed(body)
        sent = _read(asked.get("messages"), self._memory_opening, self._count_tokens)
        text = _report(sent)
        choices = _choices(asked.get("n"))
        answer = _Completion(
            id=f"chatcmpl-preview-{hashlib.sha256(body).hexdigest()[:24]}",
            created=int(self._clock()),
            model=_text(asked.get("model")) or "preview",
            text=text,
            choices=choices,
            usage=_usage(
                prompt=sum(line.tokens for line in sent)
                + TOKENS_BEFORE_THE_ANSWER
                + _tokens_of(asked.get("tools"), self._count_tokens),
                completion=choices * self._count_tokens(text),
            ),
        )
        if asked.get("stream") is not True:
            return _json(answer.whole())
        events = [*(orjson.dumps(chunk) for chunk in answer.chunks(_wants_usage(asked))), b"[DONE]"]
        return PreviewResponse(200, dict(EVENTS), [encode(event) for event in events])

    def _respond(self, body: bytes) -> UpstreamResponse:
        asked = _parsed(body)
        sent = _read(as_messages(asked), self._memory_opening, self._count_tokens)
        text = _report(sent)
        answer = Response(
            id=hashlib.sha256(body).hexdigest()[:24],
            created=int(self._clock()),
            model=_text(asked.get("model")) or "preview",
            text=text,
            asked=asked,
            input_tokens=sum(line.tokens for line in sent)
            + TOKENS_BEFORE_THE_ANSWER
            + _tokens_of(asked.get("tools"), self._count_tokens),
            output_tokens=self._count_tokens(text),
        )
        if asked.get("stream") is not True:
            return _json(answer.whole())
        return PreviewResponse(200, dict(EVENTS), [*answer.events()])


@dataclass(slots=True)
class PreviewResponse:
    status: int
    headers: Mapping[str, str]
    pieces: list[bytes]

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def read(self) -> bytes:
        return b"".join(self.pieces)

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Message:
    """A message as it would have been sent; `remembered` when it is the block of memories."""

    role: str
    text: str
    tokens: int
    remembered: list[Json] | None


@dataclass(frozen=True, slots=True)
class _Completion:
    id: str
    created: int
    model: str
    text: str
    choices: int
    usage: Json

    def whole(self) -> Json:
        message: Json = {
            "role": "assistant",
            "content": self.text,
            "refusal": None,
            "annotations": [],
        }
        choices: list[Json] = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
            for index in range(self.choices)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self.usage}

    def chunks(self, with_usage: bool) -> Iterator[Json]:
        """With the usage asked for, every chunk has the field and only the last one a value."""
        head = self._head("chat.completion.chunk")
        no_usage: Json = {"usage": None} if with_usage else {}
        for delta, finish_reason in self._deltas():
            for index in range(self.choices):
                choice = {
                    "index": index,
                    "delta": delta,
                    "logprobs": None,
                    "finish_reason": finish_reason,
                }
                yield {**head, "choices": [choice], **no_usage}
        if with_usage:
            yield {**head, "choices": [], "usage": self.usage}

    def _deltas(self) -> Iterator[tuple[Json, str | None]]:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        for line in self.text.splitlines(keepends=True):
            yield {"content": line}, None
        yield {}, "stop"

    def _head(self, kind: str) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_preview",
        }


def _report(sent: list[_Message]) -> str:
    """The answer, in lines that a person reads."""
    remembered = [line for message in sent for line in message.remembered or ()]
    asked = [m.text for m in sent if m.role == "user" and m.remembered is None]
    lines = [
        "This is a preview: no upstream is configured, so no model has answered.",
        "Set UPSTREAM_BASE (and UPSTREAM_API_KEY) to have one answer.",
        "",
        f"Would have been sent: {_amount(sent)}.",
        *_by_role(sent),
    ]
    if asked:
        lines += ["", "The last user message begins:", asked[-1][:QUOTED_CHARACTERS]]
    lines += ["", f"Remembered lines: {len(remembered)}", *map(_remembered_line, remembered)]
    return "\n".join(lines)


def _by_role(sent: list[_Message]) -> Iterator[str]:
    for role in Counter(message.role for message in sent):
        yield f"- {role}: {_amount([message for message in sent if message.role == role])}"


def _amount(messages: list[_Message]) -> str:
    count, tokens = len(messages), sum(message.tokens for message in messages)
    return f"{count} {'message' if count == 1 else 'messages'}, {tokens} tokens"


def _remembered_line(line: Json) -> str:
    words = {
        name: " ".join(_text(line.get(name)).split()) for name in ("id", "role", "date", "text")
    }
    return "- [{date}] {role}: {text} ({id})".format_map(words)


def _read(messages: Any, memory_opening: str, count: Callable[[str], int]) -> list[_Message]:
    """Whatever was sent, as far as it makes sense; what does not is counted as an empty message."""
    return [
        _message(message if isinstance(message, dict) else {}, memory_opening, count)
        for message in (messages if isinstance(messages, list) else [])
    ]


def _message(message: Json, memory_opening: str, count: Callable[[str], int]) -> _Message:
    role, content = _text(message.get("role")) or "unknown", message.get("content")
    text = "\n".join(_texts(content))
    tokens = TOKENS_PER_MESSAGE + count(role) + count(text)
    tokens += _tokens_of(message.get("tool_calls"), count)
    is_memory = isinstance(content, str) and content.startswith(memory_opening)
    body = text.removeprefix(memory_opening)
    return _Message(role, text, tokens, list(_json_lines(body)) if is_memory else None)


def _tokens_of(value: Any, count: Callable[[str], int]) -> int:
    try:
        return count(orjson.dumps(value).decode()) if value else 0
    except orjson.JSONEncodeError:  # orjson reads 1,024 levels and writes 254
        raise BadRequest("The body of the request is nested too deeply.") from None


def _texts(content: Any) -> Iterable[str]:
    """Media parts have no text and are never counted by their base64."""
    if isinstance(content, list):
        return [_text(part.get("text")) for part in content if isinstance(part, dict)]
    return [_text(content)]


def _json_lines(body: str) -> Iterator[Json]:
    for line in body.split("\n"):  # splitlines would cut at U+2028, which JSON may hold
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def _parsed(body: bytes) -> Json:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("The body of the request is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise BadRequest("The body of the request is not a JSON object.")
    return asked


def _choices(n: Any) -> int:
    return min(max(n, 1), MOST_CHOICES) if type(n) is int else 1


def _wants_usage(asked: Json) -> bool:
    options = asked.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _usage(prompt: int, completion: int) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _model(name: str) -> UpstreamResponse:
    if name != MODEL["id"]:
        raise NotFound(f"The model '{name}' does not exist", param="model", code="model_not_found")
    return _json(MODEL)


def _json(body: Mapping[str, Any], status: int = 200) -> UpstreamResponse:
    return PreviewResponse(status, {"content-type": "application/json"}, [orjson.dumps(body)])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
