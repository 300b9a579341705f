"""A repeated Idempotency-Key: one turn, one answer, one request to the upstream."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.chats import Person, user
from support.upstream import Answer, Gate, LoopbackUpstream, chunks, completion, sse

pytestmark = pytest.mark.service


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


@pytest.mark.parametrize("memory", ["on", "read", "write", "off"])
def test_a_repeated_request_gets_the_stored_answer(
    alice: Person, upstream: LoopbackUpstream, memory: str
) -> None:
    upstream.queue(Answer.json(completion("once")), Answer.json(completion("twice")))
    asked = {"session": "s", "key": "k1", "memory": memory}
    first, second = (alice.ask(user("Hello"), **asked) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(upstream.requests) == 1
    if memory in {"on", "write"}:
        assert alice.told_texts("s") == ["Hello", "once"]


@pytest.mark.parametrize("memory", ["on", "off"])
def test_a_repeated_stream_is_the_stored_one(
    alice: Person, upstream: LoopbackUpstream, memory: str
) -> None:
    asked: dict[str, Any] = {"session": "s", "key": "k1", "stream": True, "memory": memory}
    first, second = (alice.ask(user("Hello"), **asked) for _ in range(2))
    assert first.content == second.content
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert second.headers["content-type"] == first.headers["content-type"]
    assert len(upstream.requests) == 1


def test_a_second_request_in_flight_is_told_to_wait(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    gate = Gate()
    upstream.queue(Answer(200, {"content-type": "application/json"}, before=gate))
    with ThreadPoolExecutor() as pool:
        upstream.default = Answer.json(completion("never"))
        first = pool.submit(alice.ask, user("Hello"), session="s", key="k1")
        gate.reached.wait_blocking()
        second = alice.ask(user("Hello"), session="s", key="k1")
        gate.open()
        assert first.result().status_code == 502  # an empty body is no answer
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "idempotency_key_in_use"
    assert int(second.headers["retry-after"]) >= 1
    assert len(upstream.requests) == 1


def test_a_key_may_be_used_again_after_a_failure(alice: Person, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.error(500, "Oh no.", "server_error"))
    first = alice.ask(user("Hello"), session="s", key="k1")
    second = alice.ask(user("Hello"), session="s", key="k1")
    assert (first.status_code, second.status_code) == (500, 200)
    assert alice.told_texts("s") == ["Hello", "echo: Hello"]


def test_an_answer_too_large_to_keep_frees_the_key(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json(completion("x" * 600_000)))
    first = alice.ask(user("Hello"), session="s", key="k1")
    second = alice.ask(user("Hello"), session="s", key="k1")
    assert (first.status_code, second.status_code) == (413, 200)
    assert first.json()["error"]["code"] == "message_too_large"
    assert alice.told_texts("s") == ["Hello", "echo: Hello"]


def test_another_body_under_the_key_is_refused(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.ask(user("Hello"), session="s", key="k1")
    second = alice.ask(user("Goodbye"), session="s", key="k1")
    assert second.status_code == 400
    error = second.json()["error"]
    assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key")
    assert len(upstream.requests) == 1
    assert alice.told_texts("s") == ["Hello", "echo: Hello"]


def test_the_same_key_of_another_is_another_key(
    alice: Person, bob: Person, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json(completion("for Alice")), Answer.json(completion("for Bob")))
    assert alice.says(user("Hello"), session="s", key="k1") == "for Alice"
    assert bob.says(user("Hello"), session="s", key="k1") == "for Bob"
    assert alice.says(user("Hello"), session="s", key="k1") == "for Alice"


def test_a_key_too_long_is_refused(alice: Person, upstream: LoopbackUpstream) -> None:
    assert alice.ask(user("Hello"), key="k" * 256).status_code == 400
    assert upstream.requests == []


async def test_a_client_that_left_halfway_may_use_its_key_again(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    pieces = sse(*chunks("half an answer"), "[DONE]")
    upstream.queue(Answer.stream(*pieces[:3], Gate(), *pieces[3:]))
    await leave_early(alice, upstream)
    again = await settled(alice)
    assert again.content.endswith(b"data: [DONE]\n\n")
    assert len(upstream.requests) == 2


async def test_a_client_that_left_before_the_last_line_gets_the_answer_again(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    pieces = sse(*chunks("half an answer"), "[DONE]")
    upstream.queue(Answer.stream(*pieces[:-1], Gate(), *pieces[-1:]))
    await leave_early(alice, upstream, at='"stop"')
    again = await settled(alice)
    assert b"answer" in again.content


async def leave_early(person: Person, upstream: LoopbackUpstream, at: str = " an") -> None:
    """Ask for a stream, and hang up at that word, when the upstream stands before its gate."""
    aborted = upstream.connections_aborted
    body = {"model": "m", "messages": [user("Hello")], "stream": True}
    headers = {**person.headers, "x-session-id": "s", "idempotency-key": "k1"}
    async with (
        httpx.AsyncClient(base_url=person.http.base_url, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        async for line in answer.aiter_lines():
            if at in line:
                break
    await upstream.until_aborted(aborted + 1)


async def settled(person: Person) -> httpx.Response:
    """The repeated request's answer, once the first has let go of the key."""
    for _ in range(100):
        answer = person.ask(user("Hello"), session="s", key="k1", stream=True)
        if answer.status_code != 409:
            return answer
    return answer
