"""The dialect of `/v1/chat/completions`: https://platform.openai.com/docs/api-reference/chat."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.chat.completion import Completion
from gateway.chat.outgoing import body_of
from gateway.chat.prompt import Prompt
from gateway.chat.wire import ChatRequest
from gateway.errors import GatewayError
from gateway.upstream.sse import encode

ANSWERING = ("content", "tool_calls", "reasoning_content", "reasoning", "refusal")


class ChatCompletions:
    path = "chat/completions"

    def body(self, request: ChatRequest, prompt: Prompt) -> bytes:
        return body_of(request, prompt)

    def begun(self) -> Completion:
        return Completion()

    def whole(self, body: bytes) -> Completion | None:
        return Completion.parsed(body)

    def says(self, chunk: Mapping[str, Any]) -> bool:
        """The first chunk often has but the role."""
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return False
        deltas = [one.get("delta") for one in choices if isinstance(one, dict)]
        return any(
            isinstance(delta, dict) and any(delta.get(name) for name in ANSWERING)
            for delta in deltas
        )

    def told(self, error: GatewayError, completion: Completion) -> bytes:
        return encode(orjson.dumps(error.body()))
