"""A response gathered from events, however broken they are."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.responses.completion import ResponsesCompletion
from support.upstream import response, steps

KINDS = st.sampled_from(
    [
        "response.created",
        "response.output_text.delta",
        "response.output_item.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
    ]
)
NAMES = st.sampled_from(
    [
        *("type", "response", "item", "output", "content", "status", "usage", "delta", "error"),
        *("id", "role", "text", "call_id", "input_tokens", "incomplete_details", "reason"),
        "object",
    ]
)
WORDS = st.sampled_from(["message", "function_call", "reasoning", "assistant", "incomplete"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | WORDS | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}


def gathered(*events: Any) -> ResponsesCompletion:
    completion = ResponsesCompletion()
    for event in events:
        completion.add_chunk(orjson.dumps(event))
    return completion


@given(st.lists(st.fixed_dictionaries({"type": KINDS, "response": JSON, "item": JSON}), max_size=4))
def test_no_event_breaks_it(events: list[Any]) -> None:
    completion = gathered(*events)
    assert completion.done or not completion.complete
    assert all(isinstance(one.text, str) for one in completion.answers())


@given(JSON)
def test_no_body_breaks_it(body: Any) -> None:
    completion = ResponsesCompletion.parsed(orjson.dumps(body))
    assert completion is None or completion.done


def test_what_is_no_json_is_no_event() -> None:
    assert ResponsesCompletion().add_chunk(b"[DONE]") is None
    assert ResponsesCompletion().add_chunk(b"[1]") is None
    assert ResponsesCompletion.parsed(b"<html>") is None


def test_a_stream_says_what_the_whole_does() -> None:
    whole = response("Hello there")
    streamed, parsed = gathered(*steps(whole)), ResponsesCompletion.parsed(orjson.dumps(whole))
    assert parsed is not None
    assert streamed.choices == parsed.choices
    assert streamed.usage == parsed.usage
    assert streamed.names == parsed.names == ["resp_1"]
    assert streamed.complete
    assert parsed.finish_reasons == ("stop",)


def test_until_its_end_what_came_is_half_an_answer() -> None:
    *half, _ = steps(response(output=[CALL]))
    completion = gathered(*half, {"type": "response.output_text.delta", "delta": "Hel"})
    assert not completion.complete
    assert completion.answers()[0].text == "Hel"
    assert [one["id"] for one in completion.answers()[0].tool_calls] == ["c1"]


def test_an_end_without_output_keeps_what_came_in_pieces() -> None:
    *half, end = steps(response("Hello there"))
    completion = gathered(*half, {**end, "response": {**end["response"], "output": []}})
    assert completion.complete
    assert completion.answers()[0].text == "Hello there"
