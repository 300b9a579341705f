"""Names of what the upstream keeps: the person's own alone, and for as long as it is kept."""

import pytest

from gateway.chat.names import KEPT_SECONDS, Names
from limits.clock import Clock
from support.memories import ALICE
from support.outages import Unreliable

TEAM = "workspace:team"


@pytest.fixture
def names(store: Unreliable, clock: Clock) -> Names:
    return Names(store, clock)


async def test_a_name_is_found_with_its_session(names: Names) -> None:
    await names.keep(ALICE, ALICE, ["resp_1", "rs_1"], "talk")
    found = await names.found(ALICE, ALICE, ["resp_1", "resp_2", "rs_1"])
    assert found == {"resp_1": "talk", "rs_1": "talk"}


async def test_a_name_is_nobody_elses_not_even_in_a_shared_memory(names: Names) -> None:
    await names.keep(TEAM, "key:ada", ["resp_1"], "talk")
    assert await names.found(TEAM, "key:bob", ["resp_1"]) == {}
    assert await names.found("key:ada", "key:ada", ["resp_1"]) == {}


async def test_a_name_is_forgotten_when_the_upstream_forgets(names: Names, clock: Clock) -> None:
    await names.keep(ALICE, ALICE, ["resp_1"], "talk")
    clock.now += KEPT_SECONDS - 1
    assert await names.found(ALICE, ALICE, ["resp_1"]) == {"resp_1": "talk"}
    clock.now += 1
    assert await names.found(ALICE, ALICE, ["resp_1"]) == {}


async def test_while_the_store_is_away_the_answer_is_still_an_answer(
    names: Names, store: Unreliable
) -> None:
    store.outcomes = ["refused"]
    await names.keep(ALICE, ALICE, ["resp_1"], "talk")
    assert await names.found(ALICE, ALICE, ["resp_1"]) == {}
