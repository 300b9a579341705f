"""The upstream of a gateway that has none: it answers with what it would have sent.

OpenAI's shapes, whole and streamed, so that a client sees the entire path work without an account.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound
from gateway.upstream.base import UpstreamRequest, UpstreamResponse
from gateway.upstream.preview.completions import Completion, choices_of, wants_usage
from gateway.upstream.preview.report import report
from gateway.upstream.preview.responses import Response, as_messages
from gateway.upstream.preview.sent import Sent, read, text_of

MODEL = {"id": "preview", "object": "model", "created": 0, "owned_by": "memory-ops"}

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
        sent = self._sent(asked.get("messages"), asked)
        text, choices = report(sent.messages), choices_of(asked.get("n"))
        answer = Completion(
            id=f"chatcmpl-preview-{_digest(body)}",
            created=int(self._clock()),
            model=text_of(asked.get("model")) or "preview",
            text=text,
            choices=choices,
            prompt_tokens=sent.tokens,
            completion_tokens=choices * self._count_tokens(text),
        )
        if asked.get("stream") is not True:
            return _json(answer.whole())
        return _streamed(answer.events(with_usage=wants_usage(asked)))

    def _respond(self, body: bytes) -> UpstreamResponse:
        asked = _parsed(body)
        sent = self._sent(as_messages(asked), asked)
        text = report(sent.messages)
        answer = Response(
            id=_digest(body),
            created=int(self._clock()),
            model=text_of(asked.get("model")) or "preview",
            text=text,
            asked=asked,
            input_tokens=sent.tokens,
            output_tokens=self._count_tokens(text),
        )
        if asked.get("stream") is not True:
            return _json(answer.whole())
        return _streamed(answer.events())

    def _sent(self, messages: Any, asked: Json) -> Sent:
        return read(messages, asked.get("tools"), self._memory_opening, self._count_tokens)


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


def _parsed(body: bytes) -> Json:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("The body of the request is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise BadRequest("The body of the request is not a JSON object.")
    return asked


def _digest(body: bytes) -> str:
    """The same request has the same answer."""
    return hashlib.sha256(body).hexdigest()[:24]


def _model(name: str) -> UpstreamResponse:
    if name != MODEL["id"]:
        raise NotFound(f"The model '{name}' does not exist", param="model", code="model_not_found")
    return _json(MODEL)


def _json(body: Mapping[str, Any], status: int = 200) -> UpstreamResponse:
    return PreviewResponse(status, {"content-type": "application/json"}, [orjson.dumps(body)])


def _streamed(events: Iterable[bytes]) -> UpstreamResponse:
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return PreviewResponse(200, headers, [*events])
