"""What passes through, byte for byte, and what becomes of an upstream in trouble."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.service import Service, serving
from support.upstream import (
    Answer,
    Gate,
    LoopbackUpstream,
    chunks,
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
        b'\n{ "messages" :[ {"content":"Hi","role":"user"} ] ,\t"model":"m",'
        b'"zeta":1,"alpha":2 }\r\n'
    ),
    "duplicate keys": b'{"model":"old","model":"m","messages":[{"role":"user","content":"Hi"}]}',
    "escapes": (
        b'{"model":"m","messages":[{"role":"user",'
        rb'"content":"\u0041\ud83d\ude00 \/ \u0000 \u00e9"}]}'
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
def impatient(
    running_upstream: LoopbackUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service that waits for half a second and has no key for its upstream."""
    with (
        serving(
            tmp_path_factory.mktemp("impatient"),
            UPSTREAM_BASE=running_upstream.base_url,
            REQUEST_TIMEOUT_SECONDS="0.5",
            UPSTREAM_TIMEOUT_SECONDS="0.5",
        ) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        client.headers["x-api-key"] = "sk-alice"
        yield client


@pytest.mark.parametrize("name", REQUESTS)
def test_with_memory_off_a_request_arrives_byte_for_byte(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], name: str
) -> None:
    answer = http.post(CHAT, content=REQUESTS[name], headers=off)
    assert answer.status_code == 200
    (arrived,) = upstream.requests
    assert (arrived.method, arrived.path) == ("POST", CHAT)
    assert arrived.body == REQUESTS[name]


def test_only_harmless_headers_arrive_beside_the_gateways_own_key(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    passed = {
        "user-agent": "tester/1",
        "accept": "application/json",
        "content-type": "application/json; charset=utf-8",
        "openai-beta": "assistants=v2",
        "x-stainless-lang": "python",
        "x-title": "Tests",
        "http-referer": "https://example.test",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
    }
    stopped = {
        "cookie": "session=secret",
        "x-api-key": "sk-alice",
        "openai-organization": "org-theirs",
        "openai-project": "proj-theirs",
        "x-forwarded-for": "10.0.0.1",
        "x-request-id": "mine",
        "x-session-id": "talk",
        "x-goog-iap-jwt-assertion": "secret",
    }
    body = REQUESTS["plain"]
    http.post(CHAT, content=body, headers={**off, **passed, **stopped}).raise_for_status()
    assert upstream.requests[0].headers == passed | {
        "host": upstream.origin.removeprefix("http://"),
        "accept-encoding": "identity",
        "authorization": "Bearer upstream-key",
        "content-length": str(len(body)),
    }


def test_without_a_key_no_authorization_goes_out(
    impatient: httpx.Client, upstream: LoopbackUpstream
) -> None:
    headers = {"authorization": "Bearer sk-alice", **OFF}
    impatient.post(CHAT, content=REQUESTS["plain"], headers=headers).raise_for_status()
    assert "authorization" not in upstream.requests[0].headers
    assert "x-api-key" not in upstream.requests[0].headers


@pytest.mark.parametrize("name", WHOLES)
def test_with_memory_off_a_whole_answer_comes_back_byte_for_byte(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], name: str
) -> None:
    upstream.queue(Answer(200, {"content-type": "application/json"}, WHOLES[name]))
    answer = http.post(CHAT, content=REQUESTS["plain"], headers=off)
    assert (answer.status_code, answer.content) == (200, WHOLES[name])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-memory-status"] == "off"
    assert answer.headers["x-tokens-before"] == answer.headers["x-tokens-after"]
    assert "x-memory-receipt" not in answer.headers


@pytest.mark.parametrize("name", STREAMS)
def test_with_memory_off_a_stream_comes_back_byte_for_byte(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], name: str
) -> None:
    upstream.queue(Answer.stream(STREAMS[name]))
    answer = http.post(CHAT, content=REQUESTS["a stream"], headers=off)
    assert (answer.status_code, answer.content) == (200, STREAMS[name])
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-memory-status"] == "off"


