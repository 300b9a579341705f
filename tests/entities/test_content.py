"""Statements that contradict one another: a chain in valid time, in whatever order they come."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entities.content import (
    MAX_STATEMENTS,
    Content,
    Statement,
    chain_of,
    with_added,
    with_removed,
    with_replaced,
)
from gateway.errors import BadRequest, TooLarge

TIMES = st.integers(1, 60)


def lives(id: str, at: float, ends: float | None = None) -> Statement:
    return Statement(id, "home", f"Lives in {id}.", at, ends)


def person(*statements: Statement) -> Content:
    return Content(
        "person", "Anna", min(one.valid_from for one in statements), None, 0.5, (), statements
    )


def told_of(times: Sequence[int]) -> Content:
    """Homes contradicting the first one told, in the order told."""
    content = person(lives(f"t{times[0]}", times[0]))
    for time in times[1:]:
        content = with_replaced(content, f"t{times[0]}", lives(f"t{time}", time))
    return content


@given(st.lists(TIMES, min_size=1, max_size=12, unique=True))
def test_what_held_when_does_not_depend_on_the_order_it_was_told_in(times: list[int]) -> None:
    content = told_of(times)
    for moment in range(62):
        begun = [time for time in times if time <= moment]
        holding = [one.id for one in content.holding(moment)]
        assert holding == ([f"t{max(begun)}"] if begun else [])


@given(st.lists(TIMES, min_size=1, max_size=12))
def test_of_a_chain_one_at_the_most_holds_and_all_stay(times: list[int]) -> None:
    content = person(lives("s0", times[0]))
    for number, time in enumerate(times[1:], start=1):
        content = with_replaced(content, f"s{number - 1}", lives(f"s{number}", time))
    assert {one.id for one in content.statements} == {f"s{n}" for n in range(len(times))}
    assert len(chain_of(content.statements, "s0")) == len(times)
    for moment in range(62):
        assert len(content.holding(moment)) <= 1
    begins = [one.valid_from for one in chain_of(content.statements, "s0")]
    assert begins == sorted(begins)
    assert content.valid_from == min(times)


@given(st.lists(TIMES, min_size=1, max_size=12, unique=True))
def test_every_contradicted_statement_names_the_next_one(times: list[int]) -> None:
    chain = chain_of(told_of(times).statements, f"t{times[0]}")
    assert [one.id for one in chain] == [f"t{time}" for time in sorted(times)]
    assert [one.superseded_by for one in chain] == [*(one.id for one in chain[1:]), None]


@given(st.lists(TIMES, min_size=1, max_size=8, unique=True))
def test_packed_it_comes_back_the_same(times: list[int]) -> None:
    content = told_of(times)
    assert Content.unpacked(content.packed()) == content


def test_a_correction_from_the_same_moment_leaves_the_old_words_no_time_at_all() -> None:
    content = with_replaced(person(lives("wrong", 5)), "wrong", lives("right", 5))
    wrong = content.statements[0]
    assert (wrong.valid_to, wrong.superseded_by) == (5, "right")
    assert [one.id for moment in (5, 6, 99) for one in content.holding(moment)] == ["right"] * 3
    assert content.past(5) == [wrong]


def test_a_statement_with_an_end_of_its_own_ends_there() -> None:
    content = with_replaced(person(lives("a", 1)), "a", lives("b", 5, 8))
    assert [one.id for one in content.holding(7)] == ["b"]
    assert content.holding(8) == []


def test_what_is_removed_leaves_a_gap_that_a_later_statement_does_not_fill() -> None:
    content = with_removed(person(lives("a", 1)), "a", 5)
    content = with_replaced(content, "a", lives("b", 9))
    held = {moment: [one.id for one in content.holding(moment)] for moment in (1, 4, 5, 8, 9)}
    assert held == {1: ["a"], 4: ["a"], 5: [], 8: [], 9: ["b"]}
    assert content.statements[0].superseded_by == "b"


def test_removed_before_it_began_it_held_at_no_time() -> None:
    content = with_removed(person(lives("a", 5)), "a", 2)
    assert all(content.holding(moment) == [] for moment in range(10))
    assert with_removed(content, "a", 7) == content


def test_an_unknown_statement_is_refused() -> None:
    with pytest.raises(BadRequest):
        with_removed(person(lives("a", 1)), "b", 2)
    with pytest.raises(BadRequest):
        with_replaced(person(lives("a", 1)), "b", lives("c", 2))


def test_a_chain_that_runs_in_a_circle_is_walked_once() -> None:
    one, other = Statement("a", "b", "x", 1, 2, "c"), Statement("c", "b", "y", 2, None, "a")
    assert len(chain_of([one, other], "a")) == 2


def test_an_entity_has_its_bounds() -> None:
    content = person(*(lives(f"s{n}", 1) for n in range(MAX_STATEMENTS)))
    with pytest.raises(TooLarge):
        with_added(content, lives("more", 1))
    wide = [Statement(f"s{n}", "home", "\x00" * 1000, 1) for n in range(40)]
    with pytest.raises(TooLarge):
        with_added(person(*wide), lives("more", 1))
