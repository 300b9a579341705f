"""Who enters, who goes, and what is read on for those who have gone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from retriever.errors import Failed, Overloaded
from support.callers import LONG, MORE, OWNERS, TEXTS, Make, as_awaitable, forget, scores
from support.engines import Bench, until


async def test_a_full_queue_sends_away_and_empties_again(make: Make) -> None:
    desk = make(queue_length=2)
    with desk.decoder.held():
        waiting = [asyncio.create_task(desk.rank(TEXTS, owner=owner)) for owner in OWNERS[:2]]
        await until(lambda: desk.engine.health().waiting == 2)
        for refused in (desk.rank(TEXTS), as_awaitable(desk.engine.prefill, TEXTS)):
            with pytest.raises(Overloaded) as overloaded:
                await refused
            assert overloaded.value.retry_after_seconds == 1.0
    await asyncio.gather(*waiting)
    assert desk.engine.health().waiting == 0
    await desk.rank(TEXTS)
    assert desk.engine.health().waiting == 0


async def test_callers_gone_leave_their_places_in_the_queue(make: Make) -> None:
    desk = make(queue_length=2)
    with desk.decoder.held():
        gone = [asyncio.create_task(desk.rank(LONG, owner=owner)) for owner in OWNERS[:2]]
        await until(desk.decoder.entered)
        await until(lambda: desk.engine.health().waiting == 2)
        for one in gone:
            one.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        asked = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[2]))
        await until(lambda: desk.engine.health().waiting == 3)
    assert len(scores(await asked)) == len(TEXTS)
    await desk.idle()
    assert (await desk.rank(LONG, owner=OWNERS[1])).work.tokens_cached > 0


async def test_so_many_callers_gone_fill_the_engine_all_the_same(make: Make) -> None:
    desk = make(queue_length=1)
    with desk.decoder.held():
        for number, owner in enumerate(OWNERS[:4]):
            gone = asyncio.create_task(desk.rank(TEXTS, owner=owner))
            await until(on_the_way(desk, number + 1))
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        with pytest.raises(Overloaded):
            await desk.rank(TEXTS, owner=OWNERS[4])
    await desk.idle()
    assert len(scores(await desk.rank(TEXTS, owner=OWNERS[4]))) == len(TEXTS)


def on_the_way(desk: Bench, requests: int) -> Callable[[], bool]:
    return lambda: desk.engine.health().waiting == requests


async def test_who_waits_when_it_closes_is_told(make: Make) -> None:
    desk = make()
    with desk.decoder.held():
        asked = [asyncio.create_task(desk.rank(LONG, owner=owner)) for owner in OWNERS[:3]]
        await until(lambda: desk.engine.health().waiting == 3)
        closing = asyncio.create_task(asyncio.to_thread(desk.engine.close))
        await asyncio.sleep(0)
    await closing
    for one in asked:
        with pytest.raises(Failed, match="shutting down"):
            await one
    assert desk.engine.health().waiting == 0


async def test_who_comes_after_it_closed_is_told_at_once(make: Make) -> None:
    desk = make()
    desk.engine.close()
    late: list[Awaitable[object]] = [
        desk.rank(TEXTS),
        desk.engine.forget(forget(OWNERS[0])),
        as_awaitable(desk.engine.prefill, TEXTS),
    ]
    for one in late:
        with pytest.raises(Failed, match="shutting down"):
            await one


async def test_a_caller_that_went_leaves_its_memory_ready(make: Make) -> None:
    desk = make()
    with desk.decoder.held():
        asked = asyncio.create_task(desk.rank(LONG))
        await until(desk.decoder.entered)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await desk.idle()
    answer = await desk.rank(LONG)
    assert answer.work.tokens_cached == answer.work.tokens


async def test_callers_that_go_at_any_moment_leave_the_worker_at_work(make: Make) -> None:
    desk = make()
    for steps in range(60):
        asked = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[steps % 6], epoch=steps))
        forgot = asyncio.create_task(desk.engine.forget(forget(OWNERS[(steps + 1) % 6])))
        for _ in range(steps * 3):
            await asyncio.sleep(0)
        asked.cancel()
        forgot.cancel()
        await asyncio.gather(asked, forgot, return_exceptions=True)
    await desk.idle()
    assert len(scores(await desk.rank(TEXTS))) == len(TEXTS)


async def test_one_reading_an_owner_goes_on_when_callers_have_gone(make: Make) -> None:
    """The newest; what is asked for that needs the same stands in for it."""
    desk = make()
    with desk.decoder.held():
        for number in range(5):
            gone = asyncio.create_task(desk.rank((f"{number}", *LONG), owner=OWNERS[0]))
            await until(on_the_way(desk, number + 1))
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        assert desk.engine.health().waiting == 5
        other = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[1]))
        await until(lambda: desk.engine.health().waiting == 6)
    await other
    assert desk.engine.health().waiting <= 1
    await desk.idle()
    newest = await desk.rank(("4", *LONG), owner=OWNERS[0])
    assert newest.work.tokens_cached == newest.work.tokens
    assert (await desk.rank(("2", *LONG), owner=OWNERS[0])).work.tokens_cached == 0


async def test_a_newer_question_reads_on_what_its_owner_has_given_up(make: Make) -> None:
    desk = make()
    with desk.decoder.held():
        gone = asyncio.create_task(desk.rank(LONG))
        await until(desk.decoder.entered)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        asked = asyncio.create_task(desk.rank((*LONG, MORE)))
        await until(lambda: desk.engine.health().waiting == 2)
    answer = await asked
    assert desk.engine.health().waiting == 0
    assert desk.reader.cache.counts.tokens_read == answer.work.tokens
    lone = make()
    assert scores(answer) == pytest.approx(scores(await lone.rank((*LONG, MORE))), abs=1e-6)


def test_the_engine_is_free_to_go_at_once(make: Make) -> None:
    desk = make()
    desk.engine.close()
    desk.engine.close()
    assert desk.decoder.passes == []
