"""Passes: what shares one, what waits for room, and what goes on when one fails."""

import asyncio

import pytest
import torch

from retriever.errors import DeadlinePassed, Failed
from support.callers import LONG, MORE, OWNERS, TEXTS, Make, forget, scores
from support.engines import Bench, until
from support.readers import desk
from support.tiny_models import tiny_model, tiny_tokenizer

MARK = "~"  # of texts that the model fails at


async def test_what_fails_fails_alone(make: Make) -> None:
    desk = make(pass_rows=256)  # the first is read in one pass, the bad one fills the next
    fails_at_mark(desk, RuntimeError("of what was said: cat"))
    with desk.decoder.held():
        busy = asyncio.create_task(desk.rank(TEXTS[:1], owner=OWNERS[0]))
        await until(desk.decoder.entered)
        bad = asyncio.create_task(desk.rank([MARK * 300, *TEXTS], owner=OWNERS[1]))
        good = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[2]))
        await until(lambda: desk.engine.health().waiting == 3)
    with pytest.raises(Failed) as failed:
        await bad
    assert str(failed.value) == "RuntimeError"
    lone = make()
    assert scores(await good) == pytest.approx(scores(await lone.rank(TEXTS)), abs=1e-6)
    await busy
    assert desk.engine.health().waiting == 0


def fails_at_mark(desk: Bench, error: BaseException) -> None:
    ids = tiny_tokenizer().encode(MARK, add_special_tokens=False)
    desk.decoder.error, desk.decoder.fails_at = error, ids[0]


async def test_a_failed_pass_leaves_nothing_in_the_cache(make: Make) -> None:
    desk = make()
    fails_at_mark(desk, torch.OutOfMemoryError("no room"))
    with pytest.raises(Failed, match="OutOfMemoryError"):
        await desk.rank([*TEXTS, MARK])
    await desk.idle()
    assert len(desk.reader.cache) == 0
    desk.decoder.error = None
    again = await desk.rank([*TEXTS, MARK])
    assert again.work.tokens_cached == 0
    lone = make()
    assert scores(again) == pytest.approx(scores(await lone.rank([*TEXTS, MARK])), abs=1e-6)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no room"), SystemExit(3)])
@pytest.mark.parametrize("place", ["begin", "step"])
async def test_the_worker_outlives_whatever_its_reader_raises(
    make: Make, monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException
) -> None:
    desk = make()

    def broken(*_: object) -> None:
        raise error

    with monkeypatch.context() as broke:
        broke.setattr(desk.reader, place, broken)
        with pytest.raises(Failed, match=type(error).__name__):
            await desk.rank(TEXTS)
    assert desk.engine.health().waiting == 0
    assert len(scores(await desk.rank(TEXTS))) == len(TEXTS)


