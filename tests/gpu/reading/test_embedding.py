"""Callers who go, owners who are forgotten and deadlines that pass while texts are embedded."""

import asyncio
from collections.abc import Iterator

import pytest

from retriever.errors import DeadlinePassed
from retriever_contract.wire import ForgetRequest
from support.embedders import Letters
from support.engines import Bench, bench, rank_request, until
from support.readers import OWNER

TEXTS = tuple(f"user: {i} the cat sleeps on the warm stove in winter" for i in range(8))
OTHER = "f" * 16


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def here(letters: Letters) -> Iterator[Bench]:
    made = bench(embedder=letters)
    yield made
    made.engine.close()


def vectors(here: Bench) -> int:
    return len(here.reader.cache.vectors)


async def test_forgetting_while_texts_are_embedded_leaves_no_vector(
    here: Bench, letters: Letters
) -> None:
    with letters.held():
        asked = asyncio.create_task(here.rank(TEXTS, "cat?"))
        await until(letters.entered)
        forgetting = asyncio.create_task(here.engine.forget(ForgetRequest(owner=OWNER, epoch=1)))
        await asyncio.sleep(0)
    await forgetting
    with pytest.raises(DeadlinePassed, match="forgotten"):
        await asked
    assert vectors(here) == 0
    with pytest.raises(DeadlinePassed, match="forgotten"):
        await here.rank(TEXTS, "cat?")
    letters.asked.clear()
    await here.rank(TEXTS, "cat?", epoch=1)
    assert sorted(letters.texts) == sorted([*TEXTS, "cat?"])


async def test_forgetting_one_leaves_anothers_embedding_at_work(
    here: Bench, letters: Letters
) -> None:
    with letters.held():
        asked = asyncio.create_task(here.rank(TEXTS, "cat?", owner=OTHER))
        await until(letters.entered)
        forgetting = asyncio.create_task(here.engine.forget(ForgetRequest(owner=OWNER)))
        await asyncio.sleep(0)
    await forgetting
    assert len(((await asked).embedded or [[]])[0]) == len(TEXTS)
    assert vectors(here) == len(TEXTS)


async def test_a_caller_that_goes_while_texts_are_embedded_leaves_them_ready(
    here: Bench, letters: Letters
) -> None:
    with letters.held():
        asked = asyncio.create_task(here.rank(TEXTS, "cat?"))
        await until(letters.entered)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await here.idle()
    letters.asked.clear()
    await here.rank(TEXTS, "who?")
    assert letters.texts == ["who?"]


async def test_past_the_deadline_the_embedding_goes_on_for_the_next_question(
    here: Bench, letters: Letters
) -> None:
    with letters.held(), pytest.raises(DeadlinePassed) as late:
        await here.engine.rank(rank_request(TEXTS, "cat?", milliseconds=1, partial=True))
    assert late.value.embeds
    await here.idle()
    letters.asked.clear()
    await here.rank(TEXTS, "who?")
    assert letters.texts == ["who?"]


async def test_two_owners_at_once_have_a_vector_each_and_one_owner_one_for_both_questions(
    here: Bench, letters: Letters
) -> None:
    asked = [("cat?", OWNER), ("who?", OWNER), ("cat?", OTHER)]
    answers = await asyncio.gather(*(here.rank(TEXTS, query, owner=one) for query, one in asked))
    assert [len((one.embedded or [[]])[0]) for one in answers] == [len(TEXTS)] * 3
    assert vectors(here) == 2 * len(TEXTS)
    assert letters.texts.count(TEXTS[0]) == 2
