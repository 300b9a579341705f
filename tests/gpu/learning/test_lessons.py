"""Windows to learn from: what counts as right in them, and that place tells nothing."""

from random import Random

import pytest

from retriever.errors import Unusable
from retriever.judging.dialogues import Dialogue, Message, Question, wire_text
from retriever.learning.lessons import Lesson, Teacher, remembered
from retriever.learning.lives import LifeQuestion, lives

TOKENS = 400


def length(text: str) -> int:
    return len(text.split())


def teacher(seed: int = 0, tokens: int = TOKENS) -> Teacher:
    return Teacher({"lives": list(lives(30, 3))}, {"lives": 1.0}, length, tokens, seed)


@pytest.fixture(scope="module")
def some() -> list[Lesson]:
    teaches = teacher()
    return [teaches.lesson(number, 4) for number in range(80)]


def meeting(**over: object) -> Dialogue:
    said = [f"this is what number {i} had to say about it" for i in range(30)]
    said[11] = "Yeah ."
    messages = tuple(
        Message(id=str(i), role="user", speaker=f"P{i % 3}", text=text)
        for i, text in enumerate(said)
    )
    asked = Question(id="q", text="what did number ten say?", evidence=("10", "11"))
    start = {"id": "m", "source": "QMSum", "licence": "MIT", "messages": messages}
    return Dialogue(**{**start, "questions": (asked,), **over})


def test_a_lesson_depends_on_its_number_and_the_seed_alone(some: list[Lesson]) -> None:
    assert teacher().lesson(41, 4) == some[41]
    assert teacher(seed=1).lesson(41, 4) != some[41]
    assert len(set(some)) == len(some)


def test_a_window_holds_at_most_its_tokens(some: list[Lesson]) -> None:
    assert all(sum(map(length, one.texts)) <= TOKENS for one in some)
    assert max(sum(map(length, one.texts)) for one in some) > 0.9 * TOKENS


def test_every_window_is_asked_what_it_answers_and_most_what_it_does_not(
    some: list[Lesson],
) -> None:
    assert all(any(asked.gold for asked in one.asked) for one in some)
    absent = [one for one in some if any(not asked.gold for asked in one.asked)]
    assert len(absent) > 0.9 * len(some)


def test_evidence_stands_anywhere_in_a_window(some: list[Lesson]) -> None:
    places = [min(asked.gold) / len(one.texts) for one in some for asked in one.asked if asked.gold]
    thirds = [sum(low <= place < low + 1 / 3 for place in places) for low in (0, 1 / 3, 2 / 3)]
    assert min(thirds) > 0.15 * len(places)


def test_evidence_is_what_was_labelled_and_is_never_cut() -> None:
    life = next(iter(lives(1, 5)))
    by_text = {wire_text(one): one.id for one in remembered(life, Random(0)).messages}
    teaches = Teacher({"lives": [life, life]}, {"lives": 1.0}, length, TOKENS, 0)
    evidence = {question.text: set(question.evidence) for question in life.questions}
    for number in range(20):
        lesson = teaches.lesson(number, 4)
        for asked in lesson.asked:
            assert {by_text[lesson.texts[i]] for i in asked.gold} <= evidence[asked.question]


def test_what_once_held_is_neither_right_nor_wrong() -> None:
    base = meeting()
    asked = LifeQuestion(id="q", text="number?", evidence=("10",), outdated=("5",))
    life = base.model_copy(update={"source": "lives", "questions": (asked,)})
    lesson = Teacher({"a": [life, life]}, {"a": 1.0}, length, 1000, 0).lesson(0, 1)
    named = {i for i, text in enumerate(lesson.texts) if "number 5 " in text}
    assert lesson.asked[0].ignored == named


def test_evidence_that_says_too_little_and_its_neighbours_are_left_out_of_it() -> None:
    lesson = Teacher({"a": [meeting()]}, {"a": 1.0}, length, 1000, 2).lesson(1, 1)
    [asked] = lesson.asked
    assert all("number 10 " in lesson.texts[i] for i in asked.gold)
    ignored = " ".join(lesson.texts[i] for i in sorted(asked.ignored))
    assert "number 0 " not in ignored
    assert "Yeah ." in ignored or "number 9 " in ignored


def test_who_speaks_and_a_day_are_in_the_text_as_the_gateway_keeps_them() -> None:
    dated = [remembered(meeting(), Random(seed)).messages[0] for seed in range(20)]
    assert all(wire_text(one).endswith("user: P0: " + meeting().messages[0].text) for one in dated)
    days = {one.at for one in dated}
    assert None in days
    assert len(days) > 5


def test_a_set_without_evidence_is_refused() -> None:
    silent = meeting(questions=(Question(id="q", text="anything?"),))
    with pytest.raises(Unusable, match="no question of a has evidence"):
        Teacher({"a": [silent]}, {"a": 1.0}, length, TOKENS, 0)


def test_a_window_too_small_for_anything_is_refused() -> None:
    teaches = Teacher({"a": [meeting()]}, {"a": 1.0}, length, 12, 0)
    with pytest.raises(Unusable, match="windows of 12 tokens"):
        teaches.lesson(0, 1)
