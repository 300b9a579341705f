"""Packing: what leaves a tail, how it fills segments, and that nothing is lost on the way."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.memory.records import Record
from gateway.memory.segments import (
    SEGMENT_BYTES,
    TAIL_BYTES,
    TAIL_TURNS,
    Filled,
    describe,
    fill,
    overflow,
    size,
    turns,
    with_states,
)
from gateway.retrieval.terms import terms
from support.memories import NOON, record

roles = st.sampled_from(["user", "user", "assistant", "assistant", "tool"])
lengths = st.one_of(st.integers(0, 200), st.integers(0, 30_000), st.integers(0, 140_000))
shapes = st.lists(st.tuples(roles, lengths), max_size=60)


def said(shape: list[tuple[str, int]]) -> list[Record]:
    randomness = Random(3)
    return [
        record(randomness, role, "x" * length, sequence=i, session="s")
        for i, (role, length) in enumerate(shape)
    ]


def weight(records: list[Record]) -> int:
    return sum(map(size, records))


def joined(filled: list[Filled]) -> list[Record]:
    return [one for segment in filled for one in segment.records]


@given(shapes)
@settings(deadline=None)
def test_what_leaves_and_what_stays_are_the_tail_in_order(shape: list[tuple[str, int]]) -> None:
    tail = said(shape)
    leaving, staying = overflow(tail)
    assert leaving + staying == tail


@given(shapes)
@settings(deadline=None)
def test_a_tail_is_within_its_bounds_afterwards(shape: list[tuple[str, int]]) -> None:
    _, staying = overflow(said(shape))
    assert len(turns(staying)) <= TAIL_TURNS
    assert weight(staying) <= TAIL_BYTES


@given(shapes)
@settings(deadline=None)
def test_turns_leave_whole(shape: list[tuple[str, int]]) -> None:
    tail = said(shape)
    leaving, staying = overflow(tail)
    assert turns(leaving) + turns(staying) == turns(tail)


@given(shapes)
@settings(deadline=None)
def test_the_newest_turn_stays_unless_no_tail_could_hold_it(shape: list[tuple[str, int]]) -> None:
    tail = said(shape)
    _, staying = overflow(tail)
    newest = turns(tail)[-1] if tail else []
    assert staying[len(staying) - len(newest) :] == newest or weight(newest) > TAIL_BYTES


def test_a_tail_below_its_bounds_stays() -> None:
    tail = said([("user", 10), ("assistant", 10)] * TAIL_TURNS)
    assert overflow(tail) == ([], tail)


def test_one_turn_too_many_frees_half_the_room() -> None:
    _, staying = overflow(said([("user", 10), ("assistant", 10)] * (TAIL_TURNS + 1)))
    assert len(turns(staying)) == TAIL_TURNS // 2


@given(shapes, shapes)
@settings(deadline=None)
def test_segments_hold_everything_in_order(
    held: list[tuple[str, int]], shape: list[tuple[str, int]]
) -> None:
    records = said(held + shape)
    before, leaving = records[: len(held)], records[len(held) :]
    filled = fill(leaving, describe(4, 9, before).segment, before)
    assert joined(filled) == records
    assert [one.segment.number for one in filled] == list(range(4, 4 + len(filled)))


@given(shapes)
@settings(deadline=None)
def test_a_segment_is_within_its_bound_or_holds_one_message(shape: list[tuple[str, int]]) -> None:
    for one in fill(said(shape), None, []):
        assert weight(one.records) <= SEGMENT_BYTES or len(one.records) == 1


@given(shapes)
@settings(deadline=None)
def test_no_turn_that_fits_a_segment_is_cut(shape: list[tuple[str, int]]) -> None:
    records = said(shape)
    for turn in turns(records):
        homes = {one.segment.number for one in fill(records, None, []) if turn[0] in one.records}
        ends = {one.segment.number for one in fill(records, None, []) if turn[-1] in one.records}
        assert homes == ends or weight(turn) > SEGMENT_BYTES


def test_a_rewritten_segment_has_a_new_version() -> None:
    held = said([("user", 10)])
    open_segment = describe(2, 5, held).segment
    filled = fill(said([("user", 10), ("assistant", 10)]), open_segment, held)
    assert [(one.segment.number, one.segment.version) for one in filled] == [(2, 6)]


def test_a_segment_is_described_by_what_it_holds() -> None:
    segment = describe(2, 5, said([("user", 10), ("assistant", 2000)])).segment
    assert segment.count == 2
    assert segment.bytes > 2000
    assert segment.oldest_at == NOON


def test_the_manifest_finds_messages_and_receipts_by_their_time() -> None:
    randomness = Random(3)
    asked = record(randomness, "user", "x", at=NOON - 5)
    answer = record(randomness, "assistant", "x", at=NOON, receipt={"id": asked.id})
    segment = describe(0, 1, [answer]).segment
    assert segment.may_hold(answer.id)
    assert segment.may_hold(asked.id)
    assert not segment.may_hold(record(randomness, "user", "x", at=NOON - 6).id)
    assert not segment.may_hold("r-not-an-id")


def test_states_change_only_where_named() -> None:
    first, second = said([("user", 1), ("assistant", 1)])
    assert with_states([first, second], {"another": "forked"}) is None
    changed = with_states([first, second], {second.id: "superseded"})
    assert changed is not None
    assert [one.state for one in changed] == ["active", "superseded"]


def test_a_segment_that_grows_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    randomness, read = Random(3), list[str]()
    held = [record(randomness, "user", f"lake {i}") for i in range(8)]
    leaving = [record(randomness, "user", f"harbor {i}") for i in range(3)]
    before = describe(0, 1, held).segment

    def counted(text: str) -> list[str]:
        read.append(text)
        return terms(text)

    monkeypatch.setattr("gateway.memory.segments.terms", counted)
    (grown,) = fill(leaving, before, held)
    assert read == [one.content for one in leaving]
    assert grown == describe(0, 2, [*held, *leaving])


def test_a_coarse_sketch_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    randomness = Random(3)
    held, leaving = ([record(randomness, "user", text)] for text in ("lake", "harbor"))
    segment = describe(0, 1, held).segment
    coarse = replace(segment, sketch=segment.sketch.shrunk(64))
    assert fill(leaving, coarse, held) == [describe(0, 2, [*held, *leaving])]
