"""The preview's answer in the shapes of chat completions, whole and streamed. Pure.

https://platform.openai.com/docs/api-reference/chat/object
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.upstream.sse import encode

MOST_CHOICES = 128  # OpenAI's own bound on `n`

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Completion:
    id: str
    created: int
    model: str
    text: str
    choices: int
    prompt_tokens: int
    completion_tokens: int

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
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    def events(self, *, with_usage: bool) -> Iterator[bytes]:
        """Each as one server-sent event."""
        for chunk in self._chunks(with_usage):
            yield encode(orjson.dumps(chunk))
        yield encode(b"[DONE]")

    def _chunks(self, with_usage: bool) -> Iterator[Json]:
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
            yield {**head, "choices": [], "usage": self._usage()}

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

    def _usage(self) -> Json:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def choices_of(n: Any) -> int:
    return min(max(n, 1), MOST_CHOICES) if type(n) is int else 1


def wants_usage(asked: Json) -> bool:
    options = asked.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
