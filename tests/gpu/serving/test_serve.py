"""The retriever's HTTP, over a ranker of a few lines: no torch here."""

import asyncio
import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from retriever.errors import (
    DeadlinePassed,
    Failed,
    Loading,
    Overloaded,
    RetrieverError,
    TooLarge,
    Unusable,
)
from retriever.serving.arrival import Arrival, Ranker
from retriever.serving.serve import MAX_BODY_BYTES, build_app, serve_arrival
from retriever_contract.wire import (
    MAX_CHUNK_CHARACTERS,
    MAX_CHUNKS,
    MAX_QUERIES,
    MAX_QUERY_CHARACTERS,
    STATUSES,
    Failure,
    ForgetAnswer,
    Health,
    PrefillAnswer,
    RankAnswer,
    RankRequest,
)
from support.rankers import WordRanker

OWNER = "a1b2c3d4e5f6a7b8"
SECRET = "confidential"
WAIT_SECONDS = 10.0


def rank_body(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "owner": OWNER,
        "epoch": 0,
        "windows": [
            {"chunks": [{"id": "1", "text": "tea at four"}, {"id": "2", "text": "the red bike"}]},
            {"chunks": [{"id": "3", "text": f"my {SECRET} bike lock"}]},
        ],
        "queries": ["which bike is red"],
        "deadline_milliseconds": 2000,
        **changes,
    }


def one_window(*texts: str) -> list[dict[str, Any]]:
    return [{"chunks": [{"id": str(place), "text": text} for place, text in enumerate(texts)]}]


def client_of(ranker: Ranker) -> httpx.AsyncClient:
    """Calls an app whose engine is there already."""
    arrival = Arrival(lambda: ranker)
    arrival.load()
    transport = httpx.ASGITransport(serve_arrival(arrival))
    return httpx.AsyncClient(transport=transport, base_url="http://retriever")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(WordRanker()) as opened:
        yield opened


def failure_of(answer: httpx.Response) -> Failure:
    return Failure.model_validate_json(answer.content)


