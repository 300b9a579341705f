"""A response, gathered from a whole body or from a stream's typed events. Pure.

https://platform.openai.com/docs/api-reference/responses-streaming: the last event, which says
completed, incomplete or failed, carries the whole response; until then the pieces stand for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.chat.completion import Choice, Completion
from gateway.responses.items import CALLS, call_of, kind_of, spoken_by_model

ENDINGS = ("response.completed", "response.incomplete", "response.failed")
TEXTS = ("response.output_text.delta", "response.refusal.delta")
REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
ANSWERED = (None, "completed", "incomplete")  # of upstreams that say nothing, too
KEPT_BY_ID = ("reasoning",)


@dataclass(slots=True)
class ResponsesCompletion(Completion):
    """`sequence` is the number of the newest event."""

    sequence: int = -1

    def add_chunk(self, data: bytes) -> Mapping[str, Any] | None:
        """Take in the data of one event; returns it parsed, or None when it is no object."""
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(event, dict):
            return None
        if isinstance(number := event.get("sequence_number"), int):
            self.sequence = number
        self._add(event, str(event.get("type")))
        return event

    def _add(self, event: Mapping[str, Any], kind: str) -> None:
        response = event.get("response")
        if kind == "error" or event.get("error"):
            self.failed = True
        elif kind in ENDINGS:
            self._end(response if isinstance(response, dict) else {}, kind)
        elif kind in TEXTS and isinstance(delta := event.get("delta"), str):
            self._so_far().contents.append(delta)
        elif kind == "response.output_item.done":
            self._called(event.get("item"))

    def _called(self, item: Any) -> None:
        """A call counts once it is whole."""
        if isinstance(item, dict) and kind_of(item) in CALLS and _is_readable(item):
            self._so_far().tool_calls.append(call_of(item))

    def _so_far(self) -> Choice:
        return self.choices.setdefault(0, Choice())

    def _end(self, response: Mapping[str, Any], kind: str) -> None:
        self.done = True
        self.failed = self.failed or kind == "response.failed"
        self._read(response)
        if 0 in self.choices and not self.failed:
            self.choices[0].finish_reason = _reason(response, self.choices[0])

    def _read(self, response: Mapping[str, Any]) -> None:
        """A whole response. One without output leaves what came in pieces as it is."""
        self.usage = _usage(response.get("usage")) or self.usage
        output = [one for one in _list(response.get("output")) if isinstance(one, dict)]
        self.names = [str(one["id"]) for one in (response, *output) if _is_kept(one)]
        message = spoken_by_model([one for one in output if _is_readable(one)])
        if message["content"] or "tool_calls" in message:
            choice = Choice([message["content"] or ""], tool_calls=message.get("tool_calls", []))
            self.choices[0] = choice

    @staticmethod
    def parsed(body: bytes) -> "ResponsesCompletion | None":
        """Of a whole answer; None when it is no response."""
        try:
            response = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(response, dict) or not isinstance(response.get("output"), list):
            return None
        completion = ResponsesCompletion()
        failed = response.get("status") not in ANSWERED or bool(response.get("error"))
        completion._end(response, ENDINGS[2 if failed else 0])
        return completion


def _is_kept(one: Mapping[str, Any]) -> bool:
    """Whether the upstream may be asked for it by its id alone."""
    kept = one.get("object") == "response" or one.get("type") in KEPT_BY_ID
    return kept and isinstance(one.get("id"), str)


def _is_readable(item: Mapping[str, Any]) -> bool:
    """Of another's making, so nothing is taken for granted."""
    kind = kind_of(item)
    if kind in CALLS:
        return isinstance(item.get("call_id"), str)
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    told = isinstance(content, str | list | None) and all(isinstance(one, dict) for one in parts)
    return kind == "message" and told


def _reason(response: Mapping[str, Any], choice: Choice) -> str:
    """Why it ended, in chat's words."""
    details = response.get("incomplete_details")
    if response.get("status") == "incomplete":
        why = details.get("reason") if isinstance(details, dict) else None
        return REASONS.get(str(why), "other")
    return "tool_calls" if choice.tool_calls else "stop"


def _usage(usage: Any) -> dict[str, Any] | None:
    """In chat's words, as receipts and budgets have it."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details")
    told = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": details,
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
    return {name: value for name, value in told.items() if value is not None}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
