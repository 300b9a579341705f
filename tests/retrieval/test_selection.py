import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.base import RELATIVE, Passage, Scored
from gateway.retrieval.selection import Selected, select
from retrieval.passages import chunk, passage


def scored(*rated: tuple[Passage, float], place: int = 0) -> Scored:
    scores = tuple(score for _, score in rated)
    return Scored(chunk(*(one for one, _ in rated)), max(scores), scores, place)


def single(id: str, text: str, score: float, *, at: float = 0.0, tokens: int = 10) -> Scored:
    return scored((passage(id, text, at=at, tokens=tokens), score), place=int(at))


def chosen(
    ranked: list[Scored],
    *,
    budget: int = 1000,
    top_k: int = 64,
    floor: float = 0.1,
    exclude: tuple[str, ...] = (),
    overhead: int = 0,
) -> list[Selected]:
    return select(
        ranked,
        budget_tokens=budget,
        top_k=top_k,
        floor=floor,
        in_hand=lambda one: one.id in exclude,
        overhead_tokens=overhead,
    )


def ids(selected: list[Selected]) -> list[str]:
    return [one.passage.id for one in selected]


def test_lines_come_in_time_order_and_say_their_rank() -> None:
    found = chosen([single("late", "b", 0.9, at=2), single("early", "a", 0.5, at=1)])
    assert [(one.passage.id, one.score, one.rank) for one in found] == [
        ("early", 0.5, 2),
        ("late", 0.9, 1),
    ]


def test_messages_of_one_time_keep_the_order_they_were_said_in() -> None:
    first = scored((passage("z", "one"), 0.5), (passage("b", "two"), 0.4), place=0)
    second = scored((passage("a", "three"), 0.9), place=1)
    assert ids(chosen([second, first])) == ["z", "b", "a"]


def test_a_message_too_big_is_passed_over_for_a_smaller_one() -> None:
    big, small = single("big", "a", 0.9, tokens=101), single("small", "b", 0.3, tokens=99)
    assert ids(chosen([big, small], budget=100)) == ["small"]


def test_a_reply_that_helps_little_stays_out_when_its_chunk_is_big() -> None:
    pair = scored((passage("asked", "a", tokens=90), 0.8), (passage("told", "b", tokens=900), 0.2))
    assert ids(chosen([pair])) == ["asked"]


def test_a_small_chunk_goes_in_whole() -> None:
    pair = scored((passage("asked", "a", tokens=20), 0.8), (passage("told", "b", tokens=20), 0.0))
    assert ids(chosen([pair])) == ["asked", "told"]


def test_a_long_message_must_be_worth_its_tokens() -> None:
    long = single("long", "a", 0.50, tokens=600)
    short = [single(f"s{i}", f"word{i}", 0.45, at=i, tokens=50) for i in range(9)]
    assert "long" not in ids(chosen([long, *short]))
    assert "long" in ids(chosen([single("long", "a", 0.95, tokens=600), *short]))


def test_every_line_pays_its_overhead() -> None:
    two = [single("a", "a", 0.9, at=1), single("b", "b", 0.8, at=2)]
    assert ids(chosen(two, budget=40, overhead=10)) == ["a", "b"]
    assert ids(chosen(two, budget=39, overhead=10)) == ["a"]


def test_what_is_in_the_prompt_already_is_not_selected() -> None:
    two = [single("a", "a", 0.9, at=1), single("b", "b", 0.8, at=2)]
    assert ids(chosen(two, exclude=("a",))) == ["b"]


def test_an_excluded_message_lends_its_chunk_no_score() -> None:
    pair = scored((passage("asked", "a"), 0.9), (passage("told", "b"), 0.05))
    assert chosen([pair], exclude=("asked",)) == []


def test_below_the_floor_nothing_is_relevant() -> None:
    assert chosen([single("a", "a", 0.09)]) == []
    assert ids(chosen([single("a", "a", 0.1)])) == ["a"]
    assert chosen([single("a", "a", 0.0)], floor=0.0) == []


def test_beside_a_strong_chunk_a_weak_one_stays_out() -> None:
    weak = single("weak", "b", RELATIVE * 0.9 - 0.01, at=1)
    assert ids(chosen([single("strong", "a", 0.9), weak])) == ["strong"]


