"""Exams: the same stretches each time, and intervals that say how sure their figures are."""

import pytest

from retriever.learning.exam import MOST_QUESTIONS, Exam, Result, gain, interval, prepare
from retriever.learning.lives import lives
from retriever.reading.prompt import Prompt
from support.readers import HEADS, Form
from support.tiny_models import tiny_model, tiny_tokenizer


def prompt() -> Prompt:
    return Prompt(tiny_tokenizer(), Form(), bos=0)


def test_an_exam_asks_the_same_each_time_and_not_too_much() -> None:
    sets = {"lives": list(lives(4, 2))}
    first, again = (prepare(sets, 3, 4000, prompt(), seed=1) for _ in range(2))
    assert first == again
    assert len(first) == 3
    assert all(0 < len(one.questions) <= MOST_QUESTIONS for one in first)
    assert prepare(sets, 3, 4000, prompt(), seed=2) != first


def test_an_exam_is_asked_as_the_gateway_words_it() -> None:
    friends = next(one for one in lives(9, 2) if one.messages[0].speaker)
    [stretch] = prepare({"lives": [friends]}, 1, 4000, prompt(), seed=1)
    names = tuple(f"{one.speaker}: " for one in friends.messages)
    assert all(one.text.startswith(names) and one.speaker is None for one in stretch.messages)


def test_every_question_gets_its_recall() -> None:
    stretches = prepare({"lives": list(lives(3, 2))}, 2, 3000, prompt(), seed=1)
    model = tiny_model("llama", seed=3).model
    result = Exam(model, HEADS, prompt(), window_tokens=1500).take(stretches)
    assert len(result.recalls["lives"]) == sum(len(one.questions) for one in stretches)
    assert all(0 <= one <= 1 for one in result.recalls["lives"])


def test_sets_count_alike() -> None:
    assert Result({"a": [1.0], "b": [0.0, 0.0, 0.0]}).mean == 0.5


def test_an_interval_holds_its_value_and_narrows_with_questions() -> None:
    few, many = (interval(Result({"a": [0.0, 1.0] * n}), seed=0) for n in (10, 1000))
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 5


def test_a_gain_is_paired() -> None:
    """Every question gains alike, so chance leaves nothing open."""
    before, after = Result({"a": [0.0, 0.5] * 9}), Result({"a": [0.25, 0.75] * 9})
    moved = gain(before, after, seed=0)
    assert (moved.low, moved.value, moved.high) == pytest.approx((0.25, 0.25, 0.25))
