"""The database away under a running service: refused fast and in words, or let through by setting;
nothing acknowledged is lost, nothing doubled, and the service recovers by itself.

Stopped, the emulator refuses connections and forgets everything; hung, it does neither. No seconds
are asserted: each call of the store ends at its deadline (tests/documents/test_firestore.py), and
how many a turn may wait for is counted in tests/memory/test_unanswered.py.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support.certificates import AUDIENCE, CertificateServer
from support.chats import Person, user
from support.emulator import Emulator
from support.fleet import firestore, fleet
from support.service import Service
from support.upstream import Answer, Gate, LoopbackUpstream, Recorded, echo

pytestmark = pytest.mark.service

LIMIT = 5
TURNS = 8
ATTEMPTS = 5_000  # of a client that does not wait as it is told to
MODES = ("on", "read", "write", "off")
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Ground:
    """Two processes over a database that may be taken from them; one fails open."""

    emulator: Emulator
    closed: httpx.Client
    open: httpx.Client

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.emulator.stop()
        try:
            yield
        finally:
            self.emulator.start()

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        self.emulator.hang()
        try:
            yield
        finally:
            self.emulator.resume()


@pytest.fixture(scope="module")
def ground(
    emulator: Emulator,  # there is one, or this is skipped
    running_upstream: LoopbackUpstream,
    certificates: CertificateServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ground]:
    with Emulator() as own:
        settings = {
            **firestore(own, "test-outage"),
            "UPSTREAM_BASE": running_upstream.base_url,
            "GOOGLE_CLIENT_ID": AUDIENCE,
            "GOOGLE_CERTS_URL": certificates.url,
            "REQUESTS_PER_MINUTE": str(LIMIT),
        }
        both = [{**settings, "LIMITER_FAILURE": failure} for failure in ("closed", "open")]
        with (
            fleet(tmp_path_factory.mktemp("outage"), *both) as (closed, open),
            client(closed) as at_closed,
            client(open) as at_open,
        ):
            yield Ground(own, at_closed, at_open)


def client(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False)


Newcomer = Callable[[httpx.Client], Person]


@pytest.fixture
def newcomer(sign_in: Callable[[], str]) -> Newcomer:
    """Somebody new, at one of the processes."""
    return lambda client: Person(client, {"authorization": f"Bearer {sign_in()}"})


def check_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "service_unavailable"
    assert error["code"] in {"limiter_unavailable", "store_unavailable"}


def until_recovered(person: Person) -> None:
    """A channel waits up to a second between two attempts to connect, and refuses meanwhile."""
    for _ in range(ATTEMPTS):
        answer = person.get("/v1/sessions")
        if answer.status_code == 200:
            return
        check_refused(answer)
    pytest.fail("the service did not recover")


# stopped


def test_without_the_store_nothing_passes_and_no_money_is_spent(
    ground: Ground, upstream: LoopbackUpstream, newcomer: Newcomer
) -> None:
    alice, bob = newcomer(ground.closed), newcomer(ground.closed)
    alice.says(user("before"), session="s")
    with ground.stopped():
        spent = len(upstream.requests)
        for memory in MODES:
            for stream in (False, True):
                asked: dict[str, Any] = {"session": "s", "memory": memory, "stream": stream}
                check_refused(alice.ask(user("meanwhile"), **asked))
                check_refused(alice.ask(user("meanwhile"), **asked, key="k1"))
        for path in ("/v1/sessions", "/v1/sessions/s/messages"):
            check_refused(alice.get(path))
        assert alice.get("/health").status_code == 200
        assert len(upstream.requests) == spent
    until_recovered(bob)
    assert bob.says(user("after"), session="s", key="k1") == "echo: after"
    assert bob.told_texts("s") == ["after", "echo: after"]


def test_an_answer_that_cannot_be_stored_is_no_answer(
    ground: Ground, upstream: LoopbackUpstream, newcomer: Newcomer
) -> None:
    """Stopped while the upstream answers, whole or streamed."""
    people = [newcomer(ground.closed) for _ in range(4)]
    with ThreadPoolExecutor(len(people)) as pool, held(upstream) as gate:
        turns = [pool.submit(passes, person, n) for n, person in enumerate(people)]
        asyncio.run(upstream.until(lambda: len(questions(upstream)) == len(people)))
        with ground.stopped():
            gate.open()
            assert [turn.result() for turn in turns] == [False] * len(people)
    for n, person in enumerate(people):
        until_recovered(person)
        assert person.says(user(f"question {n}"), session="s", key=f"k{n}") == f"echo: question {n}"


def test_an_open_limiter_counts_in_the_process_meanwhile(
    ground: Ground, upstream: LoopbackUpstream, newcomer: Newcomer
) -> None:
    alice, bob = newcomer(ground.open), newcomer(ground.open)
    with ground.stopped():
        answers = [alice.ask(user("meanwhile"), memory="off") for _ in range(LIMIT + 2)]
        assert [one.status_code for one in answers] == [200] * LIMIT + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        streamed = bob.ask(user("meanwhile"), memory="off", stream=True)
        assert streamed.content.endswith(b"data: [DONE]\n\n")
        spent = len(upstream.requests)
        for memory in ("on", "read", "write"):
            check_refused(bob.ask(user("meanwhile"), session="s", memory=memory))
        check_refused(bob.ask(user("meanwhile"), memory="off", key="k1"))
        assert len(upstream.requests) == spent
    until_recovered(bob)
    carol = newcomer(ground.open)
    answers = [carol.ask(user("after"), session="s") for _ in range(LIMIT + 1)]
    assert [one.status_code for one in answers] == [200] * LIMIT + [429]
    assert len(carol.told("s")) == 2 * LIMIT


# hung


def test_a_hang_loses_nothing_acknowledged_and_doubles_nothing(
    ground: Ground, upstream: LoopbackUpstream, newcomer: Newcomer
) -> None:
    """The answers come while the store hangs; their commits may be applied when it goes on."""
    people = [newcomer(ground.closed if n % 2 else ground.open) for n in range(TURNS)]
    for n, person in enumerate(people):
        person.says(user(f"before {n}"), session="s")
    with ThreadPoolExecutor(TURNS + 2) as pool, held(upstream) as gate:
        turns = [pool.submit(passes, person, n) for n, person in enumerate(people)]
        asyncio.run(upstream.until(lambda: len(questions(upstream)) == TURNS))
        with ground.hung():
            gate.open()
            refused = pool.submit(newcomer(ground.closed).ask, user("meanwhile"), session="s")
            counted = pool.submit(newcomer(ground.open).ask, user("meanwhile"), memory="off")
            check_refused(refused.result())
            assert counted.result().status_code == 200
            assert not any(turn.result() for turn in turns)
    for n, person in enumerate(people):
        until_recovered(person)
        check_once(person, n)
        check_replayed_or_in_flight(Person(ground.closed, person.headers), n)
    assert sorted(questions(upstream)) == [f"question {n}" for n in range(TURNS)]


@contextlib.contextmanager
def held(upstream: LoopbackUpstream) -> Iterator[Gate]:
    """Answers wait until the gate is open."""
    gate = Gate()

    async def held_echo(request: Recorded) -> Answer:
        await gate.passage()
        return echo(request)

    upstream.default = held_echo
    try:
        yield gate
    finally:
        gate.open()


def questions(upstream: LoopbackUpstream) -> list[str]:
    texts = [str(one.json["messages"][-1]["content"]) for one in upstream.requests]
    return [text for text in texts if text.startswith("question")]


def passes(person: Person, n: int) -> bool:
    """Whether a turn's answer comes whole: all of its body, or `[DONE]`."""
    try:
        answer = person.ask(user(f"question {n}"), session="s", key=f"k{n}", stream=n % 4 > 1)
    except httpx.RemoteProtocolError:  # how a stream ends that could not be stored
        return False
    if answer.status_code != 200:
        check_refused(answer)
    return answer.status_code == 200


def check_once(person: Person, n: int) -> None:
    """What was acknowledged is there once; what was not, with its answer or not at all."""
    person.says(user(f"after {n}"), session="s")
    texts = Counter(person.told_texts("s"))
    assert texts[f"before {n}"] == texts[f"after {n}"] == 1
    assert texts[f"question {n}"] == texts[f"echo: question {n}"] <= 1


def check_replayed_or_in_flight(person: Person, n: int) -> None:
    again = person.ask(user(f"question {n}"), session="s", key=f"k{n}", stream=n % 4 > 1)
    if again.status_code == 200:
        assert again.headers["idempotent-replayed"] == "true"
    else:
        assert again.json()["error"]["code"] == "idempotency_key_in_use"
