"""`/v1/responses`: the official client's other API, with the same memory as chat."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import FunctionToolParam, ResponseCompletedEvent, ResponseErrorEvent

from gateway.chat.prompt import OPENING
from support.service import Service, serving
from support.upstream import Answer, Gate, LoopbackUpstream, error, response, steps, typed

pytestmark = pytest.mark.service

Remembered = Callable[[str], list[Any]]
PATH = "/v1/responses"
OFF = {"x-memory": "off"}
TOLD = "My dachshund is called Rex."
ASKED = "What is my dachshund called?"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"file_id": {"type": "string"}}},
}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": []}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Łódź"}',
}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
WHOLE = response("Hello there")


@pytest.fixture
def client(service: Service, sign_in: Callable[[], str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=sign_in(), max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(service: Service, sign_in: Callable[[], str]) -> AsyncIterator[AsyncOpenAI]:
    url = f"{service.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=sign_in(), max_retries=0) as client:
        yield client


def told(client: OpenAI, session: str) -> list[tuple[str, str]]:
    """What is remembered of a session; nothing where there is none."""
    url = f"{client.base_url}sessions/{session}/messages"
    headers = {"authorization": f"Bearer {client.api_key}"}
    answer = httpx.get(url, headers=headers, trust_env=False)
    found = answer.json()["data"] if answer.status_code == 200 else []
    return [(one["role"], one["content"]) for one in found]


def respond(client: OpenAI, session: str, given: Any, **fields: Any) -> Any:
    headers = {"X-Session-ID": session, **fields.pop("extra_headers", {})}
    return client.responses.create(model="m", input=given, extra_headers=headers, **fields)


def test_what_was_said_in_one_session_is_recalled_in_another(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    assert client.responses.create(model="m", input=TOLD).output_text == f"echo: {TOLD}"
    raw = client.responses.with_raw_response.create(
        model="m", input=ASKED, instructions="Be brief.", temperature=0.5
    )
    assert raw.headers["x-memory-status"] == "hit"
    assert raw.headers["x-memory-receipt"].startswith("r")
    sent = upstream.requests[-1].json
    block, question = sent["input"]
    assert block["content"].startswith(OPENING)
    assert TOLD in block["content"]
    assert question == {"role": "user", "content": ASKED}
    assert (sent["instructions"], sent["temperature"]) == ("Be brief.", 0.5)
    assert upstream.requests[-1].path == PATH


def test_chat_and_responses_share_a_session(client: OpenAI, upstream: LoopbackUpstream) -> None:
    headers = {"X-Session-ID": "both"}
    client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hello"}], extra_headers=headers
    )
    respond(client, "both", "And you?")
    assert [(one["role"], one["content"]) for one in upstream.requests[-1].json["input"]] == [
        ("user", "Hello"),
        ("assistant", "echo: Hello"),
        ("user", "And you?"),
    ]
    assert told(client, "both") == [
        ("user", "Hello"),
        ("assistant", "echo: Hello"),
        ("user", "And you?"),
        ("assistant", "echo: And you?"),
    ]


def test_resent_items_go_as_they_came_and_are_stored_once(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    items: list[Any] = [{"role": "user", "content": "Hello"}]
    first = client.responses.with_raw_response.create(model="m", input=items)
    items += [one.model_dump(exclude_none=True) for one in first.parse().output]
    items += [{"role": "user", "content": [{"type": "input_text", "text": "And you?"}]}]
    second = client.responses.with_raw_response.create(model="m", input=items)
    assert second.headers["x-session-id"] == first.headers["x-session-id"]
    assert upstream.requests[-1].json["input"] == items
    assert told(client, first.headers["x-session-id"]) == [
        ("user", "Hello"),
        ("assistant", "echo: Hello"),
        ("user", "And you?"),
        ("assistant", "echo: And you?"),
    ]


def test_a_tool_is_called_and_its_output_answered(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json(response(output=[THOUGHT, CALL])), path=PATH)
    items: list[Any] = [{"role": "user", "content": "Weather in Łódź?"}]
    asked = respond(client, "tools", items, tools=[WEATHER])
    items += [one.model_dump(exclude_none=True) for one in asked.output]
    assert items[1:] == [THOUGHT, CALL]
    items.append(OUTPUT)
    assert respond(client, "tools", items, tools=[WEATHER]).output_text.startswith("echo: ")
    assert upstream.requests[-1].json["input"] == items
    assert upstream.requests[-1].json["tools"] == [WEATHER]
    assert [role for role, _ in told(client, "tools")] == ["user", "assistant", "tool", "assistant"]


def test_a_tools_output_alone_follows_its_call(client: OpenAI, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.json(response(output=[CALL])), path=PATH)
    respond(client, "alone", "Weather in Łódź?", tools=[WEATHER])
    respond(client, "alone", [OUTPUT], tools=[WEATHER])
    kept = ("type", "call_id", "name", "arguments")
    assert upstream.requests[-1].json["input"] == [
        {"role": "user", "content": "Weather in Łódź?"},
        {name: CALL[name] for name in kept},
        OUTPUT,
    ]


def test_an_answer_is_streamed_and_remembered(client: OpenAI, upstream: LoopbackUpstream) -> None:
    with respond(client, "streamed", "Hello there", stream=True) as stream:
        events = list(stream)
    deltas = [one.delta for one in events if one.type == "response.output_text.delta"]
    assert deltas == ["echo:", " Hello", " there"]
    assert isinstance(events[-1], ResponseCompletedEvent)
    assert told(client, "streamed")[-1] == ("assistant", "echo: Hello there")


async def test_the_async_clients_stream_helper_gets_the_final_response(
    async_client: AsyncOpenAI, upstream: LoopbackUpstream
) -> None:
    async with async_client.responses.stream(model="m", input="Hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert final.output_text == "echo: Hello"


def test_an_incomplete_answer_is_an_answer(client: OpenAI, upstream: LoopbackUpstream) -> None:
    cut_short = response(
        "Hello", status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    upstream.queue(Answer.stream(*typed(*steps(cut_short))), path=PATH)
    with respond(client, "short", "Hi", stream=True, max_output_tokens=16) as stream:
        assert [event.type for event in stream][-1] == "response.incomplete"
    assert told(client, "short") == [("user", "Hi"), ("assistant", "Hello")]


def test_a_failed_answer_is_no_memory(client: OpenAI, upstream: LoopbackUpstream) -> None:
    trouble = {"code": "server_error", "message": "Overloaded."}
    failed = response(output=[], status="failed", error=trouble, usage=None)
    upstream.queue(Answer.json(failed), Answer.stream(*typed(*steps(failed))), path=PATH)
    assert respond(client, "failed", "Hi").error.message == "Overloaded."
    with respond(client, "failed", "Hi", stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.failed"
    assert told(client, "failed") == []


def test_an_error_event_is_passed_and_the_half_answer_no_memory(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    told_error = {"type": "error", "code": "server_error", "message": "Overloaded.", "param": None}
    upstream.queue(Answer.stream(*typed(*steps(WHOLE)[:4], told_error)), path=PATH)
    with respond(client, "error", "Hi", stream=True) as stream:
        last = list(stream)[-1]
    assert isinstance(last, ResponseErrorEvent)
    assert last.message == "Overloaded."
    assert told(client, "error") == []


def test_half_an_answer_ends_in_an_error_event_and_is_no_memory(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.stream(*typed(*steps(WHOLE)[:4]), ending="cut"), path=PATH)
    seen: list[Any] = []
    with (
        respond(client, "cut", "Hi", stream=True) as stream,
        pytest.raises(openai.APIConnectionError),
    ):
        seen.extend(stream)
    assert isinstance(seen[-1], ResponseErrorEvent)
    assert seen[-1].sequence_number == 4
    assert told(client, "cut") == []


async def test_a_client_that_leaves_stops_the_upstream_and_keeps_what_came(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    gate, aborted = Gate(), upstream.connections_aborted
    first, rest = typed(*steps(WHOLE))[:4], typed(*steps(WHOLE))[4:]
    upstream.queue(Answer.stream(*first, gate, *rest), path=PATH)
    with respond(client, "left", "Hi", stream=True) as stream:
        assert [next(stream).type for _ in range(4)][-1] == "response.output_text.delta"
    await upstream.until_aborted(aborted + 1)
    respond(client, "left", "Still there?")
    assert told(client, "left")[:2] == [("user", "Hi"), ("assistant", "Hello")]


def test_a_response_is_gone_on_from_where_the_upstream_keeps_it(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    respond(client, "elsewhere", TOLD)
    first = respond(client, "chain", "Hello, my dachshund is here.")
    raw = client.responses.with_raw_response.create(
        model="m", input=ASKED, previous_response_id=first.id
    )
    assert raw.headers["x-session-id"] == "chain"
    sent = upstream.requests[-1].json
    assert sent["previous_response_id"] == first.id
    block, question = sent["input"]
    assert question["content"] == ASKED
    assert TOLD in block["content"]
    assert "my dachshund is here" not in block["content"]  # the upstream has it already
    assert int(raw.headers["x-tokens-before"]) > len(["Hello,", "my", "dachshund", "is", "here."])
    assert [text for _, text in told(client, "chain")][2:] == [ASKED, f"echo: {ASKED}"]


def test_a_tools_output_goes_on_from_its_response_byte_for_byte(
    client: OpenAI, http: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json(response(id="resp_tool", output=[CALL])), path=PATH)
    asked = respond(client, "loop", "Weather in Łódź?", tools=[WEATHER])
    body = {"model": "m", "input": [OUTPUT], "previous_response_id": asked.id}
    headers = {"authorization": f"Bearer {client.api_key}"}
    answer = http.post(PATH, json=body, headers=headers)
    assert answer.headers["x-session-id"] == "loop"
    assert upstream.requests[-1].body == answer.request.content
    assert [role for role, _ in told(client, "loop")] == ["user", "assistant", "tool", "assistant"]


def test_a_long_resent_conversation_is_cut_and_its_items_stay_whole(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    items: list[Any] = []
    for turn in range(12):
        sealed = {**THOUGHT, "id": f"rs_{turn}", "encrypted_content": "c2VhbGVk"}
        call = {**CALL, "call_id": f"call_{turn}"}
        output = {**OUTPUT, "call_id": f"call_{turn}", "output": f"sunny {turn} " * 200}
        items += [{"role": "user", "content": f"Weather {turn}?"}, sealed, call, output]
        items.append({"role": "assistant", "content": f"Sunny, as on day {turn}."})
    items.append({"role": "user", "content": "Thank you!"})
    raw = client.responses.with_raw_response.create(model="m", input=items)
    assert int(raw.headers["x-tokens-saved"]) > 0
    sent = upstream.requests[-1].json["input"]
    own = [item for item in sent if item in items]
    assert own == items[items.index(own[0]) :]
    assert len(own) % 5 == 1
    assert len(own) < len(items)
    assert [one["content"][: len(OPENING)] for one in sent if one not in items] in ([], [OPENING])


@pytest.mark.parametrize("memory", ["on", "read", "off"])
def test_a_response_is_its_readers_alone(
    service: Service,
    client: OpenAI,
    sign_in: Callable[[], str],
    upstream: LoopbackUpstream,
    memory: str,
) -> None:
    headers = {"X-Memory": memory}
    theirs = client.responses.create(model="m", input=f"{TOLD} {memory}", extra_headers=headers)
    stranger = OpenAI(base_url=f"{service.url}/v1", api_key=sign_in(), max_retries=0)
    asked = len(upstream.requests)
    with stranger, pytest.raises(openai.NotFoundError) as refused:
        stranger.responses.create(
            model="m", input=ASKED, previous_response_id=theirs.id, extra_headers=headers
        )
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    assert len(upstream.requests) == asked
    assert client.responses.create(
        model="m", input=ASKED, previous_response_id=theirs.id, extra_headers=headers
    ).output_text.startswith("echo: ")


def test_what_the_upstream_does_not_keep_is_not_gone_on_from(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    unkept = respond(client, "unkept", "Hello", store=False)
    with pytest.raises(openai.NotFoundError):
        respond(client, "unkept", "And?", previous_response_id=unkept.id)


def test_an_erasure_takes_the_responses_names_along(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    kept = respond(client, "erased", "Hello")
    headers = {"authorization": f"Bearer {client.api_key}"}
    url = f"{client.base_url}memory"
    assert httpx.delete(url, headers=headers, trust_env=False).status_code == 200
    with pytest.raises(openai.NotFoundError):
        respond(client, "erased", "And?", previous_response_id=kept.id)


def test_anothers_reasoning_is_not_there(
    service: Service, client: OpenAI, sign_in: Callable[[], str], upstream: LoopbackUpstream
) -> None:
    thought = {**THOUGHT, "id": "rs_of_the_first"}
    upstream.queue(Answer.json(response(output=[thought, CALL])), path=PATH)
    respond(client, "thoughts", "Weather?", tools=[WEATHER])
    items: Any = [{"role": "user", "content": "Weather?"}, thought, CALL, OUTPUT]
    stranger = OpenAI(base_url=f"{service.url}/v1", api_key=sign_in(), max_retries=0)
    with stranger, pytest.raises(openai.NotFoundError) as refused:
        respond(stranger, "thoughts", items)
    assert refused.value.param == "input[1].id"
    sealed = [items[0], {**thought, "encrypted_content": "c2VhbGVk"}, *items[2:]]
    assert respond(client, "thoughts", items).output_text
    assert respond(client, "others", sealed).output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "input[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
            "tools[0].vector_store_ids",
        ),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "tools[0].container"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("memory", ["on", "off"])
def test_what_lies_under_the_gateways_own_key_cannot_be_named(
    http: httpx.Client,
    person: dict[str, str],
    upstream: LoopbackUpstream,
    fields: dict[str, Any],
    param: str,
    memory: str,
) -> None:
    body = {"model": "m", "input": "Hello", **fields}
    answer = http.post(PATH, json=body, headers={**person, "x-memory": memory})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": ["Hello"]}, "input[0]"),
        ({"input": [{"type": 7}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"instructions": ["x"]}, "instructions"),
        ({"stream": "yes"}, "stream"),
        ({"store": 1}, "store"),
        ({"tools": {}}, "tools"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"input": "x" * 700_000}, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_request_is_refused(
    http: httpx.Client,
    person: dict[str, str],
    upstream: LoopbackUpstream,
    fields: dict[str, Any],
    param: str,
) -> None:
    answer = http.post(PATH, json={"model": "m", "input": "Hello", **fields}, headers=person)
    assert answer.status_code in {400, 413}
    assert answer.json()["error"]["param"] == param
    assert upstream.requests == []


def test_only_post_is_served(http: httpx.Client, person: dict[str, str]) -> None:
    assert http.get(PATH, headers=person).status_code == 405
    assert http.get(f"{PATH}/resp_1", headers=person).status_code == 404
    assert http.delete(f"{PATH}/resp_1", headers=person).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'\n{ "input" : "Hi",\t"model":"m", "zeta":1e0,"seed":123456789012345678901234 }\r\n',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"\\u0041"}]}'
        b',{"type":"x_new","x":1}],"stream":true,"metadata":{"file_id":"mine"}}',
    ],
)
def test_with_memory_off_all_passes_byte_for_byte(
    http: httpx.Client,
    person: dict[str, str],
    upstream: LoopbackUpstream,
    remembered: Remembered,
    body: bytes,
) -> None:
    raw = b": ping\n\n" + b"".join(typed(*steps(WHOLE))) + b"data: [DONE]\n\n"
    upstream.queue(Answer.stream(raw), path=PATH)
    answer = http.post(PATH, content=body, headers={**person, **OFF, "x-session-id": "off"})
    assert answer.content == raw
    assert answer.headers["x-memory-status"] == "off"
    assert upstream.requests[-1].body == body
    assert remembered("off") == []


def test_a_stream_that_nothing_was_added_to_passes_byte_for_byte(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream
) -> None:
    raw = b": ping\n\n" + b"".join(typed(*steps(WHOLE))) + b"data: [DONE]\n\n"
    upstream.queue(Answer.stream(raw), path=PATH)
    body = b'{"input":"Hi", "model":"m","stream":true,"top_p":1.0}'
    answer = http.post(PATH, content=body, headers=person)
    assert (answer.content, upstream.requests[-1].body) == (raw, body)


def test_digits_survive_where_memory_has_a_hand_in_it(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream
) -> None:
    http.post(PATH, json={"model": "m", "input": TOLD}, headers=person)
    body = b'{"model":"m","input":"%b","seed":123456789012345678901234}' % ASKED.encode()
    answer = http.post(PATH, content=body, headers=person)
    assert answer.headers["x-memory-status"] == "hit"
    assert upstream.requests[-1].json["seed"] == 123456789012345678901234


def test_an_item_of_an_unknown_kind_goes_through_with_memory_off(
    http: httpx.Client,
    person: dict[str, str],
    upstream: LoopbackUpstream,
    remembered: Remembered,
) -> None:
    shot = {"type": "computer_call_output", "call_id": "c", "output": {"image_url": "data:"}}
    body = {"model": "m", "input": [{"role": "user", "content": "Hi"}, shot]}
    answer = http.post(PATH, json=body, headers={**person, "x-session-id": "screen"})
    assert answer.status_code == 200
    assert answer.headers["x-memory-status"] == "off"
    assert answer.headers["x-memory-retriever"] == "none; reason=unknown-item"
    assert upstream.requests[-1].json == body
    assert remembered("screen") == []


def test_an_upstreams_error_reaches_the_client_and_is_no_memory(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    slow = Answer.error(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "7"})
    wrong = Answer.json(error("No such model.", "invalid_request_error", "model"), 400)
    upstream.queue(slow, wrong, Answer.html(), Answer.json({"id": "x"}), path=PATH)
    with pytest.raises(openai.RateLimitError) as limited:
        respond(client, "errors", "Hi")
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.BadRequestError) as refused:
        respond(client, "errors", "Hi")
    assert refused.value.param == "model"
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as broken:
            respond(client, "errors", "Hi")
        assert broken.value.status_code == 502
    assert told(client, "errors") == []


def test_a_key_answers_once(client: OpenAI, upstream: LoopbackUpstream) -> None:
    headers = {"Idempotency-Key": "once"}
    first = respond(client, "once", "Hello", extra_headers=headers)
    again = respond(client, "once", "Hello", extra_headers=headers)
    assert again.to_dict() == first.to_dict()
    assert len(upstream.requests) == 1
    assert len(told(client, "once")) == 2


def test_a_receipt_and_the_usage_know_what_the_upstream_counted(
    http: httpx.Client, person: dict[str, str], upstream: LoopbackUpstream
) -> None:
    answer = http.post(PATH, json={"model": "m", "input": "Hello"}, headers=person)
    id = answer.headers["x-memory-receipt"]
    receipt = http.get(f"/v1/memory/receipts/{id}", headers=person).json()
    assert receipt["tokens"]["completion"] == 7
    assert receipt["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}
    assert http.get("/v1/usage", headers=person).json()["totals"]["completion_tokens"] == 7


def test_what_is_secret_is_redacted_before_it_is_stored(
    client: OpenAI, upstream: LoopbackUpstream
) -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "I am ada@example.com"}]}]
    respond(client, "secret", items)
    assert upstream.requests[-1].json["input"] == items
    assert told(client, "secret")[0] == ("user", "I am [REDACTED_EMAIL]")


def test_its_tokens_are_limited_and_a_guessed_id_costs_a_request(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    settings = {"TOKENS_PER_MINUTE": "100", "REQUESTS_PER_MINUTE": "2"}
    with (
        serving(tmp_path, UPSTREAM_BASE=upstream.base_url, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as http,
    ):
        http.headers["x-api-key"] = "sk-alice"
        large = http.post(PATH, json={"model": "m", "input": "Hi", "max_output_tokens": 200})
        assert large.status_code == 413
        guess = {"model": "m", "input": "Hi", "previous_response_id": "resp_guessed"}
        assert [http.post(PATH, json=guess).status_code for _ in range(3)] == [404, 404, 429]
        assert upstream.requests == []


def test_a_turn_costs_what_one_of_chat_does_and_a_kept_response_one_write_more(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    with (
        serving(tmp_path, UPSTREAM_BASE=upstream.base_url) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as http,
    ):
        chat = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        bodies = [
            ("/v1/chat/completions", chat),
            (PATH, {"model": "m", "input": "Hello", "store": False}),
            (PATH, {"model": "m", "input": "Hello"}),
        ]
        for name in ("alice", "bob"):  # the first turn of an instance reads more
            http.headers["x-api-key"] = f"sk-{name}"
            for i, (path, body) in enumerate(bodies):
                http.post(path, json=body, headers={"x-session-id": f"s{i}"}).raise_for_status()
            http.get("/health").raise_for_status()  # a line is written after the answer's last byte
        lines = [json.loads(line) for line in running.log.splitlines()]
    asked = [one for one in lines if one.get("endpoint") in {PATH, "/v1/chat/completions"}]
    writes = [one["document_writes"] for one in asked[3:]]
    assert writes[0] == writes[1] == writes[2] - 1


def test_the_preview_answers_too(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as running,
        OpenAI(base_url=f"{running.url}/v1", api_key="sk-alice", max_retries=0) as client,
    ):
        client.responses.create(model="m", input=TOLD)
        answer = client.responses.create(model="m", input=ASKED, instructions="Be brief.")
        assert TOLD in answer.output_text
        assert "- system: 1 message" in answer.output_text
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
        with client.responses.stream(model="m", input=ASKED) as stream:
            assert TOLD in stream.get_final_response().output_text
