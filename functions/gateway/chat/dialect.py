"""What differs between the two APIs that a turn may be held in; everything else about it is one.

A request's messages are chat's whatever it came in, so that both share their sessions.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.chat.completion import Completion
from gateway.chat.prompt import Prompt
from gateway.chat.wire import ChatRequest
from gateway.errors import GatewayError


class Dialect(Protocol):
    @property
    def path(self) -> str:
        """Where the upstream answers it, beneath its base."""

    def body(self, request: ChatRequest, prompt: Prompt) -> bytes:
        """What goes to the upstream when memory has a hand in it."""

    def begun(self) -> Completion:
        """What a stream's events are gathered in."""

    def whole(self, body: bytes) -> Completion | None:
        """Of a whole answer; None when it is none."""

    def says(self, chunk: Mapping[str, Any]) -> bool:
        """Whether an event brings anything of an answer."""

    def told(self, error: GatewayError, completion: Completion) -> bytes:
        """The event that tells a stream's reader of an error, after what has come."""
