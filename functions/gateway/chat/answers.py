"""Step 5 of a turn: the upstream's answer, or one kept from an identical request."""

from dataclasses import replace

from gateway.chat.caching import ResponseCache
from gateway.chat.call import Call
from gateway.chat.turn import Turn
from gateway.identity.base import Identity
from gateway.telemetry.record import current
from gateway.telemetry.stages import begin_completion
from gateway.upstream.asking import asked
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse


class Answers:
    def __init__(self, upstream: Upstream, cache: ResponseCache) -> None:
        self._upstream = upstream
        self._cache = cache

    async def looked_up(self, caller: Identity, turn: Turn, call: Call) -> Turn:
        """With the kept answer if there is one, or with a place for the one to come."""
        about = f"{call.mode} {call.session or ''}"
        looked = await self._cache.look(caller, turn.request, about, call.cached)
        return replace(turn, cached=looked)

    async def answer(self, turn: Turn, call: Call) -> UpstreamResponse:
        """The kept one, or the upstream's as it comes. Raises what the upstream raises."""
        if turn.cached.answer is not None:
            return turn.cached.answer
        begin_completion(current().model, streamed=turn.request.stream)
        response = await asked(self._upstream, _outgoing(turn, call))
        return self._cache.keeping(response, turn.cached.place, call.dialect)


def _outgoing(turn: Turn, call: Call) -> UpstreamRequest:
    headers, body = call.forwarded, turn.request.raw
    if call.mode != "off":  # the body is read as JSON, whatever the client called it
        headers = {**headers, "content-type": "application/json"}
        body = call.dialect.body(turn.request, turn.prompt)
    model = turn.request.model
    return UpstreamRequest("POST", call.dialect.path, headers, body, model, call.abandoned)