def test_a_stream_comes_as_it_is_said(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    gate = Gate()
    upstream.queue(Answer.stream(SPEAKING[0], gate, *SPEAKING[1:]))
    with http.stream("POST", CHAT, content=REQUESTS["a stream"], headers=person) as answer:
        arriving = answer.iter_raw()
        assert next(arriving) == SPEAKING[0]  # while the upstream still stands before the gate
        gate.open()
        assert b"".join(arriving) == b"".join(SPEAKING[1:])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error": {"message": "Bad.", "type": "x", "param": "n", "code": "y", "z": 1}}'),
        (404, b"<html>Not Found</html>"),
        (418, b'{"detail":"teapot"}'),
        (500, b""),
        (503, b"overloaded"),
    ],
)
def test_with_memory_off_an_error_comes_back_byte_for_byte(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], status: int, body: bytes
) -> None:
    upstream.queue(Answer(status, {"content-type": "text/x-mine", "retry-after": "3"}, body))
    answer = http.post(CHAT, content=REQUESTS["plain"], headers=off)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["content-type"] == "text/x-mine"
    assert answer.headers["retry-after"] == "3"


def test_with_memory_off_nothing_is_remembered(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], remembered: Remembered
) -> None:
    headers = {**off, "x-session-id": "quiet"}
    http.post(CHAT, content=REQUESTS["plain"], headers=headers).raise_for_status()
    http.post(CHAT, content=REQUESTS["a stream"], headers=headers).raise_for_status()
    assert remembered("quiet") == []


@pytest.mark.parametrize("name", REQUESTS)
def test_with_memory_on_all_but_the_messages_arrives_unchanged(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], name: str
) -> None:
    headers = {**person, "x-session-id": "talk"}
    http.post(CHAT, json={"model": "m", "messages": [_user("Earlier")]}, headers=headers)
    http.post(CHAT, content=REQUESTS[name], headers=headers).raise_for_status()
    sent, arrived = json.loads(REQUESTS[name]), upstream.requests[1].json
    assert len(arrived["messages"]) > len(sent["messages"])
    assert [one for one in arrived["messages"] if one in sent["messages"]] == sent["messages"]
    for body in (sent, arrived):
        del body["messages"]
        body.pop("stream_options", None)
    assert arrived == sent
    assert list(arrived) == list(sent)


