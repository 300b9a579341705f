"""Denial by what unpacks, grows or never ends."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from gateway.errors import TooSlow, UpstreamFailed
from gateway.routes import requests
from gateway.routes.requests import read_body
from gateway.upstream import openai
from gateway.upstream.base import UpstreamRequest
from gateway.upstream.openai import OpenAIUpstream, make_client
from support.upstream import Answer, LoopbackUpstream, sse

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
MEBIBYTE = 1024 * 1024
ASKED = UpstreamRequest("POST", "chat/completions", {}, BODY)
SMALL_BYTES = 100_000


@pytest.mark.service
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("gzip", gzip.compress(b" " * 100 * MEBIBYTE)),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY))),
        ("br", b"\x0b\x02\x80{}\x03"),
    ],
    ids=["gzip", "deflate", "a bomb", "twice", "brotli"],
)
def test_a_body_is_never_unpacked(
    http: httpx.Client, person: Callable[[], dict[str, str]], coding: str, packed: bytes
) -> None:
    headers = {**person(), "content-encoding": coding}
    for path in (CHAT, "/v1/messages", "/v1/memory/import"):
        assert http.post(path, content=packed, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-encoding": "gzip"}, gzip.compress(bytes(200 * SMALL_BYTES))),
        Answer.stream(*sse(*["x" * 1_000] * 200, "[DONE]")),
        Answer(200, {}, bytes(2 * SMALL_BYTES)),
    ],
    ids=["a bomb", "a stream", "a body"],
)
async def test_an_upstreams_answer_is_read_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(openai, "LARGEST_ANSWER_BYTES", SMALL_BYTES)
    with LoopbackUpstream(lambda _: answer) as loopback:
        async with make_client() as client:
            upstream = OpenAIUpstream(loopback.base_url, None, client, 30.0, 30.0)
            response = await upstream.send(ASKED)
            with pytest.raises(UpstreamFailed, match="too long"):
                await response.read()


def request_of(*pieces: bytes) -> Request:
    """One whose body begins with these pieces, and never ends."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"{"] * 20], ids=["nothing", "a byte", "a few"])
async def test_a_body_that_trickles_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.05)
    with pytest.raises(TooSlow):
        await read_body(request_of(*pieces), 1_000)


async def test_a_large_body_gets_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes buy seconds: a megabyte that came has bought half an hour, so this waits on."""
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.0)
    reading = asyncio.ensure_future(read_body(request_of(bytes(MEBIBYTE)), 2 * MEBIBYTE))
    await asyncio.wait({reading}, timeout=0.2)
    assert not reading.done()
    reading.cancel()
