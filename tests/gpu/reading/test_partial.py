"""Answers in part: what is there in time, where a caller takes that."""

import asyncio
from collections.abc import Iterator

import pytest

from retriever.errors import DeadlinePassed
from retriever.reading.errand import HIGH_TIME
from support.embedders import Letters
from support.engines import EMBEDDING, Bench, bench, rank_request, told, until

TEXTS = tuple(f"user: {i} the cat sleeps on the warm stove in winter" for i in range(8))
FAR = told(["user: the zebra"])[0].model_copy(
    update={"chunks": [told(["user: the zebra"])[0].chunks[0].model_copy(update={"id": "far"})]}
)


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def here(letters: Letters) -> Iterator[Bench]:
    made = bench(embedder=letters, idle_seconds=1e6)
    letters.clock = made.clock
    yield made
    made.engine.close()


async def paced(here: Bench) -> None:
    """It has learnt that a row takes a second."""
    here.decoder.seconds_a_row = 1.0
    await here.rank(["user: something else"], "else?")


async def test_an_answer_has_the_likeness_of_all_that_was_named(here: Bench) -> None:
    answer = await here.engine.rank(rank_request(TEXTS, "zebra", beyond=[FAR]))
    assert answer.facts.embedding == EMBEDDING
    assert [one.id for one in answer.scores[0]] == [f"c{i}" for i in range(8)]
    assert answer.embedded is not None
    assert [one.id for one in answer.embedded[0]] == [*(f"c{i}" for i in range(8)), "far"]


async def test_without_an_embedding_an_answer_says_nothing_of_one() -> None:
    made = bench()
    answer = await made.engine.rank(rank_request(TEXTS[:1], "zebra", beyond=[FAR], partial=True))
    made.engine.close()
    assert "embed" not in answer.model_dump_json()
    assert [one.id for one in answer.scores[0]] == ["c0"]


async def test_who_takes_a_part_gets_likeness_where_reading_is_hopeless(here: Bench) -> None:
    await paced(here)
    request = rank_request(TEXTS, "zebra", milliseconds=2000, beyond=[FAR], partial=True)
    answer = await here.engine.rank(request)
    assert answer.scores == [[]]
    assert answer.embedded is not None
    assert len(answer.embedded[0]) == 9
    await here.idle()
    passes = len(here.decoder.passes)
    whole = await here.engine.rank(request)
    assert len(whole.scores[0]) == 8
    assert [one.readings for one in here.decoder.passes[passes:]] == [0]


async def test_who_wants_all_is_told_that_there_is_an_embedding(here: Bench) -> None:
    await paced(here)
    with pytest.raises(DeadlinePassed) as late:
        await here.engine.rank(rank_request(TEXTS, "zebra", milliseconds=2000))
    assert late.value.embeds


async def test_when_it_is_high_time_what_is_whole_is_answered(here: Bench) -> None:
    here.decoder.seconds_a_row = 1.0  # and it has not learnt that yet
    milliseconds = int(64 * 1000 / HIGH_TIME)
    request = rank_request(TEXTS, "zebra", milliseconds=milliseconds, partial=True)
    answer = await here.engine.rank(request)
    assert answer.scores == [[]]
    assert answer.embedded is not None


async def test_a_part_that_failed_is_no_answer(here: Bench, letters: Letters) -> None:
    """The clock that paces is ours: the caller's own lets it wait until all is read."""
    await paced(here)
    letters.error = ArithmeticError("no")
    request = rank_request(TEXTS, "zebra", milliseconds=100_000, beyond=[FAR], partial=True)
    answer = await here.engine.rank(request)
    assert len(answer.scores[0]) == 8
    assert answer.embedded is None


async def test_without_an_embedding_who_takes_a_part_is_told_at_once_what_is_hopeless() -> None:
    made = bench(idle_seconds=1e6)
    await paced(made)
    with pytest.raises(DeadlinePassed, match="Cannot") as late:
        await made.engine.rank(rank_request(TEXTS, "zebra", milliseconds=2000, partial=True))
    made.engine.close()
    assert not late.value.embeds


async def test_what_is_read_waits_for_no_likeness_that_comes_too_late(letters: Letters) -> None:
    """Nor to be told which windows are worth asking."""
    here = bench(embedder=letters, idle_seconds=1e6, asked_share=0.5)
    letters.clock = here.clock
    await here.rank(TEXTS[:2], "zebra")
    letters.seconds_a_text = 1000.0
    await here.rank(["user: something else"], "else?", owner="f" * 16)
    request = rank_request(TEXTS[:2], "zebra", milliseconds=90_000, beyond=[FAR], partial=True)
    answer = await here.engine.rank(request)
    here.engine.close()
    assert len(answer.scores[0]) == 2
    assert answer.embedded is None


async def test_a_warm_question_beside_a_memory_that_is_new_has_scores_and_likeness(
    here: Bench, letters: Letters
) -> None:
    """By the clock the other's vectors take three hundred seconds."""
    await here.rank(TEXTS, "zebra")
    letters.seconds_a_text = 1.0
    await here.rank(["user: something else"], "else?", owner="e" * 16)
    many = [f"user: {i} something new and as long as others are" for i in range(300)]
    with letters.held():
        new = asyncio.create_task(here.rank(many, "new?", owner="f" * 16))
        await until(letters.entered)
        request = rank_request(TEXTS, "cat?", milliseconds=60_000, partial=True)
        warm = asyncio.create_task(here.engine.rank(request))
        await until(lambda: here.engine.health().waiting == 2)
    answer = await warm
    await new
    assert len(answer.scores[0]) == len((answer.embedded or [[]])[0]) == 8


async def test_scores_go_without_likeness_that_takes_too_long(
    here: Bench, letters: Letters
) -> None:
    await here.rank(TEXTS[:2], "zebra")
    letters.seconds_a_text = 1000.0
    await here.engine.rank(rank_request(["user: something else"], "else?", owner="f" * 16))
    request = rank_request(TEXTS[:2], "zebra", milliseconds=90_000, beyond=[FAR], partial=True)
    answer = await here.engine.rank(request)
    assert len(answer.scores[0]) == 2
    assert answer.embedded is None
