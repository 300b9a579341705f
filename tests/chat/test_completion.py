"""Gathering an answer from chunks or a body, whatever they hold."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.completion import Completion


def chunk(delta: object, finish: str | None = None, index: int = 0) -> bytes:
    return orjson.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def test_deltas_add_up_per_choice() -> None:
    completion = Completion()
    for data in (
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "He"}),
        chunk({"content": "B"}, index=1),
        chunk({"content": "llo"}, "stop"),
        chunk({}, "stop", index=1),
    ):
        completion.add_chunk(data)
    assert [choice.text for choice in completion.answers()] == ["Hello", "B"]
    assert completion.complete


def test_a_finish_reason_is_as_good_as_done() -> None:
    completion = Completion()
    completion.add_chunk(chunk({"content": "x"}))
    assert not completion.complete
    completion.add_chunk(chunk({}, "length"))
    assert completion.complete


def test_done_alone_completes_and_an_error_never() -> None:
    completion = Completion()
    completion.add_chunk(b"[DONE]")
    assert completion.complete
    completion.add_chunk(b'{"error": {"message": "boom"}}')
    assert not completion.complete


def test_one_unfinished_choice_of_two_is_incomplete() -> None:
    completion = Completion()
    completion.add_chunk(chunk({"content": "x"}, "stop"))
    completion.add_chunk(chunk({"content": "y"}, index=1))
    assert not completion.complete


def test_tool_calls_come_in_pieces() -> None:
    completion = Completion()
    pieces = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
        {"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}},
    ]
    for piece in pieces:
        completion.add_chunk(chunk({"tool_calls": [piece]}))
    calls = completion.answers()[0].message()["tool_calls"]
    assert [call["id"] for call in calls] == ["c1", "c2"]
    assert calls[0]["function"] == {"name": "f", "arguments": '{"a": 1}'}


def test_a_whole_body_with_several_choices_and_none() -> None:
    body = {
        "choices": [
            {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": None, "refusal": "no"}, "finish_reason": "stop"},
        ],
        "usage": {"total_tokens": 7},
    }
    completion = Completion.of_body(body)
    assert [choice.text for choice in completion.answers()] == ["a", "no"]
    assert completion.usage == {"total_tokens": 7}
    assert Completion.of_body({"choices": []}).answers() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "index", "content", "tool_calls", "usage", "function"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(st.one_of(json_values.map(orjson.dumps), st.binary(max_size=20)), max_size=6))
def test_no_upstream_can_make_it_fail(chunks: list[bytes]) -> None:
    completion = Completion()
    for data in chunks:
        completion.add_chunk(data)
    assert all(isinstance(choice.text, str) for choice in completion.answers())
