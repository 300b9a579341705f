"""Step 6 of a turn: the answer to the caller, remembered inside the response."""

import asyncio
from collections.abc import Mapping

from gateway.chat.call import Call
from gateway.chat.claims import StoredAnswer
from gateway.chat.completion import Completion
from gateway.chat.finisher import Finisher
from gateway.chat.relay import Relay
from gateway.chat.replies import Reply, kept_for_replay, passed_back, refused, turn_headers
from gateway.chat.turn import Turn
from gateway.errors import UpstreamFailed
from gateway.upstream.base import UpstreamResponse

EVENT_STREAM = "text/event-stream"


class Delivery:
    def __init__(self, finisher: Finisher) -> None:
        self._finisher = finisher

    async def give_up(self, turn: Turn) -> None:
        """Of a turn that has no answer to deliver."""
        await self._finisher.give_up(turn)

    async def reply(self, turn: Turn, response: UpstreamResponse, call: Call) -> Reply:
        """Raises `UpstreamFailed` for an answer that is none; the turn is given up then."""
        headers = {**passed_back(response.headers), **turn_headers(turn)}
        streamed = response.headers.get("content-type", "").startswith(EVENT_STREAM)
        if response.status == 200 and streamed:
            return Reply(200, headers, self._relay(turn, response, call, headers))
        body = await self._read(turn, response)
        if response.status != 200:
            await self._finisher.give_up(turn)
            return refused(response.status, headers, body, as_it_is=call.mode == "off")
        completion = await self._completion(turn, body, call)
        if completion.failed:
            await self._finisher.give_up(turn, completion)
            return Reply(200, headers, body)
        answer = StoredAnswer(200, kept_for_replay(headers), body)
        await self._finisher.remember(turn, completion, answer)
        return Reply(200, headers, body)

    def _relay(
        self, turn: Turn, response: UpstreamResponse, call: Call, headers: Mapping[str, str]
    ) -> Relay:
        return Relay(
            turn,
            response,
            self._finisher,
            call.dialect,
            hide_usage=call.mode != "off" and not turn.request.wants_usage,
            headers=kept_for_replay(headers),
        )

    async def _completion(self, turn: Turn, body: bytes, call: Call) -> Completion:
        """With memory off whatever came is passed on, an answer or not."""
        completion = call.dialect.whole(body)
        if completion is None and call.mode != "off":
            await self._finisher.give_up(turn)
            raise UpstreamFailed(f"The upstream's answer is none of {call.dialect.path}.")
        return completion or call.dialect.begun()

    async def _read(self, turn: Turn, response: UpstreamResponse) -> bytes:
        try:
            return await response.read()
        except BaseException:
            await asyncio.shield(self._finisher.give_up(turn))
            raise
        finally:
            await response.close()