def test_at_most_top_k_chunks_are_selected() -> None:
    pairs = [
        scored(
            (passage(f"q{i}", f"x{i}", tokens=1), 0.5), (passage(f"a{i}", f"y{i}", tokens=1), 0.4)
        )
        for i in range(9)
    ]
    assert len(chosen(pairs, top_k=3)) == 6


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("I moved to Porto!", "i moved  to porto"),
        ("👍", "👍"),
        (" ".join(f"word{i}" for i in range(99)), " ".join(f"word{i}" for i in range(100))),
        ("私は東京に住んでいます。", "私は東京に住んでいます"),
    ],
)
def test_of_two_near_duplicates_the_later_is_kept(earlier: str, later: str) -> None:
    two = [single("old", earlier, 0.9, at=1), single("new", later, 0.5, at=2)]
    (found,) = chosen(two)
    assert (found.passage.id, found.score, found.rank) == ("new", 0.9, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I moved to Porto", "I moved to Lisbon"),
        ("The code is 4711", "The code is 4712"),
        ("👍", "👎"),
        ("I do eat meat", "I do not eat meat"),
    ],
)
def test_messages_that_say_different_things_are_both_kept(one: str, other: str) -> None:
    assert len(chosen([single("a", one, 0.9, at=1), single("b", other, 0.9, at=2)])) == 2


def test_a_message_that_two_indexes_hold_is_selected_once() -> None:
    twice = [single("a", "a", 0.9, at=1), single("a", "a", 0.9, at=2)]
    assert ids(chosen(twice)) == ["a"]


PASSAGES = st.builds(
    passage,
    st.integers(0, 30).map("m{}".format),
    st.lists(st.sampled_from(["lake", "harbor", "violin", "of", "3"]), max_size=5).map(" ".join),
    at=st.integers(0, 5).map(float),
    tokens=st.integers(0, 60),
)
RATED = st.tuples(PASSAGES, st.floats(0, 1))
RANKED = st.lists(
    st.lists(RATED, min_size=1, max_size=3), max_size=10, unique_by=lambda pairs: pairs[0][0].id
).map(lambda lists: [scored(*pairs, place=i) for i, pairs in enumerate(lists)])


@given(RANKED, st.integers(0, 300), st.integers(0, 6), st.integers(0, 20), st.sets(PASSAGES))
def test_limits_are_kept_whatever_is_offered(
    ranked: list[Scored], budget: int, top_k: int, overhead: int, excluded: set[Passage]
) -> None:
    exclude = tuple(one.id for one in excluded)
    found = chosen(
        ranked, budget=budget, top_k=top_k, floor=0.0, exclude=exclude, overhead=overhead
    )
    assert sum(one.passage.tokens + overhead for one in found) <= budget
    assert len({one.passage.id for one in found}) == len(found)
    assert not set(ids(found)) & set(exclude)
    assert [one.passage.at for one in found] == sorted(one.passage.at for one in found)
    assert sorted(one.rank for one in found) == list(range(1, len(found) + 1))
    by_rank = [one.score for one in sorted(found, key=lambda one: one.rank)]
    assert by_rank == sorted(by_rank, reverse=True)


@given(RANKED, st.integers(0, 300), st.randoms(use_true_random=False))
def test_the_order_of_what_is_offered_does_not_matter(
    ranked: list[Scored], budget: int, rng: random.Random
) -> None:
    shuffled = list(ranked)
    rng.shuffle(shuffled)
    assert chosen(shuffled, budget=budget, top_k=4) == chosen(ranked, budget=budget, top_k=4)


@given(RANKED, st.integers(0, 300), st.integers(0, 300))
def test_a_floor_only_takes_away(ranked: list[Scored], budget: int, per_mille: int) -> None:
    with_floor = chosen(ranked, budget=budget, floor=per_mille / 1000)
    assert with_floor in ([], chosen(ranked, budget=budget, floor=0.0))


def pair(asked: Passage, told: Passage, score: float) -> Scored:
    """A question that scored nothing with an answer that did."""
    return scored((asked, 0.0), (replace(told, role="assistant"), score))


def test_an_answer_chosen_without_its_question_brings_it_in() -> None:
    one = pair(passage("asked", "a", tokens=60), passage("told", "b", tokens=90), 0.9)
    assert ids(chosen([one])) == ["asked", "told"]


