"""What each thing a person does costs at the store, in billed operations, on either store alike."""

import pytest

from gateway.documents.metered import MeteredDocuments, Operations
from gateway.memory.recall import MAX_READ
from support.operations import CASES, Past

BILLED = {
    "a person's first turn": (3, 5, 0),
    "a turn after 20, cold": (2, 3, 0),
    "a turn after 20, warm": (2, 3, 0),
    "a turn after 200, cold": (4, 3, 0),
    "a turn after 200, warm": (2, 3, 0),
    "a turn after 2,000, cold": (10, 3, 0),
    "a turn after 2,000, warm": (2, 3, 0),
    "a turn after 20, cold, 4 open sessions": (5, 3, 0),
    "a turn after 20, warm, 4 open sessions": (5, 3, 0),
    "a turn after 2,000, cold, 4 open sessions": (10, 3, 0),
    "a turn after 2,000, warm, 4 open sessions": (5, 3, 0),
    "a turn under a global limit": (2, 4, 0),
    "a turn that reads the flags": (4, 3, 0),
    "a turn within a minute of it": (2, 3, 0),
    "a turn whose prompt outgrew its bound": (2, 4, 0),
    "a turn with an Idempotency-Key": (2, 5, 0),
    "the same request again": (3, 2, 0),
    "a turn found by its beginning": (3, 3, 0),
    "an edited question": (2, 3, 0),
    "a turn whose tail rolls over": (3, 5, 0),
    "the first turn of a fifth session": (8, 7, 0),
    "a refused request": (2, 2, 0),
    "a request refused from memory": (0, 0, 0),
    "/v1/compress with memory after 200, cold": (5, 1, 0),
    "reading back a session of 200": (4, 0, 0),
    "reading a receipt of 200 turns": (6, 0, 0),
    "editing a message": (3, 3, 0),
    "deleting a message": (3, 3, 0),
    "exporting 200 turns": (7, 0, 0),
    "listing four sessions": (4, 0, 0),
    "deleting a session of 200": (9, 5, 2),
    "erasing a person of 2,000 turns": (26, 2, 16),
}


@pytest.fixture
def past(documents: MeteredDocuments) -> Past:
    return Past(documents)


def test_every_case_has_its_figures() -> None:
    assert set(BILLED) == set(CASES)


@pytest.mark.parametrize("name", BILLED)
async def test_an_operation_costs(past: Past, name: str) -> None:
    assert await CASES[name](past) == Operations(*BILLED[name])


@pytest.mark.parametrize("sessions", [1, 4])
async def test_no_turn_reads_more_than_owner_head_and_eight(past: Past, sessions: int) -> None:
    """Whatever it asks for, and however little the instance has read before."""
    await past.of(800, sessions)
    gateway = past.gateway()
    for n in range(6):
        counted = await past.cost(gateway.says(f"What about w{n} and w{n * 1000} then?"))
        assert counted.reads <= 2 + MAX_READ
        assert counted.writes == 3


def test_the_target_of_a_turn_holds_for_every_plain_one() -> None:
    """Two reads and eight, three writes: flat as history grows."""
    plain = [BILLED[name] for name in BILLED if name.startswith("a turn after")]
    assert all(reads <= 10 and writes == 3 for reads, writes, _ in plain)


def test_a_person_of_two_thousand_turns_is_erased_in_under_a_hundred_deletes() -> None:
    assert BILLED["erasing a person of 2,000 turns"][2] < 100
