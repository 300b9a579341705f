"""The answer on its way to the client: bytes as the upstream sent them, the last ones held back
until the turn is stored.

`Relay` ends its turn exactly once, however the stream ends: stored before `[DONE]` leaves, marked
interrupted when the client hangs up, given up when the upstream breaks off.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

import orjson

from gateway.chat.claims import StoredAnswer
from gateway.chat.dialect import Dialect
from gateway.chat.finisher import Finisher
from gateway.chat.turn import Turn
from gateway.errors import GatewayError, UpstreamFailed
from gateway.telemetry.stages import first_token
from gateway.upstream.base import UpstreamResponse
from gateway.upstream.sse import Event, EventSplitter, encode

# A JSON string cannot hold these bytes unescaped, so they are the field wherever they stand.
NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')
KEPT_FOR_REPLAY_BYTES = 400 * 1024


class StreamCut(Exception):
    """The upstream broke off: the client's connection must not end as if all had come."""


class Relay:
    """One streamed answer. Iterate `chunks`; call `hang_up` when the client has left."""

    def __init__(
        self,
        turn: Turn,
        response: UpstreamResponse,
        finisher: Finisher,
        dialect: Dialect,
        *,
        hide_usage: bool,
        headers: Mapping[str, str],
    ) -> None:
        self._turn = turn
        self._response = response
        self._finisher = finisher
        self._hide_usage = hide_usage
        self._headers = headers
        self._splitter = EventSplitter()
        self._dialect = dialect
        self._completion = dialect.begun()
        self._sent = bytearray()
        self._ending: asyncio.Task[None] | None = None
        self._begun = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """What the client gets. Raises `StreamCut` when the upstream broke off: after an error
        event, unless memory is off."""
        try:
            async for chunk in self._response.chunks():
                for event in self._splitter.feed(chunk):
                    if out := await self._pass(event):
                        yield self._noted(out)
            if (rest := self._splitter.flush()) and (out := await self._pass(rest)):
                yield self._noted(out)
            if self._ending is None:
                await self._end_of_stream()
        except GatewayError as error:
            told = await self._told(error)
            if not self._faithful and told is not None:
                yield self._dialect.told(told, self._completion)
            raise StreamCut from error
        finally:
            await self._response.close()

    async def hang_up(self) -> None:
        """The client left: stop the upstream, keep what came; less than an answer is marked so."""
        await self._response.close()
        if self._ending is not None:
            await asyncio.shield(self._ending)
        elif self._completion.complete:
            self._noted(encode(b"[DONE]"))
            await self._store()
        else:
            left = StoredAnswer(200, {}, b"")
            await self._end(
                self._finisher.remember(self._turn, self._completion, left, interrupted=True)
            )

    async def _pass(self, event: Event) -> bytes:
        """The bytes of an event that go to the client; `[DONE]` waits for the turn to be stored."""
        if event.data is None:
            return event.raw
        chunk = self._completion.add_chunk(event.data)
        if not self._begun and chunk is not None and self._dialect.says(chunk):
            self._begun = True
            first_token()
        if self._completion.done and self._ending is None:
            self._noted(event.raw)
            await self._finish()
            return event.raw
        if chunk is None or not self._hide_usage or "usage" not in chunk:
            return event.raw
        return _without_usage(event, chunk)

    @property
    def _faithful(self) -> bool:
        """Memory is off: the client gets the upstream's bytes and none of ours."""
        return self._turn.prompt.status == "off" and not self._turn.writes

    async def _end_of_stream(self) -> None:
        """The upstream said no `[DONE]`: a finish reason or an error is as good, less is a cut."""
        if not (self._completion.complete or self._completion.failed or self._faithful):
            raise UpstreamFailed("The upstream's stream ended before its answer was complete.")
        await self._finish()

    async def _told(self, error: GatewayError) -> GatewayError | None:
        """End the turn after an error; what the client must learn, None if the answer is whole."""
        if self._ending is not None:
            return error  # the commit itself failed
        try:
            await self._finish()
        except GatewayError as failed:
            return failed
        return None if self._completion.complete else error

    async def _finish(self) -> None:
        """Store an answer; pay for what came of anything less."""
        if self._completion.complete:
            await self._store()
        else:
            await self._end(self._finisher.give_up(self._turn, self._completion))

    async def _store(self) -> None:
        answer = StoredAnswer(200, dict(self._headers), bytes(self._sent))
        await self._end(self._finisher.remember(self._turn, self._completion, answer))

    async def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        """Run the turn's end in a task of its own: no cancellation stops it half-way."""
        self._ending = asyncio.create_task(ending)
        await asyncio.shield(self._ending)

    def _noted(self, out: bytes) -> bytes:
        if self._turn.claim and len(self._sent) <= KEPT_FOR_REPLAY_BYTES:
            self._sent += out
        return out


def _without_usage(event: Event, chunk: Any) -> bytes:
    """The event as if usage had not been asked for: its chunk left out, its nulls taken away."""
    if chunk["usage"] is None:
        raw, replaced = NULL_USAGE.subn(b"", event.raw)
        if replaced == 1:
            return raw
    beside = _lines_beside_data(event)
    if chunk["usage"] is not None and not chunk.get("choices"):
        return beside and beside + b"\n"
    return beside + encode(orjson.dumps({k: v for k, v in chunk.items() if k != "usage"}))


def _lines_beside_data(event: Event) -> bytes:
    """Comments, and fields such as `id:`, that came with the event's data."""
    lines = event.raw.splitlines(keepends=True)
    return b"".join(line for line in lines if line.strip() and not line.startswith(b"data"))
