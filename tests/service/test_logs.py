"""What the running service writes: one line per request, and never a word of what was said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import crashing
from support.chats import user
from support.service import Service
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"
CANARIES = {
    "text": "the-quokka-naps-at-noon",
    "mail": "quokka.owner@example.org",
    "key": "sk-quokkakeyquokkakeyquokka",
    "token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJxdW9ra2EifQ.c2ln",
    "header": "quokka-header-value",
    "path": "quokka-in-a-path",
}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ALWAYS = {"severity", "event", "request_id", "method", "endpoint", "status", "duration_ms"}
OF_A_TURN = {
    "first_byte_ms",
    "model",
    "tokens_before",
    "tokens_after",
    "tokens_saved",
    "tokens_completion",
    "limiter",
    "retriever",
    "upstream_status",
    "document_reads",
    "document_writes",
    "messages_created",
    "logging.googleapis.com/labels",
    "logging.googleapis.com/trace",
    "logging.googleapis.com/spanId",
    "logging.googleapis.com/trace_sampled",
}


class Crashing(Service):
    source = Path(crashing.__file__)


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory, running_upstream: LoopbackUpstream
) -> Iterator[Service]:
    with Crashing(
        tmp_path_factory.mktemp("logs"),
        PYTHONWARNINGS="always",
        UPSTREAM_BASE=running_upstream.base_url,
        UPSTREAM_API_KEY="upstream-key",
        GOOGLE_CLOUD_PROJECT="some-project",
        LIMITER_FAILURE="closed",
        REQUESTS_PER_MINUTE="40",
    ) as running:
        yield running


@pytest.fixture
def client(own: Service) -> Iterator[httpx.Client]:
    headers = {"x-api-key": "sk-alice", "cookie": CANARIES["header"], "x-odd": CANARIES["header"]}
    with httpx.Client(base_url=own.url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


def lines(service: Service, **fields: object) -> list[dict[str, Any]]:
    """Those with these fields; every line has to be JSON."""
    found = [json.loads(line) for line in service.log.splitlines()]
    return [one for one in found if fields.items() <= one.items()]


def line(service: Service, answer: httpx.Response) -> dict[str, Any]:
    """That of the request itself, which is written after its last byte: what is asked then is
    answered later."""
    httpx.get(f"{service.url}/health", trust_env=False).raise_for_status()
    named = answer.headers["x-request-id"]
    (only,) = lines(service, event="api_request", request_id=named)
    return only


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "messages": [user(text)], **fields}


def test_a_turn_tells_all_that_is_asked_of_it(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-session-id": CANARIES["text"]}
    answer = client.post(CHAT, json=chat("hello"), headers=headers)
    told = line(own, answer.raise_for_status())
    assert told.keys() == ALWAYS | OF_A_TURN
    assert (told["event"], told["severity"], told["status"]) == ("api_request", "INFO", 200)
    assert (told["method"], told["endpoint"], told["model"]) == ("POST", CHAT, "m-1")
    assert (told["limiter"], told["upstream_status"]) == ("admitted", 200)
    assert told["retriever"] == answer.headers["x-memory-retriever"]
    for name in ("before", "after", "saved"):
        assert told[f"tokens_{name}"] == int(answer.headers[f"x-tokens-{name}"])
    assert told["tokens_completion"] == answer.json()["usage"]["completion_tokens"]
    assert told["messages_created"] == 2
    assert told["document_writes"] >= 3
    assert told["logging.googleapis.com/trace"] == f"projects/some-project/traces/{TRACE}"
    assert told["logging.googleapis.com/spanId"] == SPAN
    assert told["logging.googleapis.com/trace_sampled"] is True


def test_a_streamed_turn_tells_when_its_first_token_came(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    told = line(own, client.post(CHAT, json=chat("hello", stream=True)))
    assert 0 < told["first_token_ms"] <= told["duration_ms"]


def test_labels_name_a_person_and_a_session_by_digests(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    told = []
    for key in ("sk-alice", "sk-bob", "sk-alice"):
        headers = {"x-api-key": key, "x-session-id": "kitchen"}
        answer = client.post(CHAT, json=chat("hello"), headers=headers)
        told.append(line(own, answer)["logging.googleapis.com/labels"])
    assert told[0] == told[2]
    assert told[0]["identity"] != told[1]["identity"]
    assert told[0]["session"] != told[1]["session"]


def test_what_the_upstream_refused_is_told_by_its_status(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.error(429, CANARIES["text"], "rate_limit_exceeded"))
    told = line(own, client.post(CHAT, json=chat("hello")))
    assert (told["status"], told["upstream_status"], told["limiter"]) == (429, 429, "admitted")


def test_what_is_asked_of_the_upstream_beside_chats_is_told_too(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.error(404, "No such model.", "model_not_found"), path="embeddings")
    told = line(own, client.post("/v1/embeddings", json={"model": "e-1", "input": "hello"}))
    assert (told["model"], told["limiter"], told["upstream_status"]) == ("e-1", "admitted", 404)
    upstream.queue(Answer.hang_up())
    asked = {"conversation": "Where is my boat?"}
    told = line(own, client.post("/v1/memory/orchestrated-search", json=asked))
    assert (told["status"], told["upstream_error"]) == (200, "unreachable")


def test_what_the_limiter_refused_is_told_apart(own: Service, client: httpx.Client) -> None:
    headers = {"x-api-key": "sk-bob"}
    body = chat("hello", max_completion_tokens=1)
    answers = [client.post(CHAT, json=body, headers=headers) for _ in range(42)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    told = line(own, refused)
    assert (told["limiter"], "upstream_status" in told) == ("refused", False)


def test_a_path_without_a_route_and_a_method_nobody_knows_are_not_repeated(
    own: Service, client: httpx.Client
) -> None:
    assert line(own, client.get(f"/{CANARIES['path']}"))["endpoint"] == "unmatched"
    assert client.request("QUOKKA", CHAT).status_code == 400
    assert "QUOKKA" not in own.log


def test_nothing_that_was_sent_is_in_the_log(
    own: Service, client: httpx.Client, upstream: LoopbackUpstream
) -> None:
    text = " ".join(CANARIES.values())
    upstream.queue(Answer.error(500, text, "server_error"), Answer.json({"choices": text}))
    for _ in range(2):
        client.post(CHAT, json=chat(text))
    for stream in (False, True):
        said = chat(text, stream=stream, user=CANARIES["mail"])
        said["model"] = f"m {CANARIES['text']}"
        headers = {
            "x-session-id": CANARIES["text"],
            "idempotency-key": f"{CANARIES['key']}{stream}",
        }
        client.post(CHAT, json=said, headers=headers).raise_for_status()
    for path in ("/v1/memory/search", f"/v1/sessions/{CANARIES['path']}/messages", "/v1/messages"):
        client.get(path, params={"query": text, "k": CANARIES["text"]})
    client.post("/v1/messages", json={"content": text, CANARIES["text"]: 1})
    client.post("/v1/messages", json={"content": text}).raise_for_status()
    client.post(CHAT, content=f'{{"model": "{text}", "messages": '.encode())
    for credential in ("token", "key"):
        client.get("/v1/sessions", headers={"authorization": f"Bearer {CANARIES[credential]}"})
    client.get("/v1/sessions", headers={"traceparent": CANARIES["header"]})
    client.get("/v1/memory/export").raise_for_status()
    log = own.log
    assert [word for word in (*CANARIES.values(), "sk-alice", "upstream-key") if word in log] == []


@pytest.mark.parametrize("how", ["handler", "stream", "group", *crashing.WAYS])
def test_a_crash_tells_its_kind_and_place_and_quotes_nothing(
    own: Service, client: httpx.Client, how: str
) -> None:
    before = len(lines(own))
    headers = {"x-secret": CANARIES["text"]}
    try:
        answer = client.get(f"/crash/{how}", headers=headers)
    except httpx.RemoteProtocolError:
        assert how == "stream"
    else:
        assert answer.status_code == (500 if how in ("handler", "group") else 200)
    since = lines(own)[before:]
    told = [one for one in since if "error" in one]
    assert told
    assert all(one["severity"] in ("ERROR", "CRITICAL") for one in told)
    assert any("crashing.py" in place for one in told for place in one["places"])
    assert CANARIES["text"] not in own.log


def test_what_crashes_the_framework_itself_quotes_nothing(
    own: Service, client: httpx.Client
) -> None:
    answer = client.get("/outside", headers={"x-secret": CANARIES["text"]})
    assert answer.status_code == 500
    (told,) = [one for one in lines(own, logger="root") if "error" in one]
    assert told["error"] == "RuntimeError"
    assert told["places"][-1].endswith(" gateway")
    assert CANARIES["text"] not in own.log


def test_bytes_that_are_no_http_are_told_in_a_line(own: Service) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", own.port), timeout=10) as connection:
        connection.sendall(f"{CANARIES['text']}\r\n\r\n".encode())
        assert b"400" in connection.recv(1000)
    assert CANARIES["text"] not in own.log
    assert lines(own)
