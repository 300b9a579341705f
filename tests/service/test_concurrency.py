"""Several processes over one Firestore database: limits exact, turns in one sequence, keys used
once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from benchmarks.load import Sample
from gateway.documents.firestore import FirestoreDocuments
from gateway.memory.log import MessageLog
from gateway.memory.records import Record
from support.certificates import AUDIENCE, CertificateServer
from support.chats import Person, user
from support.emulator import Emulator
from support.fleet import asking, at_once, firestore, fleet
from support.service import Service
from support.upstream import Answer, Gate, LoopbackUpstream, completion

pytestmark = pytest.mark.service

LIMIT = 50
REQUESTS_EACH = 100
TURNS_EACH = 50
SESSION = "s"
ALICE = {"x-api-key": "sk-alice"}
ANSWER_ENDS = {True: b"data: [DONE]\n\n", False: b"}"}


@pytest.fixture(scope="module")
def database(
    emulator: Emulator, running_upstream: LoopbackUpstream, certificates: CertificateServer
) -> dict[str, str]:
    """One for the module; its tests are told apart by who asks."""
    return {
        **firestore(emulator, "test-concurrency"),
        "UPSTREAM_BASE": running_upstream.base_url,
        "GOOGLE_CLIENT_ID": AUDIENCE,
        "GOOGLE_CERTS_URL": certificates.url,
    }


@pytest.fixture(scope="module")
def limited(
    database: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Service]]:
    """Four processes that have not asked the database for anything yet."""
    settings = {**database, "REQUESTS_PER_MINUTE": str(LIMIT)}
    with fleet(tmp_path_factory.mktemp("limited"), *[settings] * 4) as services:
        yield services


@pytest.fixture(scope="module")
def unlimited(
    database: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Service]]:
    with fleet(tmp_path_factory.mktemp("unlimited"), database, database) as services:
        yield services


@pytest.fixture
def two(unlimited: list[Service], person: dict[str, str]) -> Iterator[tuple[Person, Person]]:
    """One person at two processes."""
    first, second = (
        httpx.Client(base_url=service.url, timeout=20, trust_env=False) for service in unlimited
    )
    with first, second:
        yield Person(first, person), Person(second, person)


async def rush(
    services: Sequence[Service], each: int, made: Callable[[int], bytes]
) -> dict[int, Sample]:
    """Every process gets `each` requests at once, all of them numbered."""
    numbers = {s.port: range(i * each, (i + 1) * each) for i, s in enumerate(services)}
    answers = await at_once({port: [made(n) for n in part] for port, part in numbers.items()})
    return {n: answers[port][i] for port, part in numbers.items() for i, n in enumerate(part)}


# limits


async def test_four_processes_admit_exactly_the_limit_and_fail_nobody(
    limited: list[Service], upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    headers = {**person, "x-memory": "off"}
    answers = await rush(limited, REQUESTS_EACH, lambda n: asking(f"question {n}", headers))
    assert statuses(answers) == {200: LIMIT, 429: 4 * REQUESTS_EACH - LIMIT}
    assert len(upstream.requests) == LIMIT
    refused = [sample.headers for sample in answers.values() if sample.status == 429]
    assert all(int(headers["retry-after"]) >= 1 for headers in refused)


async def test_they_admit_exactly_the_limit_while_they_remember_what_they_admit(
    limited: list[Service], upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    """Each turn opens a session, so all of them also change the owner's document."""

    def made(n: int) -> bytes:
        return asking(f"question {n}", {**person, "x-session-id": f"s{n}"})

    answers = await rush(limited, REQUESTS_EACH, made)
    assert statuses(answers) == {200: LIMIT, 429: 4 * REQUESTS_EACH - LIMIT}
    assert len(upstream.requests) == LIMIT
    admitted = {f"s{n}": n for n, sample in answers.items() if sample.status == 200}
    with httpx.Client(base_url=limited[0].url, timeout=20, trust_env=False) as http:
        reader = Person(http, person)
        assert {one["id"]: one["messages"] for one in reader.sessions()} == dict.fromkeys(
            admitted, 2
        )
        session, n = admitted.popitem()
        assert reader.told_texts(session) == [f"question {n}", f"echo: question {n}"]


