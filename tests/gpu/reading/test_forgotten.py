"""Owners who are forgotten: what goes, what is not read any more, and for how long."""

import asyncio

import pytest

from retriever.errors import DeadlinePassed
from support.callers import LONG, OWNERS, TEXTS, Make, forget, scores, windows
from support.engines import prefill_request, until


async def test_a_forgetting_that_nobody_waits_for_is_done(make: Make) -> None:
    desk = make()
    await desk.rank(TEXTS)
    with desk.decoder.held():
        busy = asyncio.create_task(desk.rank(LONG, owner=OWNERS[0]))
        await until(desk.decoder.entered)
        forgot = asyncio.create_task(desk.engine.forget(forget("0123456789abcdef")))
        await asyncio.sleep(0)
        forgot.cancel()
        await asyncio.gather(forgot, return_exceptions=True)
    await busy
    assert (await desk.rank(TEXTS)).work.tokens_cached == 0


async def test_forgetting_ends_what_is_being_read(make: Make) -> None:
    desk = make()
    with desk.decoder.held():
        asked = asyncio.create_task(desk.rank(LONG, owner=OWNERS[0]))
        other = asyncio.create_task(desk.rank(LONG, owner=OWNERS[1]))
        await until(desk.decoder.entered)
        await until(lambda: desk.engine.health().waiting == 2)
        forgetting = asyncio.create_task(desk.engine.forget(forget(OWNERS[0])))
        await asyncio.sleep(0)
    assert (await forgetting).windows == 1
    with pytest.raises(DeadlinePassed):
        await asked
    assert len(scores(await other)) == len(LONG)
    assert (await desk.engine.forget(forget(OWNERS[0]))).windows == 0
    assert (await desk.rank(LONG, owner=OWNERS[0])).work.tokens_cached == 0


async def test_who_was_forgotten_is_not_read_any_more_in_what_was_before(make: Make) -> None:
    desk = make()
    await desk.engine.forget(forget(OWNERS[0], epoch=3))
    await desk.engine.forget(forget(OWNERS[0], epoch=2))  # one that was held up
    with pytest.raises(DeadlinePassed):
        await desk.rank(TEXTS, owner=OWNERS[0], epoch=2)
    assert desk.engine.prefill(prefill_request(TEXTS, OWNERS[0], epoch=2)).windows == 0
    assert desk.engine.health().waiting == 0
    assert desk.decoder.passes == []
    assert len(scores(await desk.rank(TEXTS, owner=OWNERS[0], epoch=3))) == len(TEXTS)
    assert len(scores(await desk.rank(TEXTS, owner=OWNERS[1], epoch=2))) == len(TEXTS)


async def test_a_forgetting_is_remembered_until_nobody_can_have_anything_left(make: Make) -> None:
    desk = make()
    told = await desk.engine.forget(forget(OWNERS[0], epoch=3))
    desk.clock.now += told.horizon_seconds
    with pytest.raises(DeadlinePassed):
        await desk.rank(TEXTS, owner=OWNERS[0], epoch=2)
    desk.clock.now += 1.0
    assert len(scores(await desk.rank(TEXTS, owner=OWNERS[0], epoch=2))) == len(TEXTS)


async def test_so_many_owners_are_remembered_as_forgotten_and_no_more(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.reading.forgotten.MOST_FORGOTTEN", 2)
    desk = make()
    for owner in (OWNERS[0], OWNERS[1], OWNERS[0], OWNERS[2]):
        await desk.engine.forget(forget(owner, epoch=1))
    for owner, remembered in zip(OWNERS[:3], (True, False, True), strict=True):
        told = desk.engine.prefill(prefill_request(TEXTS, owner))
        assert (told.windows == 0) == remembered


async def test_forgetting_others_holds_up_no_window_that_is_idle(make: Make) -> None:
    desk = make(idle_seconds=600.0)
    await desk.rank(TEXTS)
    desk.clock.now += 601.0
    await desk.engine.forget(forget(OWNERS[0]))
    await until(lambda: windows(desk) == 0)


async def test_forgetting_one_changes_nothing_for_another(make: Make) -> None:
    desk = make()
    before = await desk.rank(TEXTS, owner=OWNERS[0])
    answer = await desk.engine.forget(forget(OWNERS[1]))
    assert answer.windows == 0
    assert answer.horizon_seconds == 600.0 + 30.0  # the worker looks that often
    after = await desk.rank(TEXTS, owner=OWNERS[0])
    assert after.work.tokens_cached == after.work.tokens == before.work.tokens
    assert scores(after) == pytest.approx(scores(before), abs=1e-6)