async def test_the_worker_outlives_an_eviction_that_fails(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make()

    def broken(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    with monkeypatch.context() as broke:
        broke.setattr(desk.reader.cache, "evict", broken)
        with pytest.raises(Failed, match="OutOfMemoryError"):
            await desk.rank(TEXTS)
    assert len(scores(await desk.rank(TEXTS))) == len(TEXTS)


async def test_scores_that_are_no_numbers_fail_and_are_not_kept(make: Make) -> None:
    """As a type too narrow for its model gives them."""
    model = tiny_model("llama", seed=3)
    desk = make(model=model)
    torch.nn.init.constant_(model.model.layers[1].self_attn.q_proj.weight, float("nan"))
    with pytest.raises(Failed, match="ArithmeticError"):
        await desk.rank(TEXTS)
    assert len(desk.reader.cache) == 0


async def test_a_warm_question_overtakes_a_long_reading(make: Make) -> None:
    desk = make()
    await desk.rank(TEXTS, owner=OWNERS[0])
    passes = len(desk.decoder.passes)
    with desk.decoder.held():
        cold = asyncio.create_task(desk.rank(LONG, owner=OWNERS[1]))
        await until(desk.decoder.entered)
        warm = asyncio.create_task(desk.rank(TEXTS, "who?", owner=OWNERS[0]))
        await until(lambda: desk.engine.health().waiting == 2)
    await warm
    await cold
    first, second, *rest = desk.decoder.passes[passes:]
    assert (first.readings, second.questions, second.readings) == (1, 1, 0)
    assert len(rest) > 3


async def test_questions_that_arrive_together_share_a_pass(make: Make) -> None:
    desk = make()
    for owner in OWNERS[:3]:
        await desk.rank(TEXTS, owner=owner)
    passes = len(desk.decoder.passes)
    with desk.decoder.held():
        busy = asyncio.create_task(desk.rank(TEXTS, owner=OWNERS[3]))
        await until(desk.decoder.entered)
        asked = [asyncio.create_task(desk.rank(TEXTS, "who?", owner=one)) for one in OWNERS[:2]]
        await until(lambda: desk.engine.health().waiting == 3)
    await asyncio.gather(busy, *asked)
    assert desk.decoder.passes[passes + 1].questions == 2


async def test_many_large_memories_at_once_take_no_more_than_the_cache_may(make: Make) -> None:
    """They wait for one another, in the order they came; each is read in the end."""
    size = large(make())
    desk = make(max_bytes=size * 3 // 2, window_tokens=150)
    answers = await asyncio.gather(*(desk.rank(LONG, owner=owner) for owner in OWNERS))
    assert {len(scores(answer)) for answer in answers} == {len(LONG)}
    assert desk.decoder.most_bytes <= size * 3 // 2  # six of them would be 6
    assert desk.engine.health().waiting == 0


def large(of: Bench) -> int:
    """Bytes of `LONG` in windows of 150 tokens."""
    narrow = desk(tiny_model("llama", seed=3), window_tokens=150)
    return narrow.reader.bytes_of(narrow.begin(LONG, "cat?"))


async def test_callers_gone_while_in_line_hold_nobody_up(make: Make) -> None:
    size = large(make())
    desk = make(max_bytes=size * 3 // 2, window_tokens=150)
    with desk.decoder.held():
        first = asyncio.create_task(desk.rank(LONG, owner=OWNERS[0]))
        await until(desk.decoder.entered)
        gone = [asyncio.create_task(desk.rank(LONG, owner=one)) for one in OWNERS[1:4]]
        await until(lambda: desk.engine.health().waiting == 4)
        for one in gone:
            one.cancel()
        forgotten = asyncio.create_task(desk.rank(LONG, owner=OWNERS[4]))
        await until(lambda: desk.engine.health().waiting == 5)
        await asyncio.gather(*gone, return_exceptions=True)
        forgetting = asyncio.create_task(desk.engine.forget(forget(OWNERS[4])))
        await asyncio.sleep(0)
    await forgetting
    with pytest.raises(DeadlinePassed):
        await forgotten
    await first
    assert len(scores(await desk.rank(TEXTS, owner=OWNERS[5]))) == len(TEXTS)
    await desk.idle()


async def test_a_warm_question_waits_for_one_pass_whoever_stands_in_line(make: Make) -> None:
    """A reads, and A's next turn waits for room."""
    desk = make(max_bytes=large(make()) * 5 // 4, window_tokens=150)
    await desk.rank(TEXTS, owner=OWNERS[1])
    passes = len(desk.decoder.passes)
    with desk.decoder.held():
        first = asyncio.create_task(desk.rank(LONG, owner=OWNERS[0]))
        await until(desk.decoder.entered)
        second = asyncio.create_task(desk.rank(LONG[::-1], owner=OWNERS[0]))
        await until(lambda: desk.engine.health().waiting == 2)
        warm = asyncio.create_task(desk.rank(TEXTS, "who?", owner=OWNERS[1]))
        await until(lambda: desk.engine.health().waiting == 3)
    await warm
    assert not second.done()
    cold, own = desk.decoder.passes[passes : passes + 2]
    assert (cold.readings, own.readings) == (1, 0)
    assert own.questions == (await warm).work.windows
    await asyncio.gather(first, second)


async def test_the_next_turn_of_one_who_is_read_needs_no_room_of_its_own(make: Make) -> None:
    size = large(make())
    desk = make(max_bytes=size * 5 // 4, window_tokens=150)
    with desk.decoder.held():
        first = asyncio.create_task(desk.rank(LONG))
        await until(desk.decoder.entered)
        second = asyncio.create_task(desk.rank((*LONG, MORE), "who?"))
        await until(lambda: desk.engine.health().waiting == 2)
    answers = await asyncio.gather(first, second)
    assert desk.decoder.most_bytes <= size * 5 // 4
    assert [len(scores(answer)) for answer in answers] == [len(LONG), len(LONG) + 1]
    assert desk.reader.cache.counts.tokens_read == answers[1].work.tokens


async def test_memories_that_change_take_no_more_than_the_cache_may(make: Make) -> None:
    """Each turn its window is another from the middle on."""
    size = large(make())
    desk = make(max_bytes=size * 3 // 2, window_tokens=150)
    for turn in range(4):
        changed = (*LONG[:9], f"{turn} {MORE}", *LONG[9:])
        await asyncio.gather(*(desk.rank(changed, owner=owner) for owner in OWNERS[:3]))
    assert desk.decoder.most_bytes <= size * 3 // 2
