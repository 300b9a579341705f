"""How long a tier is waited for, when it is not asked at all, and what is known of it."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from gateway.breaker import FIRST_PAUSE_SECONDS
from gateway.retrieval.hearing import HEARD_SECONDS
from gateway.retrieval.request import owner_key
from gateway.retrieval.tier import Missing, Tier
from gateway.upstream.openai import make_client
from retrieval.asked import OWNER, QUESTION, SOON_SECONDS, Clock, Make, deadlines
from retriever_contract.wire import ForgetRequest
from support.ports import free_port
from support.retriever import LoopbackRetriever, failure
from support.upstream import PATIENCE_SECONDS, Answer, Gate, Recorded


@pytest.mark.parametrize("pieces", [[], [b"{"]], ids=["silence", "trickle"])
async def test_past_the_deadline_the_words_rank(
    make: Make, retriever: LoopbackRetriever, pieces: list[bytes]
) -> None:
    answer = Answer(200, {}, [*pieces, Gate()]) if pieces else Answer.silence()
    retriever.queue(answer, path="rank")
    ranking = await make(deadline_seconds=SOON_SECONDS).rank(QUESTION)
    assert ranking.retriever == "lexical; reason=timeout"
    assert (ranking.shortfall, ranking.warms) == ("timeout", True)
    await retriever.until_aborted()


async def test_being_told_early_that_it_will_be_late_costs_no_waiting(
    make: Make, retriever: LoopbackRetriever
) -> None:
    retriever.queue(failure("deadline"), path="rank")
    async with asyncio.timeout(PATIENCE_SECONDS):
        ranking = await make(deadline_seconds=50 * PATIENCE_SECONDS).rank(QUESTION)
    assert ranking.retriever == "lexical; reason=timeout"
    assert (ranking.shortfall, ranking.warms) == ("timeout", True)


@pytest.mark.parametrize("way", [0.0, 0.24, 0.6])
async def test_a_tier_that_uses_up_its_deadline_is_heard_in_time_however_far_it_is(
    make: Make, retriever: LoopbackRetriever, clock: Clock, way: float
) -> None:
    """`way` is there and back, in seconds."""

    def far_away(request: Recorded) -> Answer:
        told = retriever.ranking(request)
        clock.now += way + told["work"]["seconds"]
        return Answer.json(told)

    retriever.default = far_away
    ranker = make(deadline_seconds=2.0)
    for _ in range(20):
        assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert deadlines(retriever)[0] + min(way, 0.24) < 2.0
    assert deadlines(retriever)[-1] == pytest.approx(0.9 * (2.0 - way), abs=0.01)


async def test_what_comes_too_late_leaves_more_for_the_way(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    retriever.queue(Answer.silence(), path="rank")
    for _ in range(2):
        await ranker.rank(QUESTION)
    first, second = deadlines(retriever)
    assert SOON_SECONDS * 0.4 < second <= first < SOON_SECONDS


async def test_silence_of_a_tier_that_was_heard_lately_opens_no_circuit(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    retriever.queue(failure("deadline"), *[Answer.silence()] * 4, path="rank")
    for _ in range(5):
        assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=timeout"
        clock.now += HEARD_SECONDS / 5
    assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert len(retriever.requests) == 6


@pytest.mark.parametrize("heard", [True, False])
async def test_silence_for_longer_does(
    make: Make, retriever: LoopbackRetriever, clock: Clock, heard: bool
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    if heard:
        await ranker.rank(QUESTION)
        clock.now += HEARD_SECONDS + 1
    retriever.queue(*[Answer.silence()] * 3, path="rank")
    for _ in range(3):
        assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=timeout"
    assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=circuit-open"


async def test_a_connection_that_is_never_made_is_no_lateness(
    retriever: LoopbackRetriever,
) -> None:
    """The only one there may be is taken."""
    retriever.queue(Answer.silence(), path="forget")
    request = ForgetRequest(owner=owner_key(OWNER))
    async with make_client(max_connections=1) as narrow:
        tier = Tier(retriever.origin, narrow)
        first = asyncio.ensure_future(tier.forget(request, PATIENCE_SECONDS))
        await retriever.until(lambda: len(retriever.requests) == 1)
        with pytest.raises(Missing) as missing:
            await tier.forget(request, SOON_SECONDS)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
    assert (missing.value.reason, missing.value.broken) == ("timeout", True)
    assert not missing.value.silent


async def test_a_tier_that_is_not_there_is_unreachable(make: Make) -> None:
    ranking = await make(f"http://127.0.0.1:{free_port()}").rank(QUESTION)
    assert (ranking.retriever, ranking.shortfall) == ("lexical; reason=unreachable", "degraded")


async def test_three_failures_open_the_circuit_and_one_probe_closes_it(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    refused = await ranker.rank(QUESTION)
    assert (refused.retriever, refused.shortfall) == ("lexical; reason=circuit-open", "degraded")
    assert len(retriever.requests) == 3
    clock.now += FIRST_PAUSE_SECONDS
    gate = Gate()
    retriever.queue(lambda request: answered_behind(gate, retriever, request), path="rank")
    probe = asyncio.ensure_future(ranker.rank(QUESTION))
    await gate.reached.wait()
    beside = await asyncio.gather(*(ranker.rank(QUESTION) for _ in range(5)))
    assert {one.retriever for one in beside} == {"lexical; reason=circuit-open"}
    gate.open()
    assert (await probe).retriever == "gpu"
    assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert ranker.outcomes == {"unreachable": 3, "circuit-open": 6, "gpu": 2}


def answered_behind(gate: Gate, retriever: LoopbackRetriever, request: Recorded) -> Answer:
    told = json.dumps(retriever.ranking(request)).encode()
    return Answer(200, {"content-type": "application/json"}, told, before=gate)


@pytest.mark.parametrize("code", ["loading", "overloaded", "too_large", "deadline"])
async def test_a_tier_that_is_busy_is_asked_again(
    make: Make, retriever: LoopbackRetriever, code: Any
) -> None:
    ranker = make()
    retriever.queue(*[failure(code)] * 4, path="rank")
    for _ in range(4):
        await ranker.rank(QUESTION)
    assert (await ranker.rank(QUESTION)).retriever == "gpu"


async def test_who_leaves_takes_the_call_along_and_leaves_the_probe_to_the_next(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, Answer.silence(), path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    clock.now += FIRST_PAUSE_SECONDS
    aborted = retriever.connections_aborted
    leaving = asyncio.ensure_future(ranker.rank(QUESTION))
    await retriever.until(lambda: len(retriever.requests) == 4)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert leaving.cancelled()
    await retriever.until_aborted(aborted + 1)
    assert (await ranker.rank(QUESTION)).retriever == "gpu"


async def test_what_is_known_of_the_tier_is_told_without_asking_it(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    assert (ranker.standing().reachable, ranker.standing().heard_at) == (None, None)
    assert retriever.requests == []
    await ranker.rank(QUESTION)
    standing = ranker.standing()
    assert (standing.reachable, standing.answer_seconds) == (True, 0.0)
    assert standing.heard_at is not None


async def test_a_tier_that_is_gone_is_known_to_be(make: Make) -> None:
    ranker = make(f"http://127.0.0.1:{free_port()}")
    for _ in range(3):
        await ranker.rank(QUESTION)
    assert ranker.standing().reachable is False
    assert ranker.standing().heard_at is None