def statuses(answers: Mapping[int, Sample]) -> Counter[int]:
    return Counter(sample.status for sample in answers.values())


# one session


async def test_a_hundred_turns_of_one_session_are_one_sequence(
    unlimited: list[Service], upstream: LoopbackUpstream, emulator: Emulator
) -> None:
    """Half of them streamed, from two processes at once."""
    headers = {**ALICE, "x-session-id": SESSION}
    answers = await rush(
        unlimited, TURNS_EACH, lambda n: asking(f"question {n}", headers, stream=n % 2 == 0)
    )
    assert statuses(answers) == {200: 2 * TURNS_EACH}
    assert all(answers[n].body.endswith(ANSWER_ENDS[n % 2 == 0]) for n in answers)
    for service in unlimited:
        check_whole(read_back(service))
    stored = await records(emulator)
    assert [one.sequence for one in stored] == list(range(1, 4 * TURNS_EACH + 1))


def read_back(service: Service) -> list[dict[str, Any]]:
    with httpx.Client(base_url=service.url, timeout=20, trust_env=False) as http:
        return Person(http, ALICE).told(SESSION)


def check_whole(told: Sequence[Mapping[str, Any]]) -> None:
    """None lost, none doubled, each question before its own answer, each after the one before."""
    questions, answers = told[::2], told[1::2]
    numbers = sorted(int(one["content"].removeprefix("question ")) for one in questions)
    assert numbers == list(range(2 * TURNS_EACH))
    assert [one["content"] for one in answers] == [f"echo: {one['content']}" for one in questions]
    assert all(later["parent"] == one["id"] for one, later in pairwise(told))


async def records(emulator: Emulator) -> list[Record]:
    documents = FirestoreDocuments("test-concurrency", emulator_host=emulator.host)
    try:
        return await MessageLog(documents, lambda: 0.0, Random(1)).messages("key:alice", SESSION)
    finally:
        await documents.close()


# one key


@pytest.mark.parametrize("memory", ["on", "off"])
async def test_a_key_in_flight_in_another_process_is_told_to_wait(
    two: tuple[Person, Person], upstream: LoopbackUpstream, memory: str
) -> None:
    first, second = two
    asked: dict[str, Any] = {"session": SESSION, "key": "k1", "memory": memory}
    gate = Gate()
    body = orjson.dumps(completion("once"))
    upstream.queue(Answer(200, {"content-type": "application/json"}, body, before=gate))
    answering = asyncio.ensure_future(asyncio.to_thread(first.ask, user("Hello"), **asked))
    await gate.reached.wait()
    refused = second.ask(user("Hello"), **asked)
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_key_in_use"
    assert int(refused.headers["retry-after"]) >= 1
    gate.open()
    answer = await answering
    replayed = second.ask(user("Hello"), **asked)
    assert answer.status_code == replayed.status_code == 200
    assert answer.content == replayed.content
    assert replayed.headers["idempotent-replayed"] == "true"
    other = second.ask(user("Goodbye"), **asked)
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")
    assert len(upstream.requests) == 1
    if memory == "on":
        assert second.told_texts(SESSION) == ["Hello", "once"]


async def test_keys_used_twice_at_once_in_two_processes_are_one_turn_each(
    unlimited: list[Service], two: tuple[Person, Person], upstream: LoopbackUpstream
) -> None:
    keys = range(20)
    person = two[0].headers
    requests = [
        asking(f"question {n}", {**person, "x-session-id": f"s{n}", "idempotency-key": f"k{n}"})
        for n in keys
    ]
    answers = await at_once({service.port: requests for service in unlimited})
    for pair in zip(*answers.values(), strict=True):
        passed = [sample for sample in pair if sample.status == 200]
        assert {sample.status for sample in pair} <= {200, 409}
        assert len({sample.body for sample in passed}) == 1
    assert len(upstream.requests) == len(keys)
    for n in keys:
        assert two[1].told_texts(f"s{n}") == [f"question {n}", f"echo: question {n}"]
