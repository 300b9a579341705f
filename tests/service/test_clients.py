"""The official `openai` client, unchanged, in front of the service."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from support.service import Service
from support.upstream import Answer, LoopbackUpstream, chunks, completion, sse

pytestmark = pytest.mark.service

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Łódź"}'},
}

TWO_ANSWERS = [("Hello there", "active"), ("first", "active"), ("second", "alternative")]


@pytest.fixture
def client(service: Service, sign_in: Callable[[], str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=sign_in(), max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(service: Service, sign_in: Callable[[], str]) -> AsyncIterator[AsyncOpenAI]:
    url = f"{service.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=sign_in(), max_retries=0) as client:
        yield client


def test_an_answer_comes_whole(client: OpenAI, upstream: LoopbackUpstream) -> None:
    answer = client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "echo: Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18
    assert answer.system_fingerprint == "fp_1"


def test_an_api_key_signs_in_as_a_bearer(service: Service, upstream: LoopbackUpstream) -> None:
    with OpenAI(base_url=f"{service.url}/v1", api_key="sk-alice", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "echo: Hello there"


def test_headers_of_the_turn_reach_the_client(client: OpenAI, upstream: LoopbackUpstream) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=HELLO, extra_headers={"X-Session-ID": "talk", "X-Request-ID": "mine"}
    )
    assert raw.headers["x-session-id"] == "talk"
    assert raw.headers["x-memory-status"] == "miss"
    assert int(raw.headers["x-tokens-before"]) == int(raw.headers["x-tokens-after"]) > 0
    assert raw.headers["x-tokens-saved"] == "0"
    assert raw.headers["x-memory-receipt"].startswith("r")
    assert raw.request_id == "mine"


def test_an_answer_is_streamed(client: OpenAI, upstream: LoopbackUpstream) -> None:
    stream = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    deltas = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert deltas == ["", "echo:", " Hello", " there", ""]


def test_usage_that_nobody_asked_for_stays_hidden(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    stream = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    seen = list(stream)
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    assert all(chunk.choices for chunk in seen)
    assert not any("usage" in chunk.model_fields_set for chunk in seen)


def test_usage_that_was_asked_for_arrives_last(client: OpenAI, upstream: LoopbackUpstream) -> None:
    stream = client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    seen = list(stream)
    assert all("usage" in chunk.model_fields_set for chunk in seen)
    assert [chunk.usage is None for chunk in seen] == [True] * (len(seen) - 1) + [False]
    assert seen[-1].choices == []
    assert seen[-1].usage is not None
    assert seen[-1].usage.prompt_tokens == 11


def test_a_tool_is_called_and_its_reply_answered(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json(completion(None, tool_calls=[CALL])))
    said: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Weather in Łódź?"}]
    asked = client.chat.completions.create(model="m", messages=said, tools=[WEATHER])
    calls = asked.choices[0].message.tool_calls
    assert asked.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    assert [call.model_dump(exclude_none=True) for call in calls] == [CALL]
    said.append({"role": "assistant", "tool_calls": [CALL]})  # type: ignore[list-item]  # as received
    said.append({"role": "tool", "tool_call_id": "call_1", "content": "sunny"})
    answer = client.chat.completions.create(model="m", messages=said, tools=[WEATHER])
    assert answer.choices[0].message.content == "echo: Weather in Łódź?"
    assert upstream.requests[1].json["messages"] == said
    assert upstream.requests[1].json["tools"] == [WEATHER]


def test_tool_calls_are_streamed_in_pieces(client: OpenAI, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.stream(*sse(*_tool_call_chunks(), "[DONE]")))
    with client.chat.completions.stream(model="m", messages=HELLO, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_1", "weather", '{"city": "Rome"}'),
        ("call_2", "weather", "{}"),
    ]


def test_tool_calls_are_remembered_put_together(client: OpenAI, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.stream(*sse(*_tool_call_chunks(), "[DONE]")))
    headers = {"X-Session-ID": "tools"}
    list(
        client.chat.completions.create(
            model="m", messages=HELLO, tools=[WEATHER], stream=True, extra_headers=headers
        )
    )
    answered = _session(client, "tools")[1]
    assert answered["content"] == ""
    assert [call["function"]["arguments"] for call in answered["tool_calls"]] == [
        '{"city": "Rome"}',
        "{}",
    ]


def test_every_choice_arrives_and_is_remembered(client: OpenAI, upstream: LoopbackUpstream) -> None:
    whole = completion("first", n=2)
    whole["choices"][1]["message"] = {"role": "assistant", "content": "second"}
    upstream.queue(Answer.json(whole))
    answer = client.chat.completions.create(
        model="m", messages=HELLO, n=2, extra_headers={"X-Session-ID": "two"}
    )
    assert [choice.message.content for choice in answer.choices] == ["first", "second"]
    assert _said(client, "two") == TWO_ANSWERS


def test_every_streamed_choice_arrives_and_is_remembered(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    parted = chunks("first", n=2)
    parted[3]["choices"][0]["delta"] = {"content": "second"}
    upstream.queue(Answer.stream(*sse(*parted, "[DONE]")))
    stream = client.chat.completions.create(
        model="m", messages=HELLO, n=2, stream=True, extra_headers={"X-Session-ID": "two"}
    )
    deltas = [(one.index, one.delta.content) for chunk in stream for one in chunk.choices]
    assert deltas == [(0, ""), (1, ""), (0, "first"), (1, "second"), (0, None), (1, None)]
    assert _said(client, "two") == TWO_ANSWERS


def test_a_wrong_key_is_an_authentication_error(service: Service) -> None:
    with (
        OpenAI(base_url=f"{service.url}/v1", api_key="sk-nobody", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.chat.completions.create(model="m", messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    assert refused.value.type == "invalid_request_error"


def test_a_missing_model_is_a_not_found_error(client: OpenAI, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.error(404, "The model `x` does not exist", "model_not_found"))
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="x", messages=HELLO)
    assert refused.value.code == "model_not_found"
    assert "does not exist" in refused.value.message


def test_an_upstreams_limit_is_a_rate_limit_error(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.error(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="m", messages=HELLO)
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_upstreams_failure_is_an_internal_server_error(
    client: OpenAI, upstream: LoopbackUpstream, status: int
) -> None:
    upstream.queue(Answer.error(status, "Overloaded.", "server_error"))
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="m", messages=HELLO)
    assert failed.value.status_code == status
    assert failed.value.code == "server_error"


def test_a_bad_request_names_its_parameter(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="m", messages=[])
    assert refused.value.param == "messages"


def test_a_stream_that_breaks_off_raises(client: OpenAI, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.stream(*sse(*chunks("half an answer")[:2]), ending="cut"))
    stream = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    seen: list[str | None] = []
    with pytest.raises(openai.APIError) as broken:
        seen.extend(chunk.choices[0].delta.content for chunk in stream)
    assert broken.value.code == "bad_gateway"


def test_models_are_listed_and_looked_up(client: OpenAI, upstream: LoopbackUpstream) -> None:
    assert [model.id for model in client.models.list()] == ["m", "org/other"]
    assert client.models.retrieve("org/other").owned_by == "loopback"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("absent")
    assert missing.value.code == "model_not_found"


async def test_the_async_client_gets_an_answer(
    async_client: AsyncOpenAI, upstream: LoopbackUpstream
) -> None:
    answer = await async_client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "echo: Hello there"


async def test_the_async_client_gets_a_stream(
    async_client: AsyncOpenAI, upstream: LoopbackUpstream
) -> None:
    stream = await async_client.chat.completions.create(model="m", messages=HELLO, stream=True)
    said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(said) == "echo: Hello there"


async def test_the_async_client_gets_its_own_errors(
    async_client: AsyncOpenAI, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.error(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError):
        await async_client.chat.completions.create(model="m", messages=HELLO)
    wrong = async_client.with_options(api_key="sk-nobody")
    with pytest.raises(openai.AuthenticationError):
        await wrong.chat.completions.create(model="m", messages=HELLO)


async def test_the_async_client_lists_models(
    async_client: AsyncOpenAI, upstream: LoopbackUpstream
) -> None:
    assert [model.id async for model in async_client.models.list()] == ["m", "org/other"]


def _session(client: OpenAI, session: str) -> list[dict[str, Any]]:
    answer = client.get(f"/sessions/{session}/messages", cast_to=object)
    assert isinstance(answer, dict)
    return list(answer["data"])


def _said(client: OpenAI, session: str) -> list[tuple[str, str]]:
    return [(one["content"], one["state"]) for one in _session(client, session)]


def _tool_call_chunks() -> list[dict[str, Any]]:
    """Two calls, as OpenAI streams them: a call's head first, then its arguments in pieces."""
    head = chunks("x")[0]
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"tool_calls": [_piece(0, "call_1", "weather")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
        {"tool_calls": [_piece(1, "call_2", "weather")]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]
    steps = [(delta, None) for delta in deltas]
    return [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in [*steps, ({}, "tool_calls")]
    ]


def _piece(index: int, id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return {"index": index, "id": id, "type": "function", "function": function}
