"""Whatever a model answers is either of the shape that was asked for, or refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consulting.answers import REASON, InvalidAnswer, Strict, parsed
from gateway.consulting.quotation import quoted


class Shape(Strict):
    words: list[str]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.text() | JSON.map(json.dumps) | st.builds("```json\n{}\n```".format, st.text()))
def test_any_text_is_the_shape_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidAnswer):
        assert isinstance(parsed(text, Shape), Shape)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"words": ["\\ud800"]}', "NaN", "", "\x00"])
def test_what_no_parser_should_meet_is_refused(text: str) -> None:
    with pytest.raises(InvalidAnswer):
        parsed(text, Shape)


def test_a_fence_around_it_is_no_part_of_it() -> None:
    for text in (
        '{"words": ["a"]}',
        '```json\n{"words": ["a"]}\n```',
        '```\n{"words": ["a"]}\n```',
        ' \n```json \n\n{"words":\n["a"]}\n\n  ``` \n',
    ):
        assert parsed(text, Shape).words == ["a"]


def test_the_reason_repeats_nothing_of_the_answer() -> None:
    with pytest.raises(InvalidAnswer) as refused:
        parsed('{"words": ["a"], "secret": 1, "words": "swordfish"}', Shape)
    assert "swordfish" not in refused.value.reason
    assert len(refused.value.reason) <= REASON


@given(st.text())
def test_quoted_no_text_ends_its_line_or_its_part(text: str) -> None:
    line = quoted({"text": text})
    assert len(line.splitlines()) == 1
    assert "<" not in line
    assert json.loads(line) == {"text": text}
