"""Answers as Starlette responses, the streamed one with an eye on the client's leaving."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.chat.relay import Relay, StreamCut
from gateway.chat.replies import Reply


def json_response(
    payload: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(payload), status, dict(headers or {}), media_type="application/json"
    )


def respond(reply: Reply) -> Response:
    if isinstance(reply.body, Relay):
        return RelayResponse(reply.body, reply.status, reply.headers)
    return Response(reply.body, reply.status, dict(reply.headers))


class RelayResponse(Response):
    """Streams a relay; a client that hangs up stops the upstream at once, as does a cancellation.

    A broken answer must not look whole, so its body is left without an end: the server then closes
    the connection, which every HTTP client reports.
    """

    def __init__(self, relay: Relay, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, dict(headers))
        del self.headers["content-length"]
        self._relay = relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send_all(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await self._break_off(sending)
            elif isinstance(error := sending.exception(), OSError):
                await self._relay.hang_up()
            elif error is not None and not isinstance(error, StreamCut):
                raise error
        except asyncio.CancelledError:  # the instance ends: what came is kept all the same
            await asyncio.shield(self._break_off(sending))
            raise
        finally:
            await _stop(leaving)

    async def _break_off(self, sending: "asyncio.Task[None]") -> None:
        await _stop(sending)
        await self._relay.hang_up()

    async def _send_all(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async for chunk in self._relay.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