def test_a_question_takes_no_room_from_what_was_found() -> None:
    one = pair(passage("asked", "a", tokens=60), passage("told", "b", tokens=900), 0.9)
    other = single("other", "c", 0.5, at=1, tokens=60)
    assert ids(chosen([one, other])) == ["told", "other"]


def test_a_long_question_stays_out() -> None:
    one = pair(passage("asked", "a", tokens=70), passage("told", "b", tokens=90), 0.9)
    assert ids(chosen([one])) == ["told"]


def test_a_question_that_the_prompt_holds_already_is_not_brought_in() -> None:
    one = pair(passage("asked", "a", tokens=60), passage("told", "b", tokens=90), 0.9)
    assert ids(chosen([one], exclude=("asked",))) == ["told"]


def test_an_answer_is_not_brought_in_by_its_question() -> None:
    big = scored((passage("asked", "a", tokens=90), 0.9), (passage("told", "b", tokens=60), 0.0))
    assert ids(chosen([big])) == ["asked"]


STATEMENTS = [
    ("My dentist appointment is on Monday", "My dentist appointment is on Thursday"),
    ("My dentist appointment is on Monday.", "Actually, my dentist appointment moved to Thursday."),
    ("I moved to Porto", "I moved to Lisbon"),
    ("The code is 4711", "The code is 4712"),
    ("I have never used a pasta maker.", "I have used a pasta maker at home."),
    ("Mein Zahnarzttermin ist am Montag", "Mein Zahnarzttermin ist am Donnerstag"),
    ("Ich esse jeden Tag Fleisch.", "Ich esse nicht mehr jeden Tag Fleisch."),
    ("Mi cita con el dentista es el lunes", "Mi cita con el dentista es el jueves"),
    ("Mon rendez-vous est le lundi", "Mon rendez-vous est le jeudi"),
    ("Мой приём у врача в понедельник", "Мой приём у врача в четверг"),
    ("私は東京に住んでいます", "私は大阪に住んでいます"),
]


@pytest.mark.parametrize(("earlier", "later"), STATEMENTS)
def test_of_two_statements_that_contradict_each_other_the_later_ranks_first(
    earlier: str, later: str
) -> None:
    two = [single("old", earlier, 0.9, at=1), single("new", later, 0.8, at=2)]
    found = chosen(two)
    assert [(one.passage.id, one.rank) for one in found] == [("old", 2), ("new", 1)]


@pytest.mark.parametrize(("earlier", "later"), STATEMENTS)
def test_where_one_of_two_contradicting_statements_fits_it_is_the_later(
    earlier: str, later: str
) -> None:
    two = [
        single("old", earlier, 0.9, at=1, tokens=10),
        single("new", later, 0.8, at=2, tokens=14),
    ]
    assert ids(chosen(two, budget=20)) == ["new"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("My dentist appointment is on Monday", "We talked about Monday at the dentist"),
        ("My sister was born in May", "My brother was born in June"),
        ("That sounds good. I like the lake.", "That sounds great. I like the sea."),
        ("My dog is called Rex", "Is my dentist appointment on Thursday?"),
        ("ok", "no"),
        ("👍", "👎"),
    ],
)
def test_statements_about_different_things_keep_their_order(earlier: str, later: str) -> None:
    two = [single("old", earlier, 0.9, at=1), single("new", later, 0.8, at=2)]
    assert [one.rank for one in chosen(two)] == [1, 2]


def test_what_another_speaker_says_contradicts_nobody() -> None:
    said = passage("old", "My dentist appointment is on Monday", at=1)
    heard = replace(passage("new", "My dentist appointment is on Thursday", at=2), role="assistant")
    found = chosen([scored((said, 0.9)), scored((heard, 0.8), place=1)])
    assert [one.rank for one in found] == [1, 2]


def test_of_three_statements_the_latest_ranks_first() -> None:
    days = ("Monday", "Tuesday", "Thursday")
    texts = [f"My dentist appointment is on {day}" for day in days]
    three = [single(f"m{i}", text, 0.9 - i / 10, at=i) for i, text in enumerate(texts)]
    assert [(one.passage.id, one.rank) for one in chosen(three)] == [
        ("m0", 3),
        ("m1", 2),
        ("m2", 1),
    ]
