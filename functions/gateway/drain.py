"""The end of an instance: what is under way gets its time, the rest is ended in good order.

Cloud Run sends SIGTERM and kills ten seconds later
(https://cloud.google.com/run/docs/container-contract#instance-shutdown); the server stops listening
at once, and waits for open requests without a bound of its own. Knows no routes.
"""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unavailable
from gateway.routes.responses import json_response


class Drain:
    """An ASGI app around another. `grace_seconds` after SIGTERM its open requests are cancelled.

    A cancelled request keeps what it has: half an answer is stored as interrupted, the tokens that
    it held are settled. Who has no byte of an answer yet gets a 503, any other is cut off.
    """

    def __init__(self, app: ASGIApp, grace_seconds: float) -> None:
        self._app = app
        self._grace_seconds = grace_seconds
        self._open: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task, begun = asyncio.current_task(), False
        assert task is not None  # noqa: S101  a server runs each request in a task

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._open.add(task)
        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:
            if not self._ended:
                raise
            if not begun:
                await _closing()(scope, receive, send)
        finally:
            self._open.discard(task)

    def watch(self) -> None:
        """Begin at SIGTERM, beside what the server does then. Call it in the serving loop."""
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            _passed_on(before, number, frame)

        signal.signal(signal.SIGTERM, handle)

    def begin(self) -> None:
        asyncio.get_running_loop().call_later(self._grace_seconds, self._end)

    def _end(self) -> None:
        self._ended = True
        for task in self._open:
            task.cancel()


def _passed_on(
    before: Callable[[int, FrameType | None], Any] | int | None,
    number: int,
    frame: FrameType | None,
) -> None:
    if callable(before):
        before(number, frame)
    elif before == signal.SIG_DFL:  # nobody else would end the process
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _closing() -> ASGIApp:
    error = Unavailable(
        "This instance is closing; try again.", code="instance_closing", retry_after_seconds=1
    )
    return json_response(error.body(), error.status, error.headers)
