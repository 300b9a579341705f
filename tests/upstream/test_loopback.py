"""The scripted upstream itself, as the official client and a bare socket see it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from support.upstream import Answer, Gate, LoopbackUpstream, chunks, sse

HELLO: list[Any] = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def loopback() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as upstream:
        yield upstream


@pytest.fixture
async def client(loopback: LoopbackUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="k", base_url=loopback.base_url, max_retries=0) as client:
        yield client


async def test_the_echo_is_whole_or_streamed_as_asked(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="m", messages=HELLO, n=2)
    assert [choice.message.content for choice in whole.choices] == ["echo: hello there"] * 2
    async with client.chat.completions.stream(
        model="m", messages=HELLO, stream_options={"include_usage": True}
    ) as events:
        streamed = await events.get_final_completion()
    assert streamed.choices[0].message.content == "echo: hello there"
    assert streamed.usage == whole.usage


def test_it_serves_a_client_that_blocks(loopback: LoopbackUpstream) -> None:
    with OpenAI(api_key="k", base_url=loopback.base_url, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["m", "org/other"]
    assert loopback.requests[0].headers["authorization"] == "Bearer k"


async def test_answers_queue_by_path(loopback: LoopbackUpstream, client: AsyncOpenAI) -> None:
    loopback.queue(Answer.error(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "7"}))
    assert await client.models.list()
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model="m", messages=HELLO)
    assert limited.value.response.headers["retry-after"] == "7"
    assert await client.chat.completions.create(model="m", messages=HELLO)


async def test_a_client_that_leaves_before_the_end_is_counted(
    loopback: LoopbackUpstream, client: AsyncOpenAI
) -> None:
    loopback.queue(Answer.stream(*sse(*chunks("one two")), Gate()))
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    await anext(stream)
    await stream.close()
    await loopback.until_aborted()
    assert loopback.connections_open == 0


async def test_a_client_that_leaves_after_the_end_is_not(loopback: LoopbackUpstream) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", loopback.port)
    writer.write(b"POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 Scripted\r\n"
    await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()
    await loopback.until(lambda: loopback.connections_closed == 1)
    assert loopback.connections_aborted == 0
    assert loopback.requests[0].body == b"{}"
