"""The body that goes to the upstream when memory has a hand in it. Pure."""

import json
import re
from typing import Any

import orjson

from gateway.chat.turn import Turn
from gateway.chat.wire import ChatRequest

LONG_NUMBER = re.compile(rb"[0-9]{17}")


def body_of(turn: Turn) -> bytes:
    """The request with the prompt in place of its messages, and usage asked for on streams."""
    payload = _fields(turn.request)
    if turn.prompt.changed:
        payload["messages"] = list(turn.prompt.messages)
    if turn.request.stream and not turn.request.wants_usage:
        options = payload.get("stream_options")
        payload["stream_options"] = {**(options or {}), "include_usage": True}
    elif not turn.prompt.changed:
        return turn.request.raw
    try:
        return orjson.dumps(payload)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(payload, ensure_ascii=False).encode()


def _fields(request: ChatRequest) -> dict[str, Any]:
    """The body's fields; those with long numbers read by the parser that keeps every digit."""
    if not LONG_NUMBER.search(request.raw):
        return dict(request.payload)
    exact = json.loads(request.raw)
    return {**exact, "messages": list(request.messages)}