async def test_each_chunk_gets_its_score_in_the_order_of_the_request(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/v1/rank", json=rank_body(queries=["red bike", "tea"]))
    assert answer.status_code == 200
    ranked = RankAnswer.model_validate_json(answer.content)
    assert [[(one.id, one.score) for one in scores] for scores in ranked.scores] == [
        [("1", 0.0), ("2", 2.0), ("3", 1.0)],
        [("1", 1.0), ("2", 0.0), ("3", 0.0)],
    ]


async def test_a_prefill_is_accepted_and_found_by_the_next_question(
    client: httpx.AsyncClient,
) -> None:
    accepted = await client.post("/v1/prefill", json=rank_body())
    assert accepted.status_code == 202
    assert PrefillAnswer.model_validate_json(accepted.content).windows == 2
    answer = await client.post("/v1/rank", json=rank_body())
    work = RankAnswer.model_validate_json(answer.content).work
    assert work.tokens_cached == work.tokens > 0


async def test_what_is_forgotten_is_not_cached_any_more(client: httpx.AsyncClient) -> None:
    await client.post("/v1/prefill", json=rank_body())
    forgotten = await client.post("/v1/forget", json={"version": 1, "owner": OWNER})
    assert forgotten.status_code == 200
    assert ForgetAnswer.model_validate_json(forgotten.content).windows == 3
    again = await client.post("/v1/rank", json=rank_body())
    assert RankAnswer.model_validate_json(again.content).work.tokens_cached == 0


async def test_a_ready_engine_tells_its_health(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/health")
    assert answer.status_code == 200
    health = Health.model_validate_json(answer.content)
    assert health.status == "ready"
    assert health.facts is not None
    assert health.facts.model == "words"


async def test_a_memory_without_windows_is_ranked_as_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rank", json=rank_body(windows=[]))
    assert answer.status_code == 200
    assert RankAnswer.model_validate_json(answer.content).scores == [[]]


async def test_the_content_type_and_fields_of_a_later_contract_do_not_matter(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(
        "/v1/rank",
        content=json.dumps(rank_body(colour="blue")),
        headers={"content-type": "text/plain"},
    )
    assert answer.status_code == 200


class RefusingRanker(WordRanker):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def rank(self, request: RankRequest) -> RankAnswer:
        raise self._error


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (TooLarge("more than the cache holds"), None),
        (Overloaded("the queue is full", 2.5), "3"),
        (Overloaded("the queue is full"), "1"),
        (Failed("the model failed"), None),
        (Loading("not yet", 0.2), "1"),
        (Unusable("there are no heads for this model"), "60"),
        (DeadlinePassed("not in time"), None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_error_of_the_engine_has_its_code_and_status(
    error: RetrieverError, retry_after: str | None
) -> None:
    async with client_of(RefusingRanker(error)) as client:
        answer = await client.post("/v1/rank", json=rank_body())
    assert answer.status_code == STATUSES[error.code]
    assert answer.headers.get("retry-after") == retry_after
    assert failure_of(answer).code == error.code
    assert failure_of(answer).message == str(error)


async def test_a_crash_is_failed_and_quotes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(RefusingRanker(RuntimeError(f"at {SECRET}"))) as client:
        answer = await client.post("/v1/rank", json=rank_body())
    assert answer.status_code == 500
    assert failure_of(answer).code == "failed"
    assert SECRET not in answer.text + caplog.text
    assert "RuntimeError at" in caplog.text


async def test_the_log_of_a_failure_has_its_cause_and_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = Failed("the model failed")
    failed.__cause__ = ValueError(SECRET)
    async with client_of(RefusingRanker(failed)) as client:
        await client.post("/v1/rank", json=rank_body())
    assert "failed: ValueError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_request_leaves_one_line_of_numbers(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "retriever")
    await client.post("/v1/rank", json=rank_body(queries=[f"where is {SECRET}"]))
    (record,) = [record for record in caplog.records if record.name == "retriever.serving.serve"]
    line = json.loads(record.getMessage())
    assert line.pop("milliseconds") >= 0
    assert line == {
        "event": "retriever_request",
        "endpoint": "/v1/rank",
        "status": 200,
        "windows": 2,
        "tokens": 10,
        "tokens_cached": 0,
    }


MALFORMED: dict[str, Any] = {
    "empty": b"",
    "cut short": b'{"version": 1, "owner": "confid',
    "not UTF-8": b'{"version": 1, "owner": "\xff"}',
    "a lone surrogate": json.dumps(rank_body(queries=[f"{SECRET} \ud800"])).encode(),
    "nested deeply": b"[" * 100_000,
    "a list": [],
    "another version": rank_body(version=2),
    "an owner by name": rank_body(owner=f"{SECRET}@example.com"),
    "an epoch below zero": rank_body(epoch=-1),
    "no question": rank_body(queries=[]),
    "too many questions": rank_body(queries=[SECRET] * (MAX_QUERIES + 1)),
    "a question too long": rank_body(queries=[SECRET * MAX_QUERY_CHARACTERS]),
    "a chunk too long": rank_body(windows=one_window(SECRET * MAX_CHUNK_CHARACTERS)),
    "an empty window": rank_body(windows=[{"chunks": []}]),
    "an id twice": rank_body(windows=[*one_window(SECRET), *one_window(SECRET)]),
    "too many chunks": rank_body(windows=one_window(*[SECRET] * (MAX_CHUNKS + 1))),
    "too much text": rank_body(windows=one_window(*[SECRET * 1_300] * 400)),
    "no deadline": rank_body(deadline_milliseconds=0),
    "a number as text": rank_body(windows=one_window(SECRET), queries=[7]),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_the_contract_is_a_bad_request_and_not_quoted(
    client: httpx.AsyncClient, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post("/v1/rank", content=content)
    assert answer.status_code == 400
    assert failure_of(answer).code == "bad_request"
    assert failure_of(answer).message
    assert SECRET[:6] not in answer.text + caplog.text


@pytest.mark.parametrize("path", ["/v1/prefill", "/v1/forget"])
async def test_every_endpoint_refuses_another_version(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json=rank_body(version=2))
    assert (answer.status_code, failure_of(answer).code) == (400, "bad_request")
    assert failure_of(answer).message == "version: Input should be 1"


async def test_a_body_of_an_announced_size_too_large_is_refused_unread(
    client: httpx.AsyncClient,
) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"{}"

    headers = {"content-length": str(MAX_BODY_BYTES + 1)}
    answer = await client.post("/v1/rank", content=pieces(), headers=headers)
    assert (answer.status_code, failure_of(answer).code) == (413, "too_large")
    assert read == 0


async def test_a_body_of_no_announced_size_is_read_up_to_the_bound(
    client: httpx.AsyncClient,
) -> None:
    piece, read = bytes(MAX_BODY_BYTES // 4), 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield piece

    answer = await client.post("/v1/rank", content=pieces())
    assert (answer.status_code, failure_of(answer).code) == (413, "too_large")
    assert read == 5


async def test_the_largest_memory_of_the_contract_passes_however_it_is_spelled(
    client: httpx.AsyncClient,
) -> None:
    windows = one_window(*["\x01" * 1024] * MAX_CHUNKS)  # six bytes each in JSON
    answer = await client.post("/v1/rank", json=rank_body(windows=windows))
    assert answer.status_code == 200


async def test_a_caller_gone_in_the_middle_of_its_body_leaves_nothing_behind() -> None:
    arrival = Arrival(WordRanker)
    arrival.load()
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"version"', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/rank", "headers": []}
    await serve_arrival(arrival)(scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/rank/", 404),
        ("POST", "/v2/rank", 404),
        ("GET", "/v1/rank", 405),
        ("POST", "/v1/health", 405),
    ],
)
async def test_no_such_path_and_no_such_method_are_failures_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert failure_of(answer).code == "bad_request"
    assert ("allow" in answer.headers) == (status == 405)


class MeetingRanker(WordRanker):
    """Answers nobody before all have asked."""

    def __init__(self, callers: int) -> None:
        super().__init__()
        self._meeting = asyncio.Barrier(callers)

    async def rank(self, request: RankRequest) -> RankAnswer:
        await self._meeting.wait()
        return await super().rank(request)


async def test_questions_reach_the_engine_side_by_side() -> None:
    async with client_of(MeetingRanker(20)) as client:
        asking = [client.post("/v1/rank", json=rank_body(queries=[str(n)])) for n in range(20)]
        answers = await asyncio.wait_for(asyncio.gather(*asking), WAIT_SECONDS)
    assert {answer.status_code for answer in answers} == {200}


class Gate:
    """A start that waits, as long as a model takes, until the test lets it end."""

    def __init__(self, end: Callable[[], WordRanker]) -> None:
        self.opened = threading.Event()
        self.announced: queue.Queue[Health] = queue.Queue()
        self._end = end

    def start(self) -> WordRanker:
        assert self.opened.wait(WAIT_SECONDS)
        return self._end()

    def open(self) -> Health:
        """How the loading ended."""
        self.opened.set()
        return self.announced.get(timeout=WAIT_SECONDS)


def test_the_server_answers_while_the_model_loads() -> None:
    gate = Gate(WordRanker)
    with TestClient(build_app(gate.start, gate.announced.put)) as client:
        for path in ("/v1/rank", "/v1/prefill", "/v1/forget"):
            answer = client.post(path, json=rank_body())
            assert answer.status_code == 503
            failure = Failure.model_validate_json(answer.content)
            assert (failure.code, failure.retry_after_seconds) == ("loading", 5.0)
            assert answer.headers["retry-after"] == "5"
        health = client.get("/v1/health")
        assert (health.status_code, health.json()["status"]) == (503, "loading")
        assert gate.open().status == "ready"
        assert client.get("/v1/health").status_code == 200
        assert client.post("/v1/rank", json=rank_body()).status_code == 200


def unusable() -> WordRanker:
    raise Unusable("there are no heads for this model: run detect")


def broken() -> WordRanker:
    raise OSError("the disk says no")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (unusable, "there are no heads for this model: run detect"),
        (broken, "The model was not loaded: OSError; the log says where."),
    ],
)
def test_a_model_that_cannot_be_loaded_is_unusable_and_says_why(
    end: Callable[[], WordRanker], message: str
) -> None:
    gate = Gate(end)
    with TestClient(build_app(gate.start, gate.announced.put)) as client:
        assert gate.open().message == message
        health = client.get("/v1/health")
        assert health.status_code == 503
        assert health.json() | {"status": "unusable", "message": message} == health.json()
        answer = client.post("/v1/rank", json=rank_body())
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "60"
        failure = Failure.model_validate_json(answer.content)
        assert (failure.code, failure.message) == ("unusable", message)


def test_an_unforeseen_end_of_loading_has_its_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate(broken)
    with TestClient(build_app(gate.start, gate.announced.put)):
        gate.open()
        for thread in threading.enumerate():
            if thread.name == "loading":
                thread.join()
    assert "the disk says no" in caplog.text


def test_the_engine_is_closed_with_the_server() -> None:
    ranker = WordRanker()
    gate = Gate(lambda: ranker)
    with TestClient(build_app(gate.start, gate.announced.put)):
        gate.open()
        assert not ranker.closed
    assert ranker.closed


def test_an_engine_that_arrives_after_the_end_is_closed_at_once() -> None:
    ranker = WordRanker()
    gate = Gate(lambda: ranker)
    with TestClient(build_app(gate.start, gate.announced.put)):
        pass
    assert gate.open().status == "loading"
    assert ranker.closed


def test_a_model_is_loaded_once_however_often_that_is_asked() -> None:
    loaded: list[WordRanker] = []

    def start() -> WordRanker:
        loaded.append(WordRanker())
        return loaded[-1]

    arrival = Arrival(start)
    arrival.load()
    with TestClient(serve_arrival(arrival)) as client:
        assert client.get("/v1/health").status_code == 200
    assert len(loaded) == 1


def test_a_model_that_could_not_be_loaded_is_tried_again_when_asked() -> None:
    ends = [unusable, WordRanker]
    arrival = Arrival(lambda: ends.pop(0)())
    arrival.load()
    assert arrival.health().status == "unusable"
    arrival.load()
    assert arrival.health().status == "ready"


def test_serving_needs_neither_modal_nor_torch() -> None:
    script = "import sys, retriever.serving.serve; print({'modal', 'torch'} & set(sys.modules))"
    path = [entry for entry in sys.path if entry]
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "set()"