def test_usage_is_asked_for_beside_the_clients_own_options(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    http.post(CHAT, content=REQUESTS["a stream with options"], headers=person).raise_for_status()
    assert upstream.requests[0].json["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }


def test_with_memory_on_a_stream_comes_back_without_the_usage_nobody_asked_for(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    events = sse(*chunks("Hello there", with_usage=True), "[DONE]")
    upstream.queue(Answer.stream(b": PROCESSING\n\n", b": ping\n".join(events)))
    answer = http.post(CHAT, content=REQUESTS["a stream"], headers=person)
    # the usage chunk is gone, the comment that came with it is not
    said = b": ping\n".join(SPEAKING)
    assert answer.content == b": PROCESSING\n\n" + said + b": ping\n\n: ping\ndata: [DONE]\n\n"


def test_usage_beside_a_last_delta_is_taken_out_and_the_delta_kept(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    said = chunks("Hello there")
    upstream.queue(Answer.stream(*sse(*said[:-1], {**said[-1], "usage": usage()}, "[DONE]")))
    answer = http.post(CHAT, content=REQUESTS["a stream"], headers=person)
    lines = [line for line in answer.text.split("\n") if line]
    assert [json.loads(line.removeprefix("data: ")) for line in lines[:-1]] == said
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize("name", ["ends with done", "has no done", "has carriage returns"])
def test_with_memory_on_a_whole_stream_is_passed_and_remembered(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    remembered: Remembered,
    name: str,
) -> None:
    upstream.queue(Answer.stream(STREAMS[name]))
    headers = {**person, "x-session-id": "talk"}
    answer = http.post(CHAT, content=REQUESTS["a stream"], headers=headers)
    assert answer.content == STREAMS[name]
    assert _said(remembered("talk")) == [("Hi", False), ("Hello there", False)]


def test_an_upstreams_limit_reaches_the_client_whole(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], remembered: Remembered
) -> None:
    headers = {"retry-after": "7", "x-should-retry": "false", "x-request-id": "req-theirs"}
    refusal = Answer.error(429, "Slow down.", "rate_limit_exceeded", headers)
    upstream.queue(refusal)
    ours = {**person, "x-session-id": "talk", "x-request-id": "mine"}
    answer = http.post(CHAT, content=REQUESTS["plain"], headers=ours)
    assert (answer.status_code, answer.content) == (429, refusal.body)
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-upstream-request-id"] == "req-theirs"
    assert answer.headers["x-request-id"] == "mine"
    assert remembered("talk") == []


def test_an_upstreams_refusal_keeps_its_parameter(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    upstream.queue(Answer.json(error("Unsupported value.", "unsupported_value", "n"), 400))
    answer = http.post(CHAT, content=REQUESTS["plain"], headers=person)
    assert answer.status_code == 400
    assert answer.json() == error("Unsupported value.", "unsupported_value", "n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>boom</html>", "The upstream answered 500 with a body that is no error object."),
        (b"", "The upstream answered 500 with a body that is no error object."),
        (b'{"error": "model is loading"}', "model is loading"),
        (b'{"object": "error", "message": "no such model"}', "no such model"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body"]}]}', "The upstream answered 500 with"),
    ],
)
def test_with_memory_on_any_error_has_openais_shape(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    body: bytes,
    message: str,
) -> None:
    upstream.queue(Answer(500, {"content-type": "text/html"}, body))
    answer = http.post(CHAT, content=REQUESTS["plain"], headers=person)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()["error"]
    assert told.pop("message").startswith(message)
    assert told == {"type": "upstream_error", "param": None, "code": None}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-type": "application/json"}, b'{"choices": [{"mess'),
        Answer(200, {"content-type": "application/json"}, b'{"hello": 1}'),
        Answer.html(200),
        Answer(302, {"location": "http://127.0.0.1:1/"}),
        Answer(200, {"content-type": "application/json", "content-length": "9"}, b"{}", "cut"),
        Answer(200, {"content-type": "application/json"}, [b'{"choices": []}'], "reset"),
        Answer.hang_up(),
        Answer(head=b"garbage\r\n\r\n"),
    ],
    ids=["cut JSON", "other JSON", "HTML", "redirect", "short", "reset", "silent", "no HTTP"],
)
def test_what_is_no_answer_becomes_a_bad_gateway_and_no_memory(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    remembered: Remembered,
    answer: Answer,
) -> None:
    upstream.queue(answer)
    headers = {**person, "x-session-id": "talk"}
    failed = http.post(CHAT, content=REQUESTS["plain"], headers=headers)
    assert failed.status_code == 502
    assert failed.json()["error"]["code"] == "bad_gateway"
    assert failed.json()["error"]["type"] == "upstream_error"
    assert remembered("talk") == []


@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_with_memory_off_a_cut_stream_never_ends_clean(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str], ending: Any
) -> None:
    upstream.queue(Answer.stream(*SPEAKING[:2], ending=ending))
    seen = _until_broken(http, off)
    assert b"".join(SPEAKING[:2]).startswith(seen)  # and not one byte of ours


@pytest.mark.parametrize("ending", ["cut", "close", "clean"])
def test_half_an_answer_ends_in_an_error_event_and_is_no_memory(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    remembered: Remembered,
    ending: Any,
) -> None:
    upstream.queue(Answer.stream(*SPEAKING[:2], ending=ending))
    seen = _until_broken(http, {**person, "x-session-id": "talk"})
    head = b"".join(SPEAKING[:2])
    assert seen.startswith(head + b"data: ")
    assert json.loads(seen.removeprefix(head + b"data: "))["error"]["code"] == "bad_gateway"
    assert remembered("talk") == []


@pytest.mark.parametrize("name", ["ends in an error", "ends in an error and done"])
def test_an_error_inside_a_stream_is_passed_and_the_half_answer_no_memory(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    remembered: Remembered,
    name: str,
) -> None:
    upstream.queue(Answer.stream(STREAMS[name]))
    headers = {**person, "x-session-id": "talk"}
    answer = http.post(CHAT, content=REQUESTS["a stream"], headers=headers)
    assert answer.content == STREAMS[name]
    assert remembered("talk") == []


def test_a_cut_after_the_finish_reason_loses_no_answer(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], remembered: Remembered
) -> None:
    upstream.queue(Answer.stream(*SPEAKING, ending="cut"))
    seen = _until_broken(http, {**person, "x-session-id": "talk"})
    assert seen == b"".join(SPEAKING)
    assert _said(remembered("talk")) == [("Hi", False), ("Hello there", False)]


