"""Windows: cut once, whole messages, and the same words for as long as the same is stored."""

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.base import Chunk, Passage, Scored
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.windows import FRAME_TOKENS, Window, choose, cut, cut_run, whole
from retrieval.passages import chunk, passage
from retriever_contract.wire import MAX_CHUNK_CHARACTERS, MAX_CHUNKS, RankRequest

MAY_8 = 1_683_500_000.0
UNIT = 1_000  # tokens: what stands around a message weighs nothing beside it
SLACK = 30 * FRAME_TOKENS


def sizes(windows: Sequence[Window]) -> list[list[int]]:
    return [[one.tokens // UNIT for one in window.passages] for window in windows]


def run(*tokens: int, first: int = 0) -> list[Passage]:
    return [
        passage(f"m{i}", f"text {i}", at=float(i), tokens=n * UNIT)
        for i, n in enumerate(tokens, first)
    ]


def room_for(units: int) -> int:
    return units * UNIT + SLACK


def index_of(passages: Sequence[Passage]) -> LexicalIndex:
    return LexicalIndex([Chunk(tuple(passages))] if passages else [])


def chosen(windows: Sequence[Window], max_tokens: int, **scores: float) -> list[list[str]]:
    scored = [
        Scored(chunk(one), score, (score,))
        for window in windows
        for one in window.passages
        if (score := scores.get(one.id, 0.0))
    ]
    picked = choose(windows, scored, room_for(max_tokens))
    return [[one.id for one in window.passages] for window, _ in picked]


TOKENS = st.lists(st.integers(0, 60), max_size=30)


@given(TOKENS, TOKENS, st.integers(1, 100))
def test_growth_at_the_end_leaves_earlier_cuts_where_they_were(
    before: list[int], added: list[int], room: int
) -> None:
    short, long = (
        cut_run(run(*before), room_for(room)),
        cut_run(run(*before, *added), room_for(room)),
    )
    if short:
        assert long[: len(short) - 1] == short[:-1]
        assert long[len(short) - 1].passages[: len(short[-1].passages)] == short[-1].passages


@given(st.lists(TOKENS, max_size=5), st.integers(1, 100))
def test_every_message_is_in_one_window_and_no_window_in_two_indexes(
    lists: list[list[int]], room: int
) -> None:
    held: list[list[Passage]] = []
    for tokens in lists:
        held.append(run(*tokens, first=sum(map(len, held))))
    indexes = [index_of(passages) for passages in held]
    windows = cut(indexes, room_for(room))
    assert [one for w in windows for one in w.passages] == [one for some in held for one in some]
    source = {one.id: i for i, some in enumerate(held) for one in some}
    assert all(len({source[one.id] for one in window.passages}) == 1 for window in windows)
    assert all(
        w.cost <= room_for(room) or len(w.passages) == 1 or not w.passages[0].tokens
        for w in windows
    )


@given(TOKENS, st.integers(1, 100), st.integers(0, 500), st.sets(st.integers(0, 29)))
def test_a_question_chooses_whole_windows_within_its_tokens(
    tokens: list[int], room: int, max_tokens: int, matched: set[int]
) -> None:
    windows = cut_run(run(*tokens), room_for(room))
    picked = chosen(windows, max_tokens, **{f"m{i}": 0.5 for i in matched})
    every = [[one.id for one in window.passages] for window in windows]
    assert [one for one in every if one in picked] == picked
    assert sum(tokens[int(id[1:])] for some in picked for id in some) <= max_tokens


def test_windows_are_filled_from_the_first_message_on() -> None:
    assert sizes(cut_run(run(4, 4, 4, 1, 20, 4), room_for(10))) == [[4, 4], [4, 1], [20], [4]]


def test_a_message_that_two_indexes_hold_is_in_the_first_ones_window() -> None:
    both = run(4, 4, 4)
    windows = cut([index_of(both[:2]), index_of(both[1:])], room_for(10))
    assert [[one.id for one in w.passages] for w in windows] == [["m0", "m1"], ["m2"]]


def test_what_fits_is_sent_whole_and_in_its_order() -> None:
    windows = cut_run(run(6, 6, 6), room_for(6))
    assert chosen(windows, 18, m2=0.9) == [["m0"], ["m1"], ["m2"]]


def test_the_newest_goes_first_then_those_that_share_most_with_the_question_then_late_ones() -> (
    None
):
    windows = cut_run(run(3, 3, 3, 3, 6, 6), room_for(6))  # (m0 m1) (m2 m3) (m4) (m5)
    assert chosen(windows, 6, m4=0.9) == [["m5"]]
    assert chosen(windows, 12, m0=0.3, m1=0.3, m4=0.5) == [["m0", "m1"], ["m5"]]
    assert chosen(windows, 12) == [["m4"], ["m5"]]


def test_a_window_that_is_too_big_is_passed_over() -> None:
    windows = cut_run(run(3, 50, 3), room_for(6))
    assert chosen(windows, 10, m1=0.9) == [["m0"], ["m2"]]


def test_no_window_fits_is_an_answer() -> None:
    assert chosen(cut_run(run(50), room_for(6)), 10) == []
    assert chosen([], 10) == []


def test_a_message_reads_with_its_date_and_who_said_it() -> None:
    said = Passage("a", "s", "assistant", "The boat is called Vega.", 9, MAY_8)
    (worded,) = Window((said,)).worded().chunks
    assert (worded.id, worded.text) == ("a", "[2023-05-07] assistant: The boat is called Vega.")


def test_a_date_that_no_calendar_has_is_unknown() -> None:
    (worded,) = Window((Passage("a", "s", "user", "Hi.", 9, 1e20),)).worded().chunks
    assert worded.text == "[unknown] user: Hi."


def test_a_long_message_is_worded_in_parts_and_is_as_good_as_the_best() -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(2 * MAX_CHUNK_CHARACTERS))
    parts = Window((Passage("a", "s", "user", text, 9, MAY_8),)).worded().chunks
    opening = "[2023-05-07] user: "
    assert [part.id for part in parts] == ["a#1", "a#2", "a#3"]
    assert all(part.text.startswith(opening) for part in parts)
    assert "".join(part.text.removeprefix(opening) for part in parts) == text
    assert whole({"a#1": -0.5, "a#2": 0.7, "a#3": 0.1, "b": -1.0}) == {"a": 0.7, "b": -1.0}


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00\u2028\U0001f415"])
def test_any_text_can_be_sent(text: str) -> None:
    worded = Window((Passage("a", "s", "user", text, 9, MAY_8),)).worded()
    worded.model_dump_json().encode()


def test_what_is_chosen_is_within_the_wires_limits() -> None:
    many = [passage(f"m{i}", "x", at=float(i), tokens=1) for i in range(MAX_CHUNKS + 500)]
    large = [passage(f"l{i}", "字" * 1_000_000, at=-1.0, tokens=1) for i in range(3)]
    windows = [*cut_run(many, 1000 * FRAME_TOKENS), *cut_run(large, 1)]
    picked = [worded for _, worded in choose(windows, (), 1_000_000)]
    request = RankRequest(
        owner="a" * 16, epoch=0, windows=picked, queries=["q"], deadline_milliseconds=1
    )
    assert [key for key, _ in groupby(c.id[0] for w in request.windows for c in w.chunks)] == [
        "m",
        "l",
    ]


def test_a_message_that_is_not_stored_yet_has_no_date() -> None:
    told = Passage("a", "s", "user", "Hello", 1, MAY_8, dated=False)
    assert Window((told,)).worded().chunks[0].text == "user: Hello"
