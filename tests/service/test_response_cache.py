"""The response cache: the same person's same request, and nobody else's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.chats import Json, Person, user
from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

ASKED = user("What is two and two?")
COLD: Json = {"temperature": 0}


@pytest.fixture(scope="module")
def service(folder: Path, running_upstream: LoopbackUpstream) -> Iterator[Service]:
    people = ",".join(f"p{n}:sk-p{n}" for n in range(30))
    with serving(
        folder,
        UPSTREAM_BASE=running_upstream.base_url,
        API_KEYS=people,
        ENABLE_RESPONSE_CACHE="true",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def newcomer(http: httpx.Client) -> Callable[[], Person]:
    numbers = iter(range(30))
    return lambda: Person(http, {"x-api-key": f"sk-p{next(numbers)}"})


@pytest.fixture
def alice(newcomer: Callable[[], Person], upstream: LoopbackUpstream) -> Person:
    return newcomer()


@pytest.mark.parametrize("memory", ["on", "read", "write", "off"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_is_answered_from_the_store(
    alice: Person, upstream: LoopbackUpstream, memory: str, stream: bool
) -> None:
    answers = [alice.ask(ASKED, memory=memory, stream=stream, **COLD) for _ in range(3)]
    assert [one.headers["x-cache"] for one in answers] == ["miss", "hit", "hit"]
    assert len({one.content for one in answers}) == 1
    assert len({one.headers["content-type"] for one in answers}) == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_so_is_one_of_the_responses_api(
    alice: Person, upstream: LoopbackUpstream, stream: bool
) -> None:
    body = {"model": "m", "input": "What is two and two?", "stream": stream, **COLD}
    answers = [alice.http.post("/v1/responses", json=body, headers=alice.headers) for _ in range(2)]
    assert [one.headers["x-cache"] for one in answers] == ["miss", "hit"]
    assert answers[0].content == answers[1].content
    assert len(upstream.requests) == 1


def test_an_answer_out_of_the_store_is_remembered_too(alice: Person) -> None:
    for _ in range(2):
        answer = alice.ask(ASKED, session="talk", **COLD).raise_for_status()
    assert answer.headers["x-cache"] == "hit"
    assert alice.get(f"/v1/memory/receipts/{answer.headers['x-memory-receipt']}").is_success
    assert len(alice.told("talk")) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.0, "top_p": 1},
        {"model": "other", "temperature": 0},
        {"temperature": 0, "stream": True},
        {"temperature": 0, "seed": 2},
    ],
    ids=str,
)
def test_another_request_is_another_answer(
    alice: Person, upstream: LoopbackUpstream, changed: Json
) -> None:
    alice.ask(ASKED, **COLD).raise_for_status()
    assert alice.ask(ASKED, **changed).headers["x-cache"] == "miss"
    assert len(upstream.requests) == 2


def test_the_order_of_fields_is_no_other_request(alice: Person) -> None:
    bodies = (
        b'{"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]}',
        b'{"messages":[{"content":"Hi","role":"user"}],"temperature":0,"model":"m"}',
    )
    path, headers = "/v1/chat/completions", alice.headers
    told = [alice.http.post(path, content=one, headers=headers).headers for one in bodies]
    assert [one["x-cache"] for one in told] == ["miss", "hit"]


@pytest.mark.parametrize("temperature", [None, 0.7, 1])
def test_a_warm_request_is_kept_only_where_it_is_asked_for(
    alice: Person, upstream: LoopbackUpstream, temperature: float | None
) -> None:
    body = {"model": "m", "messages": [ASKED], "temperature": temperature}

    def ask(**headers: str) -> httpx.Response:
        given = {**alice.headers, **headers}
        return alice.http.post("/v1/chat/completions", json=body, headers=given)

    assert "x-cache" not in ask().headers
    assert [ask(**{"x-cache": "on"}).headers["x-cache"] for _ in range(2)] == ["miss", "hit"]
    assert "x-cache" not in ask(**{"x-cache": "off"}).headers
    assert ask(**{"x-cache": "maybe"}).status_code == 400
    assert len(upstream.requests) == 3


def test_nobody_gets_an_answer_that_was_given_to_somebody_else(
    alice: Person, newcomer: Callable[[], Person], upstream: LoopbackUpstream
) -> None:
    bob = newcomer()
    made = alice.http.post("/v1/workspaces", json={"name": "ours"}, headers=alice.headers).json()
    path = f"/v1/workspaces/{made['id']}/members"
    bobs_name = bob.headers["x-api-key"].replace("sk-", "key:")
    member = {"member": bobs_name, "role": "writer"}
    alice.http.post(path, json=member, headers=alice.headers).raise_for_status()
    shared = {"x-workspace-id": made["id"]}
    people = [
        alice,
        bob,
        Person(alice.http, {**alice.headers, **shared}),
        Person(bob.http, {**bob.headers, **shared}),
    ]
    told = [one.ask(ASKED, **COLD).raise_for_status().headers["x-cache"] for one in people]
    assert told == ["miss"] * 4
    assert len(upstream.requests) == 4


def test_an_erasure_takes_what_was_kept(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.ask(ASKED, **COLD).raise_for_status()
    alice.http.delete("/v1/memory", headers=alice.headers).raise_for_status()
    assert alice.ask(ASKED, **COLD).headers["x-cache"] == "miss"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(500, "Boom.", "server_error"),
        Answer.stream(b'data: {"choices": [{"index": 0, "delta": {"content": "h"}}]}\n\n'),
        Answer.stream(b"data: {}\n\n", ending="cut"),
        Answer.json({"object": "list"}),
        Answer.json(completion("x" * 500_000)),
    ],
    ids=["error", "half", "cut", "no completion", "large"],
)
def test_what_is_no_whole_answer_is_not_kept(
    alice: Person, upstream: LoopbackUpstream, answer: Answer
) -> None:
    upstream.queue(answer)
    stream = answer.headers["content-type"].startswith("text/event-stream")
    for _ in range(2):
        try:
            told = alice.ask(ASKED, memory="off", stream=stream, **COLD)
            assert told.headers["x-cache"] == "miss"
        except httpx.RemoteProtocolError:
            assert stream
    assert len(upstream.requests) == 2


def test_off_it_says_nothing(
    http: httpx.Client, tmp_path: Path, upstream: LoopbackUpstream
) -> None:
    with (
        serving(tmp_path, UPSTREAM_BASE=upstream.base_url) as plain,
        httpx.Client(base_url=plain.url, timeout=20, trust_env=False) as client,
    ):
        person = Person(client, {"x-api-key": "sk-alice"})
        for _ in range(2):
            assert "x-cache" not in person.ask(ASKED, **COLD).headers
    assert len(upstream.requests) == 2
