"""The upstream port: one HTTP exchange with whatever answers, as bytes in and bytes out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """`path` is relative to the base (`chat/completions`); `headers` are already allow-listed.

    `model` is the one that the body names, by which an upstream is chosen where there are several.
    `abandoned` tells whether the client has left, so that nothing is tried again for nobody.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    model: str = ""
    abandoned: Callable[[], Awaitable[bool]] | None = None


class UpstreamResponse(Protocol):
    """An answer whose status and headers have arrived and whose body may still be coming."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `UpstreamFailed` when cut, `UpstreamTimedOut` if stalled."""

    async def read(self) -> bytes: ...

    async def close(self) -> None:
        """Release the connection; safe to call twice and in the middle of the body."""


@dataclass(slots=True)
class WholeResponse:
    """One that is all here: nothing of it is still coming."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    status: int = 200

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.body

    async def read(self) -> bytes:
        return self.body

    async def close(self) -> None:
        pass


class Upstream(Protocol):
    answers_are_memories: bool
    """Whether an answer is worth remembering (the preview's are not)."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send and wait for the status line and headers.

        Raises `UpstreamFailed` (no connection, protocol broken) or `UpstreamTimedOut` (no first
        byte within the request timeout). A 4xx or 5xx is an answer, not an exception.
        """

    async def close(self) -> None: ...
