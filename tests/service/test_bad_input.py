"""Bad input gets OpenAI's error object, the right status and the right `param`, and no more."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from support.service import Service
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

Remembered = Callable[[str], list[Any]]
CHAT, NOTES = "/v1/chat/completions", "/v1/messages"
HELLO = {"role": "user", "content": "Hello"}
CANARY = "canary-4711"


def chat(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [HELLO], **fields})


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def with_field(name: bytes, value: bytes) -> bytes:
    return chat()[:-1] + b',"' + name + b'":' + value + b"}"


NO_JSON = {
    "empty": b"",
    "blank": b" \n ",
    "text": b"hello",
    "cut": chat()[:-5],
    "trailing comma": chat()[:-1] + b",}",
    "not a number": chat()[:-1] + b',"temperature":NaN}',
    "no UTF-8": chat().replace(b"Hello", b"\xff"),
    "UTF-16": chat().decode().encode("utf-16"),
    "lone surrogate": chat().replace(b"Hello", rb"\ud800"),
    "encoded surrogate": chat().replace(b"Hello", b"\xed\xa0\x80"),
    "array": b"[]",
    "null": b"null",
    "string": b'"hello"',
    "10,000 levels": with_field(b"x", nested(10_000)),
    "10,000 levels left open": b"[" * 10_000,
}

WRONG = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"model": 5}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": {"role": "user"}}, "messages"),
    ({"messages": [HELLO, "Hello"]}, "messages[1]"),
    ({"messages": [HELLO, {"content": "no role"}]}, "messages[1].role"),
    ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "assistant", "tool_calls": "x"}]}, "messages[0].tool_calls"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": 2**62, "n": 100}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"n": True}, "n"),
    ({"n": 2**63}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stream": True, "stream_options": "usage"}, "stream_options"),
    ({"stream": True, "stream_options": ["include_usage"]}, "stream_options"),
]

WRONG_NOTES = [
    ({}, "content"),
    ({"content": ""}, "content"),
    ({"content": 5}, "content"),
    ({"content": "x", "role": "robot"}, "role"),
    ({"content": "x", "at": "yesterday"}, "at"),
    ({"content": "x", "at": 1e300}, "at"),
    ({"content": "x", "at": True}, "at"),
    ({"content": "x", "session_id": 5}, "session_id"),
    ({"content": "x", "metadata": []}, "metadata"),
    ({"content": "x", "metadata": {str(i): i for i in range(17)}}, "metadata"),
    ({"content": "x", "whatever": 1}, "whatever"),
    ({"messages": []}, "messages"),
    ({"messages": "x"}, "messages"),
    ({"messages": [{"content": "x"}] * 501}, "messages"),
    ({"messages": [{"content": "x"}, 5]}, "messages[1]"),
    ({"messages": [{"content": "x"}, {"content": None}]}, "messages[1].content"),
    ({"messages": [{"content": "x", "session_id": "a b"}]}, "messages[0].session_id"),
]


def refused(answer: httpx.Response, status: int, param: str | None = None) -> dict[str, Any]:
    """The error object, after a look at its shape."""
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return error


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("path", [CHAT, NOTES, "/v1/compress"])
def test_a_body_that_is_no_json_object_is_refused(
    http: httpx.Client, person: dict[str, str], path: str, name: str
) -> None:
    error = refused(http.post(path, content=NO_JSON[name], headers=person), 400)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("memory", ["on", "off"])
@pytest.mark.parametrize("levels", [200, 250, 300, 1000])
def test_a_body_that_nests_too_deep_is_refused(
    http: httpx.Client, person: dict[str, str], levels: int, memory: str
) -> None:
    headers = {**person, "x-memory": memory}
    for field in (b"tools", b"x"):
        body = with_field(field, nested(levels))
        refused(http.post(CHAT, content=body, headers=headers), 400)


def test_a_body_that_nests_deep_passes(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    call = b'{"id":"c","function":{"name":"f","arguments":"{}","x":' + nested(110) + b"}}"
    said = b'{"role":"assistant","content":null,"tool_calls":[' + call + b"]}"
    body = b'{"model":"m","stream":true,"messages":[' + said + b',{"role":"user","content":"x"}]}'
    http.post(CHAT, content=body, headers=person).raise_for_status()
    assert upstream.requests[0].json["messages"] == orjson.loads(body)["messages"]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=str)
def test_a_chat_request_of_the_wrong_shape_is_refused(
    http: httpx.Client, person: dict[str, str], fields: dict[str, Any], param: str
) -> None:
    error = refused(http.post(CHAT, content=chat(**fields), headers=person), 400, param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(("body", "param"), WRONG_NOTES, ids=lambda value: str(value)[:40])
def test_a_message_of_the_wrong_shape_is_refused(
    http: httpx.Client, person: dict[str, str], body: dict[str, Any], param: str
) -> None:
    refused(http.post(NOTES, json=body, headers=person), 400, param)
    assert http.get("/v1/sessions", headers=person).json()["data"] == []


def test_a_message_past_its_bound_is_too_large(http: httpx.Client, person: dict[str, str]) -> None:
    answer = http.post(NOTES, json={"messages": [{"content": "x" * 10_001}]}, headers=person)
    assert refused(answer, 413, "messages[0].content")["code"] == "message_too_large"


@pytest.mark.parametrize("path", [CHAT, NOTES, "/v1/compress"])
def test_a_body_of_ten_megabytes_is_too_large(
    http: httpx.Client, person: dict[str, str], path: str
) -> None:
    body = chat(messages=[{"role": "user", "content": "x" * 10_000_000}])
    answer = http.post(path, content=body, headers=person)
    assert refused(answer, 413)["code"] == "request_too_large"


def test_a_large_body_of_unknown_length_is_too_large(
    http: httpx.Client, person: dict[str, str]
) -> None:
    pieces = (b"x" * 1_000_000 for _ in range(10))
    refused(http.post(CHAT, content=pieces, headers=person), 413)


def test_fifty_thousand_messages_are_too_many(http: httpx.Client, person: dict[str, str]) -> None:
    answer = http.post(CHAT, content=chat(messages=[HELLO] * 50_000), headers=person)
    refused(answer, 413, "messages")


def test_a_question_that_no_document_could_hold_is_refused_before_it_costs(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    body = chat(messages=[{"role": "user", "content": "x y " * 250_000}])
    refused(http.post(CHAT, content=body, headers=person), 413, "messages[0].content")
    assert upstream.requests == []
    off = {**person, "x-memory": "off"}
    assert http.post(CHAT, content=body, headers=off).status_code == 200


def test_a_nul_is_answered_and_remembered(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], remembered: Remembered
) -> None:
    headers = {**person, "x-session-id": "nul"}
    body = chat(messages=[{"role": "user", "content": "a\0b"}])
    answer = http.post(CHAT, content=body, headers=headers).raise_for_status()
    assert answer.json()["choices"][0]["message"]["content"] == "echo: a\0b"
    assert [one["content"] for one in remembered("nul")] == ["a\0b", "echo: a\0b"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/x", "/v1", "/v2/chat/completions", "/x//y", "/v1/chat", "/%00"])
def test_an_unknown_path_is_not_found(http: httpx.Client, method: str, path: str) -> None:
    assert refused(http.request(method, path), 404)["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST"}),
        ("DELETE", CHAT, {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("PUT", NOTES, {"POST"}),
        ("POST", "/v1/sessions", {"GET", "HEAD"}),
        ("PUT", "/v1/messages/x", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("PUT", "/v1/items", {"GET", "HEAD", "POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
    ],
)
def test_a_known_path_says_which_methods_it_takes(
    http: httpx.Client, person: dict[str, str], method: str, path: str, allowed: set[str]
) -> None:
    answer = http.request(method, path, headers=person)
    assert refused(answer, 405)["code"] == "method_not_allowed"
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("mode", ["", "yes", "on,off", "readwrite"])
def test_an_unknown_memory_mode_is_refused(
    http: httpx.Client, person: dict[str, str], mode: str
) -> None:
    headers = {**person, "x-memory": mode}
    refused(http.post(CHAT, content=chat(), headers=headers), 400, "X-Memory")


@pytest.mark.parametrize("session", ["a b", "é", "a" * 201, "tab\tbed"])
def test_a_session_id_no_path_could_hold_is_refused(
    http: httpx.Client, person: dict[str, str], session: str
) -> None:
    headers = httpx.Headers({**person, "x-session-id": session}, encoding="utf-8")
    refused(http.post(CHAT, content=chat(), headers=headers), 400, "X-Session-ID")
    answer = http.get(f"/v1/sessions/{quote(session)}/messages", headers=person)
    refused(answer, 400, "session")


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_idempotency_key_past_its_bounds_is_refused(
    http: httpx.Client, person: dict[str, str], key: str
) -> None:
    headers = {**person, "idempotency-key": key}
    refused(http.post(CHAT, content=chat(), headers=headers), 400, "Idempotency-Key")


@pytest.mark.parametrize(
    "limit", ["", "0", "201", "-1", "1e1", "ten", "²", "1" * 5000], ids=range(8)
)
def test_a_page_size_out_of_range_is_refused(
    http: httpx.Client, person: dict[str, str], limit: str
) -> None:
    answer = http.get("/v1/sessions", params={"limit": limit}, headers=person)
    refused(answer, 400, "limit")


def test_what_is_not_there_is_not_found(http: httpx.Client, person: dict[str, str]) -> None:
    for path in (
        "/v1/sessions/absent/messages",
        "/v1/memory/receipts/absent",
        "/v1/memory/receipts/r000000000vvvvvvv",
    ):
        refused(http.get(path, headers=person), 404)
    refused(http.delete("/v1/sessions/absent", headers=person), 404)


def test_nothing_of_a_request_is_in_the_log_and_nothing_has_crashed(
    service: Service, http: httpx.Client, upstream: LoopbackUpstream
) -> None:
    """The log is that of all tests above."""
    headers = {"x-api-key": "sk-alice", "x-session-id": CANARY, "cookie": CANARY}
    body = chat(messages=[{"role": "user", "content": CANARY}], user=CANARY)
    http.post(f"{CHAT}?key={CANARY}", content=body, headers=headers).raise_for_status()
    http.post(CHAT, content=chat(stream=CANARY), headers=headers)
    http.post(NOTES, json={"content": 5, CANARY: CANARY}, headers=headers)
    http.get(f"/{CANARY}", headers={"authorization": f"Bearer {CANARY}"})
    http.get(f"/v1/sessions/{CANARY}/messages", headers=headers).raise_for_status()
    log = service.log
    assert '"endpoint":"/v1/chat/completions","status":413' in log
    for word in (CANARY, "sk-alice", "upstream-key", "Traceback", "unhandled", "eyJ"):
        assert word not in log
