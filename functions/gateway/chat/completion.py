"""An answer, gathered from a whole body or from a stream's chunks. Pure.

`complete` is what decides whether it may be remembered as an answer: a finish reason was seen for
every choice that began, or the body came whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


@dataclass(slots=True)
class Choice:
    """One choice; its texts stay in the pieces they came in, so that a long stream is linear."""

    contents: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    reasonings: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.contents) or "".join(self.refusals)

    @property
    def reasoning(self) -> str:
        return "".join(self.reasonings)

    def message(self) -> dict[str, Any]:
        """The message as a client would resend it."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message


@dataclass(slots=True)
class Completion:
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    done: bool = False
    failed: bool = False
    names: list[str] = field(default_factory=list)
    """Ids by which the upstream finds again what it has kept of the answer."""

    @property
    def complete(self) -> bool:
        finished = [choice.finish_reason is not None for choice in self.choices.values()]
        return not self.failed and (self.done or (bool(finished) and all(finished)))

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Of each choice that has one, in order; `other` for a word that is no reason we know."""
        found = (self.choices[index].finish_reason for index in sorted(self.choices))
        return tuple(one if one in REASONS else "other" for one in found if one)

    def answers(self) -> list[Choice]:
        """Choices that say something, in order."""
        found = [self.choices[index] for index in sorted(self.choices)]
        return [choice for choice in found if choice.text or choice.tool_calls]

    def add_chunk(self, data: bytes) -> Mapping[str, Any] | None:
        """Take in the data of one event; returns it parsed, or None when it is no object."""
        if data.strip() == b"[DONE]":
            self.done = True
            return None
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(chunk, dict):
            return None
        if chunk.get("error"):
            self.failed = True
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = usage
        for choice in _objects(chunk.get("choices")):
            self._add_delta(choice)
        return chunk

    def _add_delta(self, fields: Mapping[str, Any]) -> None:
        index = fields.get("index")
        choice = self.choices.setdefault(index if isinstance(index, int) else 0, Choice())
        delta = fields.get("delta")
        if isinstance(delta, dict):
            choice.contents.append(_string(delta.get("content")))
            choice.refusals.append(_string(delta.get("refusal")))
            choice.reasonings.append(_reasoning(delta))
            for call in _objects(delta.get("tool_calls")):
                _merge_call(choice.tool_calls, call)
        if isinstance(reason := fields.get("finish_reason"), str):
            choice.finish_reason = reason

    @staticmethod
    def parsed(body: bytes) -> "Completion | None":
        """Of a whole answer; None when it is no chat completion."""
        try:
            payload = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
            return None
        return Completion.of_body(payload)

    @staticmethod
    def of_body(payload: Mapping[str, Any]) -> "Completion":
        completion = Completion(done=True, failed="error" in payload and not payload.get("choices"))
        if isinstance(usage := payload.get("usage"), dict):
            completion.usage = usage
        for position, fields in enumerate(_objects(payload.get("choices"))):
            index = fields.get("index")
            message = fields.get("message")
            message = message if isinstance(message, dict) else {}
            completion.choices[index if isinstance(index, int) else position] = Choice(
                contents=[_text(message.get("content"))],
                refusals=[_string(message.get("refusal"))],
                reasonings=[_reasoning(message)],
                tool_calls=_objects(message.get("tool_calls")),
                finish_reason=_string(fields.get("finish_reason")) or None,
            )
        return completion


def _merge_call(calls: list[dict[str, Any]], delta: Mapping[str, Any]) -> None:
    """Add a tool-call delta to the call of its index; arguments come in pieces."""
    index = delta.get("index")
    index = index if isinstance(index, int) and 0 <= index <= len(calls) else len(calls)
    if index == len(calls):
        calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    for name in ("id", "type"):
        if isinstance(value := delta.get(name), str):
            call[name] = value
    function = delta.get("function")
    if isinstance(function, dict):
        call["function"]["name"] += _string(function.get("name"))
        call["function"]["arguments"] += _string(function.get("arguments"))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _reasoning(fields: Mapping[str, Any]) -> str:
    return _string(fields.get("reasoning_content") or fields.get("reasoning"))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(_string(part.get("text")) for part in _objects(content))
    return _string(content)
