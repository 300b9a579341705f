"""Many callers, one worker: who gets what, who waits, and what goes on when something fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import torch

from retriever.errors import DeadlinePassed, Failed, Overloaded, TooLarge
from retriever_contract.wire import ForgetRequest, RankAnswer
from support.engines import Bench, bench, prefill_request, rank_request, until
from support.readers import desk
from support.tiny_models import tiny_model, tiny_tokenizer

OWNERS = [letter * 16 for letter in "abcdef"]
TEXTS = (
    "user: the cat sleeps on the warm stove in winter",
    "assistant: that sounds cosy, and does she stay there at night?",
    "user: no, at night she is out on the roofs of the town",
)
MORE = "user: and in summer she sleeps in the garden"
LONG = tuple(f"{i} {text}" for i in range(6) for text in TEXTS)
MARK = "~"  # of texts that the model fails at

Make = Callable[..., Bench]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Bench] = []

    def one(**over: Any) -> Bench:
        made.append(bench(**over))
        return made[-1]

    yield one
    for each in made:
        each.engine.close()


def scores(answer: RankAnswer) -> list[float]:
    return [one.score for one in answer.scores[0]]


def forget(owner: str, epoch: int = 0) -> ForgetRequest:
    return ForgetRequest(owner=owner, epoch=epoch)


def fails_at_mark(desk: Bench, error: BaseException) -> None:
    ids = tiny_tokenizer().encode(MARK, add_special_tokens=False)
    desk.decoder.error, desk.decoder.fails_at = error, ids[0]


def test_the_engine_is_free_to_go_at_once(make: Make) -> None:
    desk = make()
    desk.engine.close()
    desk.engine.close()
    assert desk.decoder.passes == []


async def test_callers_at_once_get_what_each_gets_alone(make: Make) -> None:
    together, lone = make(), desk(tiny_model("llama", seed=3))
    memories = [TEXTS, LONG, TEXTS[:1], TEXTS[::-1], (*TEXTS, MORE), TEXTS[1:]]
    asked = ["where is the cat?", "who sleeps?", "", "night", "summer", "the town"]
    answers = await asyncio.gather(
        *(
            together.rank(texts, query, owner=owner)
            for texts, query, owner in zip(memories, asked, OWNERS, strict=True)
        )
    )
    for texts, query, owner, answer in zip(memories, asked, OWNERS, answers, strict=True):
        assert scores(answer) == pytest.approx(lone.rank(texts, query, owner=owner)[0], abs=1e-6)


async def test_one_owners_questions_at_once_get_what_each_gets_alone(make: Make) -> None:
    together, lone = make(), desk(tiny_model("llama", seed=3))
    asked = ["where is the cat?", "who sleeps?", "at night", "where is the cat?"]
    memories = [TEXTS, (*TEXTS, MORE), TEXTS[:2], TEXTS]
    answers = await asyncio.gather(*map(together.rank, memories, asked))
    for texts, query, answer in zip(memories, asked, answers, strict=True):
        assert scores(answer) == pytest.approx(lone.rank(texts, query)[0], abs=1e-6)


async def test_scores_come_with_the_ids_they_belong_to_and_what_they_cost(make: Make) -> None:
    desk = make()
    request = rank_request(TEXTS, "cat?", "dog?")
    answer = await desk.engine.rank(request)
    wanted = [chunk.id for window in request.windows for chunk in window.chunks]
    assert [[one.id for one in of_query] for of_query in answer.scores] == [wanted, wanted]
    assert answer.work.windows == 1
    assert answer.work.tokens == desk.reader.cache.counts.tokens_read
    assert answer.work.tokens_cached == 0


async def test_nothing_to_rank_is_answered_at_once(make: Make) -> None:
    answer = await make().rank([])
    assert answer.scores == [[]]
    assert answer.work.tokens == 0


async def test_past_the_deadline_the_reading_goes_on_for_the_next_question(make: Make) -> None:
    desk = make()
    with desk.decoder.held(), pytest.raises(DeadlinePassed):
        await desk.rank(LONG, milliseconds=1)
    await desk.idle()
    passes = len(desk.decoder.passes)
    answer = await desk.rank(LONG)
    assert answer.work.tokens_cached == answer.work.tokens > 64
    assert [one.readings for one in desk.decoder.passes[passes:]] == [0]


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


async def as_awaitable(prefill: Callable[..., object], texts: tuple[str, ...]) -> None:
    prefill(prefill_request(texts))


async def test_more_text_than_the_cache_could_hold_is_refused_unread(make: Make) -> None:
    desk = make(max_bytes=100_000)
    with pytest.raises(TooLarge):
        await desk.rank(["word " * 700] * 10)
    with pytest.raises(TooLarge):
        desk.engine.prefill(prefill_request(["word " * 700] * 10))
    assert desk.engine.health().waiting == 0
    assert desk.decoder.passes == []


async def test_more_tokens_than_the_cache_could_hold_are_refused_unread(make: Make) -> None:
    """Characters are guessed at first, tokens are known when they have been counted."""
    desk = make(max_bytes=300_000)
    text = "日本語の長い文章です。" * 10
    assert len(text) * 6 // 8 * desk.reader.bytes_per_token < 300_000
    with pytest.raises(TooLarge):
        await desk.rank([f"{i} {text}" for i in range(6)])
    assert desk.decoder.passes == []
    assert desk.engine.health().waiting == 0
    assert desk.engine.health().cache is not None
    assert len(scores(await desk.rank(TEXTS[:1]))) == 1


async def test_too_large_a_memory_leaves_warm_what_was_kept(make: Make) -> None:
    desk = make(max_bytes=600_000)
    await desk.rank(TEXTS)
    with pytest.raises(TooLarge):
        await desk.rank([*TEXTS, *("日本語の長い文章です。" * 10 for _ in range(6))])
    answer = await desk.rank(TEXTS)
    assert answer.work.tokens_cached == answer.work.tokens


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


async def test_after_a_prefill_a_question_runs_its_own_rows_alone(make: Make) -> None:
    desk = make()
    told = desk.engine.prefill(prefill_request(LONG))
    assert told.windows == 1
    await desk.idle()
    passes = len(desk.decoder.passes)
    answer = await desk.rank(LONG, "who?")
    assert answer.work.tokens_cached == answer.work.tokens
    (own,) = desk.decoder.passes[passes:]
    assert (own.questions, own.readings, own.rows) == (1, 0, len(tail_of("who?")))


def tail_of(query: str) -> list[int]:
    return list(desk(tiny_model("llama", seed=3)).prompt.tail(query))


async def test_a_prefill_of_what_is_ready_costs_no_pass(make: Make) -> None:
    desk = make()
    await desk.rank(TEXTS)
    passes = len(desk.decoder.passes)
    desk.engine.prefill(prefill_request(TEXTS))
    await desk.idle()
    assert len(desk.decoder.passes) == passes


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


def on_the_way(desk: Bench, requests: int) -> Callable[[], bool]:
    return lambda: desk.engine.health().waiting == requests


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


async def test_what_nobody_asks_for_goes_when_its_time_is_over(make: Make) -> None:
    desk = make(idle_seconds=0.5)
    await desk.rank(TEXTS)
    assert windows(desk) == 1
    desk.clock.now += 1.0
    await until(lambda: windows(desk) == 0)


def windows(desk: Bench) -> int:
    figures = desk.engine.health().cache
    assert figures is not None
    return figures.windows


async def test_health_says_what_was_done(make: Make) -> None:
    desk = make()
    cold = await desk.rank(TEXTS)
    await desk.rank(TEXTS)
    await desk.rank((*TEXTS, MORE))
    await desk.idle()
    await asyncio.to_thread(desk.engine.close)
    health = desk.engine.health()
    assert health.status == "ready"
    assert health.facts is not None
    assert health.facts.model == "tiny"
    assert health.cache is not None
    assert (health.cache.hits, health.cache.misses, health.cache.evicted) == (2, 1, 0)
    assert health.cache.tokens_cached == 2 * cold.work.tokens
    assert health.cache.tokens_read == desk.reader.cache.counts.tokens_read > cold.work.tokens
    assert 0 < health.cache.bytes <= health.cache.max_bytes
    assert health.cache.windows == 1
    assert health.waiting == 0
