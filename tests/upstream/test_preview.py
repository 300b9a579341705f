import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.base import Upstream, UpstreamRequest
from gateway.upstream.preview.preview import PreviewUpstream
from gateway.upstream.sse import EventSplitter
from support.upstream import Answer, LoopbackUpstream, Recorded

OPENING = "Remembered messages, quoted:\n"
MEMORIES = OPENING + "\n".join(
    [
        '{"id":"t1","role":"user","date":"2026-01-02","text":"My dog is\\n called Rex."}',
        '{"id":"t2","role":"assistant","date":"2026-01-03","text":"Noted \u2028 Rex."}',
        "</memory>",
    ]
)
MESSAGES: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": MEMORIES},
    {"role": "user", "content": "What is my dog called?" + "?" * 300},
]


def words(text: str) -> int:
    return len(text.split())


PREVIEW = PreviewUpstream(words, OPENING, lambda: 1_800_000_000.5)


async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    response = await PREVIEW.send(UpstreamRequest(method, path, {}, body))
    return response.status, await response.read()


async def complete(**asked: Any) -> Any:
    status, body = await ask("POST", "chat/completions", orjson.dumps(asked))
    assert status == 200
    return orjson.loads(body)


async def stream(**asked: Any) -> list[bytes | None]:
    _, body = await ask("POST", "chat/completions", orjson.dumps({**asked, "stream": True}))
    splitter = EventSplitter()
    events = splitter.feed(body)
    assert splitter.flush() is None
    return [event.data for event in events]


async def over_http(request: Recorded) -> Answer:
    sent = UpstreamRequest(request.method, request.path.removeprefix("/v1/"), {}, request.body)
    response = await PREVIEW.send(sent)
    pieces = [piece async for piece in response.chunks()]
    return Answer(response.status, response.headers, pieces)


@pytest.fixture
def served() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(over_http) as upstream:
        yield upstream


@pytest.fixture
async def client(served: LoopbackUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="k", base_url=served.base_url, max_retries=0) as client:
        yield client


def test_its_answers_are_no_memories() -> None:
    upstream: Upstream = PREVIEW
    assert not upstream.answers_are_memories


async def test_the_answer_says_what_would_have_been_sent() -> None:
    answer = await complete(messages=MESSAGES, model="m")
    lines = answer["choices"][0]["message"]["content"].split("\n")
    assert "no upstream is configured" in lines[0]
    assert "UPSTREAM_BASE" in lines[1]
    assert lines[3:] == [
        "Would have been sent: 5 messages, 40 tokens.",
        "- system: 1 message, 6 tokens",
        "- user: 3 messages, 29 tokens",
        "- assistant: 1 message, 5 tokens",
        "",
        "The last user message begins:",
        "What is my dog called?" + "?" * 178,
        "",
        "Remembered lines: 2",
        "- [2026-01-02] user: My dog is called Rex. (t1)",
        "- [2026-01-03] assistant: Noted Rex. (t2)",
    ]


async def test_usage_is_what_was_counted() -> None:
    answer = await complete(messages=MESSAGES, n=2, tools=[{"type": "function"}])
    said = words(answer["choices"][0]["message"]["content"])
    assert answer["usage"]["prompt_tokens"] == 40 + 3 + 1
    assert answer["usage"]["completion_tokens"] == 2 * said
    assert answer["usage"]["total_tokens"] == 44 + 2 * said


async def test_the_same_request_has_the_same_answer() -> None:
    first, again = [await complete(messages=MESSAGES) for _ in range(2)]
    assert first == again
    assert first["created"] == 1_800_000_000
    assert first["id"] != (await complete(messages=MESSAGES[:1]))["id"]


