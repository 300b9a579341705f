"""The preview's answer in the Responses API's shapes, whole and as typed events. Pure.

https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

Json = dict[str, Any]


def as_messages(asked: Json) -> list[Any]:
    """What was sent, as far as it makes sense: instructions, then each item as a message."""
    given = asked.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    told = (
        [{"role": "system", "content": asked["instructions"]}] if asked.get("instructions") else []
    )
    return [*told, *map(_message, items if isinstance(items, list) else [])]


def _message(item: Any) -> Any:
    if not isinstance(item, dict) or "role" in item:
        return item
    said = item.get("output") or item.get("arguments") or item.get("input")
    return {"role": item.get("type"), "content": said}


@dataclass(frozen=True, slots=True)
class Response:
    id: str
    created: int
    model: str
    text: str
    asked: Json
    input_tokens: int
    output_tokens: int

    def whole(self, status: str = "completed") -> Json:
        done = status == "completed"
        return {
            "id": f"resp_preview_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": self.asked.get("instructions"),
            "max_output_tokens": self.asked.get("max_output_tokens"),
            "model": self.model,
            "output": [self._message("completed")] if done else [],
            "parallel_tool_calls": True,
            "previous_response_id": self.asked.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": self.asked.get("tools") or [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self._usage() if done else None,
            "user": None,
            "metadata": {},
        }

    def events(self) -> Iterator[bytes]:
        """Each as one server-sent event, numbered."""
        for number, (kind, fields) in zip(count(), self._steps(), strict=False):
            data = orjson.dumps({"type": kind, "sequence_number": number, **fields})
            yield b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _steps(self) -> Iterator[tuple[str, Json]]:
        item: Json = {"item_id": self._message("completed")["id"], "output_index": 0}
        begun = {**self._message("in_progress"), "content": []}
        place: Json = {**item, "content_index": 0}
        yield "response.created", {"response": self.whole("in_progress")}
        yield "response.in_progress", {"response": self.whole("in_progress")}
        yield "response.output_item.added", {"output_index": 0, "item": begun}
        yield "response.content_part.added", {**place, "part": self._part("")}
        for line in self.text.splitlines(keepends=True):
            yield "response.output_text.delta", {**place, "delta": line, "logprobs": []}
        yield "response.output_text.done", {**place, "text": self.text, "logprobs": []}
        yield "response.content_part.done", {**place, "part": self._part(self.text)}
        done = self._message("completed")
        yield "response.output_item.done", {"output_index": 0, "item": done}
        yield "response.completed", {"response": self.whole()}

    def _message(self, status: str) -> Json:
        return {
            "id": f"msg_preview_{self.id}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self._part(self.text)],
        }

    def _part(self, text: str) -> Json:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _usage(self) -> Json:
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + self.output_tokens,
        }
