"""Several upstreams as one: chosen by model, asked again where that is safe, in a fallback order.

Asked again is what was refused or never arrived: a 429, a 5xx, a connection that could not be made.
What may have been worked on is not, since an answer costs money, and nothing once the first byte of
an answer is on its way to the client. A circuit breaker for each keeps one that is down from
costing time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import orjson

from gateway.breaker import Breaker, Permit
from gateway.errors import GatewayError, NotFound, Unavailable, UpstreamFailed, UpstreamUnreachable
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse, WholeResponse
from gateway.upstream.routing import Route, asked_in_order

TRIES = 2  # at one upstream
FIRST_PAUSE_SECONDS = 0.25
AGAIN = frozenset({429, 500, 502, 503, 504, 529})
PAUSE_SECONDS = 5.0  # what a client is told to wait while every circuit is open
LIST = "models"

Refusal = UpstreamResponse | UpstreamUnreachable


@dataclass(slots=True)
class Lane:
    """One upstream; `listed` is its last good list of models."""

    route: Route
    upstream: Upstream
    breaker: Breaker
    listed: list[object] = field(default_factory=list)


class SeveralUpstreams:
    """`deadline_seconds` bounds all tries together, up to an answer's headers."""

    answers_are_memories = True

    def __init__(
        self,
        lanes: Sequence[Lane],
        deadline_seconds: float,
        timer: Callable[[], float],
        randomness: Random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._lanes = lanes
        self._deadline_seconds = deadline_seconds
        self._timer = timer
        self._randomness = randomness
        self._sleep = sleep
        self.retries = 0
        self.fallbacks = 0

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """As `Upstream.send`. Raises `NotFound` for a model that no upstream takes, `Unavailable`
        while the circuits of all that do are open."""
        if request.path == LIST:
            return await self._models(request)
        lanes = asked_in_order(((one.route, one) for one in self._lanes), request.model)
        if not lanes:
            raise NotFound("No upstream has this model.", param="model", code="model_not_found")
        return await self._first_answer(lanes, request, self._timer() + self._deadline_seconds)

    async def close(self) -> None:
        for lane in self._lanes:
            await lane.upstream.close()

    async def _first_answer(
        self, lanes: Sequence[Lane], request: UpstreamRequest, deadline: float
    ) -> UpstreamResponse:
        """The first that is no reason to ask again; the last refusal where there is none."""
        refusal: Refusal | None = None
        for lane in lanes:
            for attempt in range(TRIES):
                if refusal and not await self._goes_on(request, refusal, attempt, deadline):
                    break
                if (permit := lane.breaker.admit()) is None:
                    break
                if refusal:
                    await _drop(refusal)
                refusal = await _tried(lane, permit, request)
                if not _again(refusal):
                    return _told(refusal)
        if refusal is None:
            raise Unavailable(
                "No upstream of this model can be reached.", retry_after_seconds=PAUSE_SECONDS
            )
        return _told(refusal)

    async def _goes_on(
        self, request: UpstreamRequest, refusal: Refusal, attempt: int, deadline: float
    ) -> bool:
        """Whether to ask again, after the pause where it is the same upstream."""
        if request.abandoned is not None and await request.abandoned():
            return False
        remaining = deadline - self._timer()
        if not attempt:
            self.fallbacks += remaining > 0
            return remaining > 0
        pause = _wanted_seconds(refusal)
        if pause is None:
            pause = self._randomness.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt)
        if pause >= remaining:
            return False
        self.retries += 1
        await self._sleep(pause)
        return request.abandoned is None or not await request.abandoned()

    async def _models(self, request: UpstreamRequest) -> WholeResponse:
        """All lists in one; of an upstream that errs the last good one. Raises its error where
        nobody answered."""
        told = await asyncio.gather(
            *(_list_of(lane, request) for lane in self._lanes), return_exceptions=True
        )
        errors = [one for one in told if isinstance(one, BaseException)]
        if len(errors) == len(self._lanes):
            raise errors[0]
        known: dict[object, object] = {}
        for lane in self._lanes:
            for model in lane.listed:
                if isinstance(model, dict) and lane.route.takes(str(model.get("id"))):
                    known.setdefault(model.get("id"), model)
        return WholeResponse(orjson.dumps({"object": "list", "data": list(known.values())}))


async def _tried(lane: Lane, permit: Permit, request: UpstreamRequest) -> Refusal:
    try:
        response = await lane.upstream.send(request)
    except UpstreamUnreachable as error:
        lane.breaker.failed(permit)
        return error
    except GatewayError:
        lane.breaker.failed(permit)
        raise
    except BaseException:
        lane.breaker.abandoned(permit)
        raise
    end = lane.breaker.failed if response.status >= 500 else lane.breaker.answered
    end(permit)
    return response


async def _list_of(lane: Lane, request: UpstreamRequest) -> None:
    response = await lane.upstream.send(request)
    try:
        body = await response.read()
    finally:
        await response.close()
    try:
        payload = orjson.loads(body) if response.status == 200 else None
    except orjson.JSONDecodeError:
        payload = None
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, list):
        raise UpstreamFailed(f"The list of models of upstream {lane.route.name} cannot be read.")
    lane.listed = data


def _again(refusal: Refusal) -> bool:
    if isinstance(refusal, UpstreamUnreachable):
        return True
    return refusal.status in AGAIN and refusal.headers.get("x-should-retry") != "false"


def _told(refusal: Refusal) -> UpstreamResponse:
    if isinstance(refusal, UpstreamUnreachable):
        raise refusal
    return refusal


async def _drop(refusal: Refusal) -> None:
    if not isinstance(refusal, UpstreamUnreachable):
        await refusal.close()


def _wanted_seconds(refusal: Refusal) -> float | None:
    """What the upstream asks for; None where it names no number of seconds."""
    if isinstance(refusal, UpstreamUnreachable):
        return None
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(refusal.headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0:
            return seconds
    return None