async def test_a_stream_says_the_same_as_the_whole_answer() -> None:
    whole = await complete(messages=MESSAGES, n=2)
    *events, done = await stream(messages=MESSAGES, n=2)
    chunks = [orjson.loads(event or b"") for event in events]
    assert done == b"[DONE]"
    for choice in whole["choices"]:
        mine = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        assert mine[0]["delta"]["role"] == "assistant"
        said = "".join(part["delta"].get("content", "") for part in mine)
        assert said == choice["message"]["content"]
        assert [part["finish_reason"] for part in mine] == [None] * (len(mine) - 1) + ["stop"]
    assert not any("usage" in chunk for chunk in chunks)


async def test_a_stream_has_a_usage_chunk_only_when_asked() -> None:
    *events, done = await stream(messages=MESSAGES, stream_options={"include_usage": True})
    *others, last = [orjson.loads(event or b"") for event in events]
    assert done == b"[DONE]"
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 40 + 3
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in others)


async def test_the_official_client_reads_it_whole_and_streamed(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    whole = await client.chat.completions.create(model="m", messages=messages, n=2)
    assert [choice.finish_reason for choice in whole.choices] == ["stop", "stop"]
    async with client.chat.completions.stream(model="m", messages=messages) as events:
        streamed = await events.get_final_completion()
    assert streamed.choices[0].message.content == whole.choices[0].message.content


async def test_the_official_client_lists_its_one_model(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["preview"]
    assert (await client.models.retrieve("preview")).owned_by == "memory-ops"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("org/other")
    assert missing.value.code == "model_not_found"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 5000])
async def test_a_body_that_is_no_json_object_is_400_in_openais_shape(body: bytes) -> None:
    status, answer = await ask("POST", "chat/completions", body)
    error = orjson.loads(answer)["error"]
    assert status == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


async def test_tools_nested_deeper_than_can_be_written_are_400() -> None:
    body = b'{"messages": [], "tools": %b}' % (b"[" * 500 + b"]" * 500)
    assert (await ask("POST", "chat/completions", body))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "chat/completions", 405),
        ("POST", "models", 405),
        ("DELETE", "models/preview", 405),
        ("POST", "embeddings", 404),
        ("POST", "", 404),
    ],
)
async def test_what_it_does_not_serve_is_an_openai_error(
    method: str, path: str, status: int
) -> None:
    answered, body = await ask(method, path, b"{}")
    assert answered == status
    assert orjson.loads(body)["error"]["message"]


async def test_media_is_not_counted_and_its_text_is_read() -> None:
    url = "data:image/png;base64," + base64.b64encode(bytes(3_000)).decode()
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
        "odd",
    ]
    answer = await complete(messages=[{"role": "user", "content": parts}])
    assert "What is this?" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] == 3 + 1 + 3 + 3


@pytest.mark.parametrize("n", [0, -1, True, None, "2", 1.5])
async def test_an_odd_number_of_choices_is_one(n: Any) -> None:
    assert len((await complete(messages=[], n=n))["choices"]) == 1


async def test_real_tokens_are_counted_when_the_counter_is_real() -> None:
    preview = PreviewUpstream(RsBpeTokenizer().count, OPENING, lambda: 0.0)
    body = orjson.dumps({"messages": [{"role": "user", "content": "hello world"}]})
    response = await preview.send(UpstreamRequest("POST", "chat/completions", {}, body))
    assert orjson.loads(await response.read())["usage"]["prompt_tokens"] == 3 + 1 + 2 + 3


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
ODD_MESSAGES = st.lists(
    ANYTHING
    | st.fixed_dictionaries({"role": ANYTHING, "content": ANYTHING, "tool_calls": ANYTHING})
    | st.builds(lambda text: {"role": "user", "content": OPENING + text}, st.text()),
    max_size=4,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "messages": ODD_MESSAGES | ANYTHING,
            "model": ANYTHING,
            "n": ANYTHING,
            "stream": ANYTHING,
            "stream_options": ANYTHING,
            "tools": ANYTHING,
        },
    )
)
async def test_no_field_is_odd_enough_to_break_it(asked: dict[str, Any]) -> None:
    status, body = await ask("POST", "chat/completions", orjson.dumps(asked))
    assert status == 200
    assert body
