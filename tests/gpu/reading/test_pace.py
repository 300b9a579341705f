"""Who is told at once that it takes too long, and who waits."""

import asyncio

import pytest

from retriever.errors import DeadlinePassed
from support.callers import LONG, OWNERS, TEXTS, Make, scores
from support.engines import until


async def test_past_the_deadline_the_reading_goes_on_for_the_next_question(make: Make) -> None:
    desk = make()
    with desk.decoder.held(), pytest.raises(DeadlinePassed):
        await desk.rank(LONG, milliseconds=1)
    await desk.idle()
    passes = len(desk.decoder.passes)
    answer = await desk.rank(LONG)
    assert answer.work.tokens_cached == answer.work.tokens > 64
    assert [one.readings for one in desk.decoder.passes[passes:]] == [0]


async def test_who_cannot_be_answered_in_time_is_told_at_once(make: Make) -> None:
    """By the clock it takes eight hundred seconds to read; the reading goes on."""
    desk = make()
    desk.decoder.seconds_a_row = 1.0
    await desk.rank(TEXTS, owner=OWNERS[0])
    with pytest.raises(DeadlinePassed, match="Cannot"):
        await desk.rank(LONG, owner=OWNERS[1], milliseconds=100_000)
    await desk.idle()
    answer = await desk.rank(LONG, owner=OWNERS[1], milliseconds=100_000)
    assert answer.work.tokens_cached == answer.work.tokens > 400


async def test_who_may_be_answered_in_time_waits(make: Make) -> None:
    desk = make()
    desk.decoder.seconds_a_row = 1.0
    await desk.rank(TEXTS, owner=OWNERS[0])
    assert len(scores(await desk.rank(LONG, owner=OWNERS[1], milliseconds=600_000))) == len(LONG)


async def test_before_anything_was_read_nobody_is_told_that_it_takes_too_long(make: Make) -> None:
    desk = make()
    desk.decoder.seconds_a_row = 1.0
    assert len(scores(await desk.rank(LONG, milliseconds=100_000))) == len(LONG)


async def test_what_is_read_for_others_first_counts(make: Make) -> None:
    desk = make()
    desk.decoder.seconds_a_row = 1.0
    await desk.rank(TEXTS, owner=OWNERS[0])
    with desk.decoder.held():
        long = asyncio.create_task(desk.rank(LONG, owner=OWNERS[1]))
        await until(desk.decoder.entered)
        short = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[2], milliseconds=200_000))
        warm = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[0], milliseconds=200_000))
        await until(lambda: desk.engine.health().waiting == 3)
    with pytest.raises(DeadlinePassed, match="Cannot"):
        await short
    assert len(scores(await warm)) == len(TEXTS)
    await long
