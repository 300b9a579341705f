"""The dialect of `/v1/responses`: https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import orjson

from gateway.chat.completion import Completion
from gateway.chat.outgoing import exact_fields, written
from gateway.chat.prompt import Prompt
from gateway.chat.wire import ChatRequest, Message
from gateway.errors import GatewayError
from gateway.responses.completion import ResponsesCompletion
from gateway.responses.items import Item, items_of
from gateway.responses.wire import ResponsesRequest


class Responses:
    """Of one request, whose items it lays out again."""

    path = "responses"

    def __init__(self, request: ResponsesRequest) -> None:
        counted = zip(request.messages, request.sources, strict=True)
        self._sources = {id(message): items for message, items in counted}

    def body(self, request: ChatRequest, prompt: Prompt) -> bytes:
        """The request's own items as they came; the others, remembered ones, between them."""
        if not prompt.changed:
            return request.raw
        return written({**exact_fields(request), "input": list(self._laid_out(prompt))})

    def begun(self) -> Completion:
        return ResponsesCompletion()

    def whole(self, body: bytes) -> Completion | None:
        return ResponsesCompletion.parsed(body)

    def says(self, chunk: Mapping[str, Any]) -> bool:
        return str(chunk.get("type")).endswith(".delta")

    def told(self, error: GatewayError, completion: Completion) -> bytes:
        sequence = completion.sequence if isinstance(completion, ResponsesCompletion) else -1
        event = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": sequence + 1,
        }
        return b"event: error\ndata: %b\n\n" % orjson.dumps(event)

    def _laid_out(self, prompt: Prompt) -> Iterator[Item]:
        for own, messages in groupby(prompt.messages, self._is_own):
            if own:
                for message in messages:
                    yield from self._sources[id(message)]
            else:
                yield from items_of(list(messages))

    def _is_own(self, message: Message) -> bool:
        return id(message) in self._sources
