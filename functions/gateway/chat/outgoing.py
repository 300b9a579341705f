"""The body that goes to the upstream when memory has a hand in it. Pure."""

import json
import re
from typing import Any

import orjson

from gateway.chat.prompt import Prompt
from gateway.chat.wire import ChatRequest

LONG_NUMBER = re.compile(rb"[0-9]{17}")


def body_of(request: ChatRequest, prompt: Prompt) -> bytes:
    """The request with the prompt in place of its messages, and usage asked for on streams."""
    payload = _fields(request)
    if prompt.changed:
        payload["messages"] = list(prompt.messages)
    if request.stream and not request.wants_usage:
        options = payload.get("stream_options")
        payload["stream_options"] = {**(options or {}), "include_usage": True}
    elif not prompt.changed:
        return request.raw
    return written(payload)


def written(payload: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(payload, ensure_ascii=False).encode()


def exact_fields(request: ChatRequest) -> dict[str, Any]:
    """The body's fields; those with long numbers read by the parser that keeps every digit."""
    if not LONG_NUMBER.search(request.raw):
        return dict(request.payload)
    return dict(json.loads(request.raw))


def _fields(request: ChatRequest) -> dict[str, Any]:
    return {**exact_fields(request), "messages": list(request.messages)}
