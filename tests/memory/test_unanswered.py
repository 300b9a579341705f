"""Commits of a turn that nobody answers: applied or not, the turn is stored once or refused."""

import asyncio
from random import Random

import pytest

from gateway.documents.base import Add, StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.segments import TAIL_TURNS
from support.memories import ALICE, Scribe
from support.outages import Outcome, Silent, Unreliable

COUNTED = Add("limits/today", {"tokens": 5})


async def counted(documents: MeteredDocuments) -> float:
    (found,) = await documents.get(COUNTED.path)
    return found.fields["tokens"] if found else 0


@pytest.mark.parametrize("turns_before", [0, 1, 2 * TAIL_TURNS])
@pytest.mark.parametrize("outcome", ["refused", "unanswered", "late", "overtaken"])
async def test_one_commit_without_an_answer_stores_the_turn_once(
    documents: MeteredDocuments, scribe: Scribe, outcome: Outcome, turns_before: int
) -> None:
    """Whether it opens the session, only grows its head, or moves half of the tail away."""
    for n in range(turns_before):
        await scribe.append("s", *scribe.turn(f"question {n}", f"answer {n}"))
    store = Unreliable(documents, outcome)
    other = Scribe(store, seed=8)
    head = await other.append("s", *other.turn("once", "stored"), beside=[COUNTED])
    assert head.messages == 2 * turns_before + 2
    texts = await scribe.texts("s")
    assert len(texts) == 2 * turns_before + 2
    assert texts[-2:] == ["once", "stored"]
    assert await counted(documents) == 5


async def test_a_repetition_that_a_late_commit_overtakes_learns_so(
    documents: MeteredDocuments,
) -> None:
    store = Unreliable(documents, "late")
    scribe = Scribe(store)
    await scribe.append("s", *scribe.turn("once"))
    assert store.calls == ["get", "commit", "get", "commit", "get"]


async def test_a_turn_refused_though_it_was_stored_may_be_repeated(
    documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    """The same key finds it, under the turns that others have stored since."""
    store = Unreliable(documents, "cut off")
    scribe, other = Scribe(store, seed=1), Scribe(another, seed=2)
    turn = scribe.turn("once")
    with pytest.raises(StoreUnavailable):
        await scribe.append("s", *turn, key="k1", beside=[COUNTED])
    store.away = False
    for n in range(3):
        await other.append("s", *other.turn(f"later {n}"))
    await scribe.append("s", *turn, key="k1", beside=[COUNTED])
    assert (await scribe.texts("s")).count("once") == 1
    assert await counted(documents) == 5


async def test_a_store_that_stays_away_is_asked_twice_and_no_more(
    documents: MeteredDocuments,
) -> None:
    """Each call has the store's deadline, so a turn's end is told within four of them."""
    for outcomes, calls in (
        (("refused", "refused"), ["get", "commit", "get", "commit"]),
        (("away",), ["get", "commit", "get"]),
    ):
        store = Unreliable(documents, *outcomes)
        scribe = Scribe(store)
        with pytest.raises(StoreUnavailable):
            await scribe.append("s", *scribe.turn("never"), beside=[COUNTED])
        assert store.calls == calls
    assert await counted(documents) == 0


async def test_the_settlement_in_an_unanswered_commit_is_applied_once(
    documents: MeteredDocuments,
) -> None:
    store = Unreliable(documents)
    scribe = Scribe(store)
    limiter = Limiter(store, scribe.clock, Limits(tokens_per_minute=1000), "closed", Random(1))
    held = await limiter.admit(ALICE, 900)
    (settlement,) = limiter.settlement(held, 120)
    store.outcomes = ["unanswered"]
    await scribe.append("s", *scribe.turn("once"), beside=[settlement])
    (found,) = await documents.get(settlement.path)
    assert found is not None
    assert (found.fields["requests"], found.fields["tokens"]) == (1, 120)
    left = (await limiter.admit(ALICE, 880)).headers()
    assert left["x-ratelimit-remaining-tokens"] == "0"


async def test_turns_do_not_wait_out_a_silent_store_one_after_another(
    documents: MeteredDocuments,
) -> None:
    silent = Silent(documents)
    scribe = Scribe(silent)
    turns = [
        asyncio.create_task(scribe.append(f"s{n}", *scribe.turn(f"question {n}"))) for n in range(9)
    ]
    for _ in range(2):  # the first one's commit, and its repetition
        await silent.until_waiting(1)
        silent.give_up()
    for _ in range(2):
        await silent.until_waiting(8)
        silent.give_up()
    assert {type(one) for one in await asyncio.gather(*turns, return_exceptions=True)} == {
        StoreUnavailable
    }


async def test_turns_take_their_turns_again_when_the_store_is_back(
    documents: MeteredDocuments,
) -> None:
    store = Unreliable(documents, "refused", "refused")
    scribe = Scribe(store)
    with pytest.raises(StoreUnavailable):
        await scribe.append("s", *scribe.turn("never"))
    store.calls.clear()
    await asyncio.gather(*(scribe.append("s", *scribe.turn(f"question {n}")) for n in range(9)))
    assert store.calls == ["get", "commit"] * 9  # nobody lost a race
    assert len(await scribe.texts("s")) == 18