@pytest.mark.parametrize("name", ["plain", "a stream"])
@pytest.mark.parametrize("memory", ["on", "off"])
def test_an_upstream_that_says_nothing_times_out(
    impatient: httpx.Client, upstream: LoopbackUpstream, name: str, memory: str
) -> None:
    upstream.queue(Answer.silence())
    answer = impatient.post(CHAT, content=REQUESTS[name], headers={"x-memory": memory})
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"


def test_a_whole_answer_that_stalls_times_out(
    impatient: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer(200, {"content-type": "application/json"}, [b'{"choices"', Gate()]))
    answer = impatient.post(CHAT, content=REQUESTS["plain"])
    assert answer.status_code == 504


def test_a_stream_that_stalls_ends_in_an_error_event(
    impatient: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.stream(*SPEAKING[:2], Gate()))
    seen = _until_broken(impatient, {})
    head = b"".join(SPEAKING[:2]) + b"data: "
    assert json.loads(seen.removeprefix(head))["error"]["code"] == "upstream_timeout"


def test_a_client_that_hangs_up_stops_the_upstream_and_keeps_what_came(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], remembered: Remembered
) -> None:
    aborted = upstream.connections_aborted
    upstream.queue(Answer.stream(*SPEAKING[:2], Gate()))
    headers = {**person, "x-session-id": "talk"}
    with http.stream("POST", CHAT, content=REQUESTS["a stream"], headers=headers) as answer:
        _read_until(answer, b"Hello")
    asyncio.run(upstream.until_aborted(aborted + 1))
    stored = _eventually(lambda: remembered("talk"))
    assert _said(stored) == [("Hi", False), ("Hello", True)]


def test_a_client_that_hangs_up_with_memory_off_stops_the_upstream(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    aborted = upstream.connections_aborted
    upstream.queue(Answer.stream(*SPEAKING[:2], Gate()))
    with http.stream("POST", CHAT, content=REQUESTS["a stream"], headers=off) as answer:
        _read_until(answer, b"Hello")
    asyncio.run(upstream.until_aborted(aborted + 1))


def test_a_turn_after_an_interrupted_one_goes_on(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], remembered: Remembered
) -> None:
    headers = {**person, "x-session-id": "talk"}
    upstream.queue(Answer.stream(*SPEAKING[:2], Gate()))
    with http.stream("POST", CHAT, content=REQUESTS["a stream"], headers=headers) as answer:
        _read_until(answer, b"Hello")
    _eventually(lambda: remembered("talk"))
    body = {"model": "m", "messages": [_user("Go on")]}
    http.post(CHAT, json=body, headers=headers).raise_for_status()
    assert [one["content"] for one in upstream.requests[1].json["messages"]] == [
        "Hi",
        "Hello",
        "Go on",
    ]


def test_an_upstreams_trouble_leaves_no_traceback_and_no_text_in_the_log(
    service: Service, http: httpx.Client, upstream: LoopbackUpstream
) -> None:
    """The log is that of all tests above."""
    upstream.queue(Answer.stream(*SPEAKING[:2], ending="reset"))
    _until_broken(http, {"x-api-key": "sk-alice"})
    for word in ("Traceback", "unhandled", "Hello", "upstream-key", "sk-alice"):
        assert word not in service.log


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _said(messages: list[Any]) -> list[tuple[str, bool]]:
    return [(one["content"], one["interrupted"]) for one in messages]


def _until_broken(http: httpx.Client, headers: dict[str, str]) -> bytes:
    """What arrives of a stream before its connection breaks, as it must."""
    seen = bytearray()
    with http.stream("POST", CHAT, content=REQUESTS["a stream"], headers=headers) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            _read(answer, seen)
    return bytes(seen)


def _read(answer: httpx.Response, seen: bytearray) -> None:
    for piece in answer.iter_raw():
        seen += piece


def _read_until(answer: httpx.Response, text: bytes) -> None:
    seen = b""
    for piece in answer.iter_raw():
        seen += piece
        if text in seen:
            return
    pytest.fail(f"the stream ended without {text!r}")


def _eventually(read: Callable[[], list[Any]]) -> list[Any]:
    """What `read` finds once it finds something: nobody tells when a turn without a client ends."""
    for _ in range(READS_ALLOWED):
        if found := read():
            return found
    pytest.fail("it never came")
