"""What passes through, byte for byte, and what becomes of an upstream in trouble."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.service import Service, serving
from support.upstream import (
    Answer,
    Gate,
    LoopbackUpstream,
    chunks,
    closed_port,
    completion,
    error,
    sse,
    usage,
)

pytestmark = pytest.mark.service

Remembered = Callable[[str], list[Any]]
CHAT = "/v1/chat/completions"
OFF = {"x-memory": "off"}
READS_ALLOWED = 2_000

REQUESTS = {
    "plain": b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}',
    "odd formatting and key order": (
        b'\n{ "messages" :[ {"content":"Hi","role":"user"} ] ,\t"model":"m","zeta":1,"alpha":2 }\r\n'
    ),
    "duplicate keys": b'{"model":"old","model":"m","messages":[{"role":"user","content":"Hi"}]}',
    "escapes": (
        rb'{"model":"m","messages":[{"role":"user","content":"\u0041\ud83d\ude00 \/ \u0000 \u00e9"}]}'
    ),
    "text of many scripts": (
        '{"model":"m","messages":[{"role":"user","content":"Łódź 東京 😀 \u202e"}]}'.encode()
    ),
    "numbers as they are written": (
        b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"seed":123456789012345678901234,'
        b'"temperature":1e0,"top_p":1.0,"presence_penalty":-0.0,"x_scale":1E2,"x_tiny":1e-300}'
    ),
    "sampling": (
        b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"n":2,"stop":["a","b"],'
        b'"seed":7,"logprobs":true,"top_logprobs":5,"logit_bias":{"50256":-100},"user":"u-1",'
        b'"max_tokens":null,"max_completion_tokens":64,"frequency_penalty":0.5}'
    ),
    "tools": (
        b'{"model":"m","messages":[{"role":"user","content":"Weather?"}],"tools":[{"type":"function",'
        b'"function":{"name":"weather","strict":true,"parameters":{"type":"object","properties":{},'
        b'"additionalProperties":false}}}],"tool_choice":{"type":"function","function":'
        b'{"name":"weather"}},"parallel_tool_calls":false}'
    ),
    "a tool's reply": (
        b'{"model":"m","messages":[{"role":"user","content":"Weather?"},{"role":"assistant",'
        b'"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather",'
        b'"arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"sunny"}]}'
    ),
    "a schema for the answer": (
        b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":'
        b'"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}}'
    ),
    "pictures and sound": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},'
        b'{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":'
        b'"low"}},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}'
    ),
    "reasoning": (
        b'{"model":"m","messages":[{"role":"developer","content":"Think."},{"role":"user","content":'
        b'"Hi"},{"role":"assistant","content":"A","reasoning_content":"because"},{"role":"user",'
        b'"content":"And?"}],"reasoning_effort":"high","reasoning":{"max_tokens":100},'
        b'"thinking":{"type":"enabled"},"verbosity":"low"}'
    ),
    "unknown fields": (
        b'{"model":"m","messages":[{"role":"user","content":"Hi","cache_control":{"type":"x"},'
        b'"x":[1,[2,{"y":null}]]}],"provider":{"order":["a"]},"metadata":{},"store":false,'
        b'"service_tier":"flex","prediction":{"type":"content","content":"Hi"},"extra":null}'
    ),
    "a stream": b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}',
    "a stream with options": (
        b'{"stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false},'
        b'"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    ),
}

SPEAKING = sse(*chunks("Hello there"))
ERROR_EVENT = sse(error("The server is overloaded.", "server_error", "model"))[0]

STREAMS = {
    "ends with done": b"".join([*SPEAKING, *sse("[DONE]")]),
    "has no done": b"".join(SPEAKING),
    "has usage": b"".join(sse(*chunks("Hello there", with_usage=True), "[DONE]")),
    "has comments": b": PROCESSING\n\n" + b": ping\n".join([*SPEAKING, b"data: [DONE]\n\n"]),
    "has carriage returns": b"".join(SPEAKING).replace(b"\n", b"\r\n") + b"data: [DONE]\r\n\r\n",
    "has ids and event names": b"id: 1\nevent: chunk\nretry: 10\n" + b"".join(SPEAKING),
    "has no space after the colon": b"".join(SPEAKING).replace(b"data: ", b"data:"),
    "has no finish reason": b"".join(SPEAKING[:2]),
    "ends in an error": b"".join([*SPEAKING[:2], ERROR_EVENT]),
    "ends in an error and done": b"".join([*SPEAKING[:2], ERROR_EVENT, *sse("[DONE]")]),
    "is not JSON": b"data: hello\n\ndata: {\n\ndata: [DONE]\n\n",
    "lacks its last line end": b"".join(SPEAKING) + b"data: [DONE]",
    "is empty": b"",
}

WHOLES = {
    "indented": json.dumps(completion("Hello"), indent=2).encode() + b"\n",
    "no content": b'{"choices":[{"index":0,"message":{"role":"assistant","content":null,'
    b'"refusal":"No.","annotations":[]},"finish_reason":"stop"}],"usage":null}',
    "unknown fields": b'{"id":1e2,"big":123456789012345678901234567890,"choices":[{"index":0,'
    rb'"message":{"role":"assistant","content":"\u00e9\ud83d\ude00","reasoning":"r"},'
    b'"finish_reason":"stop","native_finish_reason":"end"}],"provider":"x"}',
    "no choices": b'{"id":"x","choices":[]}',
    "not a completion": b'{"hello": 1}',
    "not JSON": b"hello",
    "empty": b"",
}


@pytest.fixture
def off(person: dict[str, str]) -> dict[str, str]:
    return {**person, **OFF}


@pytest.fixture(scope="module")
def impatient(service: Service, upstream_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that waits for half a second and has no key for its upstream."""
    folder: Path = tmp_path_factory.mktemp("impatient")
    settings = {"REQUEST_TIMEOUT_SECONDS": "0.5", "UPSTREAM_TIMEOUT_SECONDS": "0.5"}
    with (
        serving(folder, UPSTREAM_BASE=upstream_base, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client
