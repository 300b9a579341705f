"""A receipt passes to the next message of its turn, and to none of another turn."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.heirs import bequeathed
from gateway.memory.records import Record, new_id
from gateway.memory.segments import MESSAGE_BYTES, size
from support.memories import NOON, record

SECOND = 1.0


def turn(at: float, *roles: str, answers: int = 1, session: str = "s") -> list[Record]:
    """What was asked, the first message with the receipt, and answers a second later."""
    bits = Random(at)
    asked = [record(bits, role, f"{role} {at}", at=at, session=session) for role in roles]
    receipt = {"id": new_id(at, bits.getrandbits, "r")}
    asked[0] = replace(asked[0], receipt=receipt)
    later = at + SECOND
    return asked + [
        record(bits, "assistant", f"answer {n}", at=later, session=session) for n in range(answers)
    ]


def carriers(records: list[Record], gone: set[str]) -> list[str]:
    left = [one for one in bequeathed(records, gone) if one.id not in gone]
    return [one.content for one in left if one.receipt]


def test_the_answer_carries_on_what_its_question_carried() -> None:
    said = turn(NOON, "user")
    assert carriers(said, {said[0].id}) == ["answer 0"]
    assert carriers(said, {one.id for one in said}) == []
    assert bequeathed(said, {said[1].id}) == said


def test_nothing_goes_to_another_turn_or_session() -> None:
    first, second = turn(NOON, "user"), turn(NOON + 10, "user")
    elsewhere = turn(NOON + 0.5, "user", session="t")
    noted = record(Random(9), "user", "noted", at=NOON + 5, session="s")
    gone = {one.id for one in first}
    own = [second[0].content, elsewhere[0].content]
    assert carriers([*first, *second, *elsewhere], gone) == own
    assert carriers([*first, *elsewhere, *second], gone) == own[::-1]
    assert carriers([*first, noted], gone) == []
    apart = [first[0], *elsewhere, first[1]]
    assert carriers(apart, {first[0].id}) == [elsewhere[0].content, "answer 0"]


def test_what_could_not_be_stored_any_more_inherits_nothing() -> None:
    said = turn(NOON, "user", answers=2)
    said[1] = replace(said[1], content="x" * (MESSAGE_BYTES - size(replace(said[1], content=""))))
    assert carriers(said, {said[0].id}) == ["answer 1"]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_a_receipt_stands_once_as_long_as_anything_of_its_turn_does(
    sizes: list[int], data: st.DataObject
) -> None:
    turns = [turn(NOON + 10 * n, "user", "tool", answers=size) for n, size in enumerate(sizes)]
    said = [one for each in turns for one in each]
    ids = [one.id for one in said]
    for _ in range(2):  # one loss after another
        gone = data.draw(st.sets(st.sampled_from(ids)))
        said = [one for one in bequeathed(said, gone) if one.id not in gone]
        left = {one.id for one in said}
        carried = [one.receipt["id"] for one in said if one.receipt]
        standing = [
            each[0].receipt["id"]
            for each in turns
            if each[0].receipt and any(one.id in left for one in each)
        ]
        assert carried == standing
