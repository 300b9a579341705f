"""Several upstreams: chosen by model, asked again where that is safe, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Any

import httpx
import pytest

from gateway.breaker import FAILURES, Breaker
from gateway.errors import NotFound, Unavailable, UpstreamFailed, UpstreamTimedOut
from gateway.upstream.base import UpstreamRequest
from gateway.upstream.models import ListPrice
from gateway.upstream.openai import OpenAIUpstream, make_client
from gateway.upstream.routing import Route, price_of
from gateway.upstream.several import Lane, SeveralUpstreams
from limits.clock import Clock
from support.upstream import Answer, LoopbackUpstream, closed_port

FINE, BUSY = Answer.json({"fine": True}), Answer.error(429, "Busy.", "rate_limit_exceeded")
BOOM = Answer.error(500, "Boom.", "server_error")
DEADLINE_SECONDS = 30.0


@pytest.fixture
def first() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
def second() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


class Several:
    """What is under test, on a clock that moves when it sleeps."""

    def __init__(self, client: httpx.AsyncClient, *lanes: tuple[Route, str]) -> None:
        self.clock = Clock(0.0)
        self.slept: list[float] = []
        self.upstreams = SeveralUpstreams(
            [
                Lane(route, OpenAIUpstream(base, None, client, 1.0, 1.0), Breaker(self.clock))
                for route, base in lanes
            ],
            DEADLINE_SECONDS,
            self.clock,
            Random(3),
            self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds

    async def ask(self, model: str = "m", **fields: Any) -> tuple[int, bytes]:
        request = UpstreamRequest("POST", "chat/completions", {}, b"{}", model, **fields)
        response = await self.upstreams.send(request)
        return response.status, await response.read()


@pytest.fixture
def several(
    client: httpx.AsyncClient, first: LoopbackUpstream, second: LoopbackUpstream
) -> Several:
    lanes = (Route("first", ["gpt-*", "m"]), first.base_url), (Route("second"), second.base_url)
    return Several(client, *lanes)


def test_a_route_takes_names_and_prefixes() -> None:
    route = Route("one", ["gpt-*", "exact"])
    assert [route.takes(name) for name in ("gpt-5", "gpt-", "exact", "exactly", "GPT-5", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert Route("any").takes("whatever")


def test_a_price_is_that_of_the_upstream_asked_first() -> None:
    cheap, dear = ListPrice(1.0, 2.0), ListPrice(3.0, 4.0)
    routes = [Route("a", ["gpt-*"], cheap), Route("b", [], dear)]
    assert [price_of(routes, name) for name in ("gpt-5", "other")] == [cheap, dear]
    assert price_of([Route("a", ["x"], cheap)], "y") is None


async def test_the_model_chooses(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    for model in ("gpt-5", "m", "other/model"):
        assert (await several.ask(model))[0] == 200
    assert (len(first.requests), len(second.requests)) == (2, 1)


async def test_a_model_that_nobody_takes_is_not_there(client: httpx.AsyncClient) -> None:
    one = Several(client, (Route("one", ["gpt-*"]), "http://127.0.0.1:9"))
    with pytest.raises(NotFound) as told:
        await one.ask("other")
    assert told.value.code == "model_not_found"


@pytest.mark.parametrize("refusal", [BUSY, BOOM, Answer.html(503), Answer.html(529)])
async def test_a_refusal_is_asked_again_after_a_random_pause(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream, refusal: Answer
) -> None:
    first.queue(refusal, FINE)
    assert await several.ask() == (200, FINE.body)
    assert len(several.slept) == 1
    assert 0 < several.slept[0] <= 0.5
    assert second.requests == []
    assert (several.upstreams.retries, several.upstreams.fallbacks) == (1, 0)


async def test_what_stays_refused_goes_to_the_next_one(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.queue(BUSY, BOOM)
    second.queue(FINE)
    assert await several.ask() == (200, FINE.body)
    assert (several.upstreams.retries, several.upstreams.fallbacks) == (1, 1)
    assert first.connections_open <= 1


async def test_the_last_refusal_is_told_with_its_body(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.queue(BOOM, BOOM)
    second.queue(BOOM, BUSY)
    assert await several.ask() == (429, BUSY.body)
    assert (len(first.requests), len(second.requests)) == (2, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
async def test_what_is_the_requests_own_fault_is_not_asked_again(
    several: Several, first: LoopbackUpstream, status: int
) -> None:
    first.queue(Answer.error(status, "No.", "no"))
    assert (await several.ask())[0] == status
    assert len(first.requests) == 1


async def test_an_upstream_that_says_not_to_is_not_asked_again(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.queue(Answer.error(429, "No.", "no", {"x-should-retry": "false"}))
    assert (await several.ask())[0] == 429
    assert second.requests == []


async def test_retry_after_is_kept_within_the_deadline(
    several: Several, first: LoopbackUpstream
) -> None:
    first.queue(Answer.error(429, "Busy.", "busy", {"retry-after": "7"}), FINE)
    assert (await several.ask())[0] == 200
    assert several.slept == [7.0]


@pytest.mark.parametrize("after", ["31", "1e9", "86400"])
async def test_who_asks_for_more_than_the_deadline_is_left_for_the_next(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream, after: str
) -> None:
    first.queue(Answer.error(429, "Busy.", "busy", {"retry-after": after}))
    second.queue(FINE)
    assert await several.ask() == (200, FINE.body)
    assert several.slept == []


async def test_after_the_deadline_nobody_is_asked(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    def slow(_: Any) -> Answer:
        several.clock.now += DEADLINE_SECONDS
        return BUSY

    first.queue(slow)
    assert (await several.ask())[0] == 429
    assert (len(first.requests), second.requests) == (1, [])


async def test_a_connection_that_cannot_be_made_falls_back(
    client: httpx.AsyncClient, second: LoopbackUpstream
) -> None:
    gone = f"http://127.0.0.1:{closed_port()}/v1"
    several = Several(client, (Route("gone"), gone), (Route("second"), second.base_url))
    second.queue(FINE)
    assert await several.ask() == (200, FINE.body)


@pytest.mark.parametrize(
    ("broken", "error"), [(Answer.hang_up(), UpstreamFailed), (Answer.silence(), UpstreamTimedOut)]
)
async def test_what_may_have_been_worked_on_is_not_asked_again(
    several: Several,
    first: LoopbackUpstream,
    second: LoopbackUpstream,
    broken: Answer,
    error: type[Exception],
) -> None:
    first.queue(broken)
    with pytest.raises(error):
        await several.ask()
    assert (len(first.requests), second.requests) == (1, [])


async def test_a_body_that_breaks_is_not_asked_again(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.queue(Answer.stream(b"data: 1\n\n", ending="cut"))
    with pytest.raises(UpstreamFailed):
        await several.ask()
    assert (len(first.requests), second.requests) == (1, [])


@pytest.mark.parametrize("leaves_after", [0, 1])
async def test_for_a_client_that_left_nothing_is_asked_again(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream, leaves_after: int
) -> None:
    asked = iter([False] * leaves_after)

    async def left() -> bool:
        return next(asked, True)

    first.queue(BUSY, FINE)
    assert (await several.ask(abandoned=left))[0] == 429
    assert (len(first.requests), second.requests) == (1, [])


async def test_who_fails_in_a_row_is_left_alone_for_a_while(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.default = second.default = lambda _: FINE
    first.queue(*[BOOM] * FAILURES)
    for _ in range(4):
        assert (await several.ask())[0] == 200
    assert len(first.requests) == FAILURES  # twice, once, and not again
    several.clock.now += 60.0
    assert (await several.ask())[0] == 200
    assert len(first.requests) == FAILURES + 1


async def test_while_all_are_left_alone_the_client_is_told_when_to_come_back(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.default = second.default = lambda _: BOOM
    for _ in range(2):
        assert (await several.ask())[0] == 500
    with pytest.raises(Unavailable) as told:
        await several.ask()
    assert told.value.headers["retry-after"] == "5"


async def test_a_refusal_stays_whole_where_the_next_ones_circuit_is_open(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    second.default = lambda _: BOOM
    for _ in range(2):
        assert (await several.ask("other"))[0] == 500
    first.queue(BUSY, BUSY)
    assert await several.ask() == (429, BUSY.body)


async def test_cancelled_it_leaves_the_circuit_as_it_was(
    several: Several, first: LoopbackUpstream
) -> None:
    first.queue(Answer.silence())
    asking = asyncio.ensure_future(several.ask())
    await first.until(lambda: len(first.requests) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    first.queue(FINE)
    assert (await several.ask())[0] == 200


Listing = Callable[[], Any]


async def listed(several: Several) -> list[str]:
    response = await several.upstreams.send(UpstreamRequest("GET", "models", {}))
    return [one["id"] for one in httpx.Response(200, content=await response.read()).json()["data"]]


def models(*ids: str) -> Answer:
    return Answer.json({"object": "list", "data": [{"id": id} for id in ids]})


async def test_the_lists_are_one_and_name_what_would_be_asked(
    several: Several, first: LoopbackUpstream, second: LoopbackUpstream
) -> None:
    first.queue(models("gpt-5", "other"), BOOM, BOOM, path="models")
    second.queue(models("other", "gpt-5", "third"), models("third"), BOOM, path="models")
    assert await listed(several) == ["gpt-5", "other", "third"]
    assert await listed(several) == ["gpt-5", "third"]  # the first one's last good list
    with pytest.raises(UpstreamFailed):
        await listed(several)
