"""Pieces in a budget: never more tokens than it has, nothing left out without a word."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.context.packing import packed
from gateway.context.pieces import SECTIONS, Line, Piece
from gateway.tokens.rs_bpe import RsBpeTokenizer

COUNT = RsBpeTokenizer("o200k_base").count
WORDS = st.text(alphabet="ab é\u4e2d😀#-", min_size=1, max_size=40)


def line(text: str, order: float = 0.0) -> Line:
    return Line(f"- {text}", "statements", {"text": text}, order)


def piece(id: str, *texts: str, whole: bool = False) -> Piece:
    lines = tuple(line(text, place) for place, text in enumerate(texts))
    return Piece("entities", "entity", lines, id, f"## {id}", {"id": id}, whole)


PIECES = st.lists(
    st.builds(
        lambda section, texts, whole, name: Piece(
            section, "entity", tuple(map(line, texts)), name, f"## {name}", {}, whole
        ),
        st.sampled_from(SECTIONS),
        st.lists(WORDS, min_size=1, max_size=5),
        st.booleans(),
        st.text(alphabet="xyz", min_size=1, max_size=3),
    ),
    max_size=8,
)


@given(PIECES, st.integers(0, 200))
def test_the_text_never_has_more_tokens_than_the_budget_and_no_line_is_lost(
    pieces: list[Piece], budget: int
) -> None:
    done = packed(pieces, budget, COUNT)
    assert done.tokens == COUNT(done.text) <= budget
    kept = sum(len(one.lines) for one in done.pieces)
    assert kept + sum(one.count for one in done.left_out) == sum(len(p.lines) for p in pieces)
    assert all(one.reason == "over_budget" for one in done.left_out)


@given(PIECES)
def test_with_room_for_all_nothing_is_left_out(pieces: list[Piece]) -> None:
    done = packed(pieces, 100_000, COUNT)
    assert not done.left_out
    told = [each for section in done.told().values() for each in section]
    assert len(told) == len(pieces)


def test_a_whole_one_is_left_out_rather_than_cut() -> None:
    long = piece("long", *(f"Fact number {n}." for n in range(10)), whole=True)
    budget = packed([long], 10_000, COUNT).tokens + 3
    pieces = [piece("first", "Something short."), long, piece("last", "x")]
    done = packed(pieces, budget, COUNT)
    assert [one.id for one in done.pieces] == ["first", "last"]
    assert [(one.id, one.count) for one in done.left_out] == [("long", 10)]


def test_a_whole_one_larger_than_the_budget_is_cut_all_the_same() -> None:
    long = piece("long", *(f"Fact number {n}." for n in range(100)), whole=True)
    done = packed([long], 60, COUNT)
    kept = len(done.pieces[0].lines)
    assert 0 < kept < 100
    assert [(one.id, one.count) for one in done.left_out] == [("long", 100 - kept)]


def test_a_budget_of_nothing_holds_nothing() -> None:
    done = packed([piece("a", "x")], 0, COUNT)
    assert (done.text, done.tokens, len(done.left_out)) == ("", 0, 1)


def test_what_has_a_moment_is_told_the_latest_first_whatever_its_worth() -> None:
    days = [5.0, 9.0, -1.0, 7.0]
    told = [
        Piece("timeline", "event", (Line(f"- {at}", "", {"at": at}),), f"{at}", at=at)
        for at in days
    ]
    done = packed([piece("a", "x"), *told], 10_000, COUNT)
    assert [one["at"] for one in done.told()["timeline"]] == sorted(days, reverse=True)
    assert done.text.splitlines()[-4:] == [f"- {at}" for at in sorted(days, reverse=True)]
    small = packed([piece("a", "x"), *told], done.tokens - 5, COUNT)
    assert [one.id for one in small.left_out] == ["7.0"]
