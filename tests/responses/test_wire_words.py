"""Whatever arrives is a request, or refused in OpenAI's words."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.responses.foreign import named
from gateway.responses.wire import parse_responses

WORDS = st.sampled_from(
    ["message", "function_call", "function_call_output", "reasoning", "user", "assistant", "text"]
)
NAMES = st.sampled_from(
    ["type", "role", "content", "call_id", "output", "id", "name", "arguments", "text", "file_id"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["instructions", "tools", "previous_response_id", "store", "text", "max_output_tokens"]
)


@given(JSON, st.dictionaries(FIELDS, JSON, max_size=2))
def test_anything_is_read_or_refused(given_input: Any, fields: dict[str, Any]) -> None:
    body = orjson.dumps({"model": "m", "input": given_input, **fields})
    with suppress(BadRequest):
        request = parse_responses(body)
        named(request.payload)
        sources = [item for items in request.sources for item in items]
        assert sources == request.payload["input"] or isinstance(given_input, str)


def ids(**payload: Any) -> list[tuple[str, str]]:
    return [(one.id, one.param) for one in named(payload)]


def test_what_must_be_the_callers_own_is_named_with_its_place() -> None:
    thought = {"type": "reasoning", "id": "rs_1"}
    sealed = {**thought, "encrypted_content": "c2VhbGVk"}
    assert ids(previous_response_id="resp_1", input=[sealed, thought]) == [
        ("resp_1", "previous_response_id"),
        ("rs_1", "input[1].id"),
    ]


def test_words_and_schemas_name_nothing() -> None:
    properties = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    tool = {"type": "function", "name": "open", "parameters": properties}
    text = {"format": {"type": "json_schema", "schema": properties}}
    assert ids(input="file_id", tools=[tool], text=text, metadata={"file_id": "x"}) == []


def test_many_thoughts_without_their_content_are_refused() -> None:
    thoughts = [{"type": "reasoning", "id": f"rs_{i}"} for i in range(101)]
    with pytest.raises(BadRequest, match="encrypted_content"):
        ids(input=thoughts)
