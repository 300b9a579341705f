"""The service with a GPU tier: used where it pays, missed by nobody when it is away."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.chats import Json, Person, remembered_texts, sent, user
from support.ports import free_port
from support.retriever import HORIZON_SECONDS, LoopbackRetriever, failure, texts_of
from support.service import Service
from support.upstream import Answer, Gate, LoopbackUpstream

pytestmark = pytest.mark.service

REX = "Rex sleeps under the stove, zyxonite."
ASKED = user("What is my pet called?")
KEY, SECRET = "wk-canary", "ws-canary"
SMALL_TOKENS = 40
PATIENCE_SECONDS = 20.0
PEOPLE = [f"p{n}" for n in range(40)]


class Rewindable(LoopbackRetriever):
    def rewind(self) -> None:
        self.requests.clear()
        self._queues.clear()
        self.facts["fusion_weight"] = None


@pytest.fixture(scope="module")
def running() -> Iterator[Rewindable]:
    with Rewindable(attends_to="Rex") as started:
        yield started


@pytest.fixture
def retriever(running: Rewindable) -> LoopbackRetriever:
    running.rewind()
    return running


def started(
    folder: Path, upstream: LoopbackUpstream, retriever_url: str, **settings: str
) -> Service:
    return Service(
        folder,
        UPSTREAM_BASE=upstream.base_url,
        API_KEYS=",".join(f"{name}:sk-{name}" for name in PEOPLE),
        RETRIEVER_URL=retriever_url,
        MEMORY_COMPRESS_ABOVE_TOKENS=str(SMALL_TOKENS),
        MODAL_KEY=KEY,
        MODAL_SECRET=SECRET,
        **settings,
    )


@pytest.fixture(scope="module")
def service(
    folder: Path, running_upstream: LoopbackUpstream, running: Rewindable
) -> Iterator[Service]:
    with started(folder, running_upstream, running.origin) as made:
        yield made


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter(PEOPLE)


@pytest.fixture
def alice(http: httpx.Client, names: Iterator[str], upstream: LoopbackUpstream) -> Person:
    """Somebody whose memory is empty."""
    return Person(http, {"x-api-key": f"sk-{next(names)}"})


def wait_for(retriever: LoopbackRetriever, condition: Callable[[], bool]) -> None:
    asyncio.run(retriever.until(condition))


def told(answer: httpx.Response) -> tuple[str, str]:
    answer.raise_for_status()
    return answer.headers["x-memory-status"], answer.headers["x-memory-retriever"]


def test_the_gpu_finds_what_shares_no_word_with_the_question(
    alice: Person, retriever: LoopbackRetriever, upstream: LoopbackUpstream
) -> None:
    alice.knows(REX)
    assert told(alice.ask(ASKED)) == ("hit", "gpu")
    assert remembered_texts(sent(upstream)) == [REX]
    (request,) = retriever.asked("rank")
    assert request.headers["modal-key"] == KEY
    assert request.json["queries"] == [ASKED["content"]]
    assert any(REX in text for text in texts_of(request))


def test_a_receipt_tells_each_methods_rank(alice: Person, retriever: LoopbackRetriever) -> None:
    retriever.facts["fusion_weight"] = 1.0
    alice.knows(REX)
    answer = alice.ask(user("Does Rex sleep?")).raise_for_status()
    receipt = alice.get(f"/v1/memory/receipts/{answer.headers['x-memory-receipt']}").json()
    assert receipt["retriever"] == "gpu"
    best = min(receipt["lines"], key=lambda line: line["rank"])
    assert best["ranks"] == {"lexical": 1, "gpu": 1}


def test_compress_tells_them_too_and_reads_nothing_ahead(
    alice: Person, retriever: LoopbackRetriever
) -> None:
    alice.knows(REX)
    headers = {**alice.headers, "x-memory": "read"}
    body = {"messages": [ASKED]}
    answer = alice.http.post("/v1/compress", json=body, headers=headers)
    assert told(answer) == ("hit", "gpu")
    assert [line["ranks"]["gpu"] for line in answer.json()["memory"]["lines"]] == [1]
    assert retriever.asked("prefill") == []


def test_a_small_memory_is_never_sent(alice: Person, retriever: LoopbackRetriever) -> None:
    alice.keeps(REX)
    assert told(alice.ask(user("Does Rex sleep?"))) == ("hit", "lexical; reason=small")
    assert retriever.requests == []


@pytest.mark.parametrize("memory", ["write", "off"])
def test_what_does_not_read_asks_nobody(
    alice: Person, retriever: LoopbackRetriever, memory: str
) -> None:
    alice.knows(REX)
    assert told(alice.ask(ASKED, memory=memory)) == ("off", "none; reason=memory-off")
    assert retriever.requests == []


def test_the_question_is_read_ahead_beside_the_upstream(
    alice: Person, retriever: LoopbackRetriever, upstream: LoopbackUpstream
) -> None:
    alice.knows(REX)
    gate = Gate()
    upstream.queue(Answer.stream(b"data: [DONE]\n\n", gate))
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(alice.ask, ASKED, session="talk", stream=True)
        gate.reached.wait_blocking()
        wait_for(retriever, lambda: len(retriever.asked("prefill")) == 1)
        gate.open()
        assert told(asking.result()) == ("hit", "gpu")
    (ahead,) = retriever.asked("prefill")
    assert texts_of(ahead)[-1].endswith(f"user: {ASKED['content']}")
    assert ahead.json["owner"] == retriever.asked("rank")[0].json["owner"]


def test_the_next_turn_finds_what_was_read_ahead(
    alice: Person, retriever: LoopbackRetriever
) -> None:
    alice.knows(REX)
    alice.says(user("Hello there."), session="talk")
    alice.says(ASKED, session="talk")
    wait_for(retriever, lambda: len(retriever.asked("prefill")) == 2)
    alice.says(user("And where does it sleep?"), session="talk")
    (ahead,) = retriever.asked("prefill")[1].json["windows"]
    windows = retriever.asked("rank")[-1].json["windows"]
    begun = [one["chunks"][: len(ahead["chunks"])] for one in windows]
    assert len(ahead["chunks"]) == 3
    assert ahead["chunks"] in begun


def test_reading_ahead_holds_up_nothing_and_fails_nothing(
    alice: Person, retriever: LoopbackRetriever
) -> None:
    alice.knows(REX)
    retriever.queue(Answer.silence(), Answer.html(500), path="prefill")
    for _ in range(3):
        assert told(alice.ask(ASKED))[1] == "gpu"
    wait_for(retriever, lambda: len(retriever.asked("prefill")) == 3)


def test_nothing_is_read_ahead_that_is_not_stored(
    alice: Person, retriever: LoopbackRetriever
) -> None:
    alice.knows(REX)
    assert told(alice.ask(ASKED, memory="read"))[1] == "gpu"
    assert told(alice.ask(ASKED))[1] == "gpu"
    wait_for(retriever, lambda: len(retriever.asked("prefill")) == 1)
    assert len(retriever.asked("rank")) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(failure("loading"), "loading"), (Answer.html(200), "invalid-answer")],
    ids=["loading", "garbage"],
)
def test_words_rank_where_the_gpu_cannot(
    alice: Person,
    retriever: LoopbackRetriever,
    upstream: LoopbackUpstream,
    answer: Answer,
    reason: str,
) -> None:
    alice.knows(REX)
    retriever.queue(answer, path="rank")
    assert told(alice.ask(user("Does Rex sleep?"))) == ("degraded", f"lexical; reason={reason}")
    assert REX in remembered_texts(sent(upstream))


def test_an_erasure_tells_the_tier_to_forget(alice: Person, retriever: LoopbackRetriever) -> None:
    alice.knows(REX)
    alice.says(ASKED)
    erased = erase(alice)
    assert erased["retriever"] == {"forgotten": True, "horizon_seconds": HORIZON_SECONDS}
    alice.knows(REX)
    alice.says(ASKED)
    before, after = retriever.asked("rank")
    (forget,) = retriever.asked("forget")
    assert forget.json["owner"] == before.json["owner"] == after.json["owner"]
    assert after.json["epoch"] == before.json["epoch"] + 1


def erase(person: Person) -> Json:
    answer = person.http.delete("/v1/memory", headers=person.headers).raise_for_status()
    return dict(answer.json())


def test_one_who_is_unable_to_forget_is_told_of_in_the_receipt(
    alice: Person, retriever: LoopbackRetriever
) -> None:
    alice.knows(REX)
    retriever.queue(Answer.hang_up(), path="forget")
    erased = erase(alice)
    assert erased["erased"] is True
    assert erased["retriever"] == {"forgotten": False, "horizon_seconds": 600.0}


def test_the_log_tells_who_ranked_and_nothing_that_was_said(
    alice: Person, retriever: LoopbackRetriever, service: Service
) -> None:
    alice.knows(REX)
    retriever.queue(Answer.html(200), path="rank")
    alice.says(ASKED)
    alice.says(ASKED)
    assert '"retriever":"gpu"' in service.log
    assert '"retriever":"lexical; reason=invalid-answer"' in service.log
    for secret in (KEY, SECRET, "zyxonite", "my pet", "sk-p"):
        assert secret not in service.log


def test_a_late_gpu_costs_its_deadline_and_no_answer(
    tmp_path: Path, upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> None:
    quick = started(tmp_path, upstream, retriever.origin, RETRIEVER_DEADLINE_SECONDS="0.3")
    with quick as service, patient(service) as http:
        alice = Person(http, {"x-api-key": "sk-p0"})
        alice.knows(REX)
        retriever.queue(Answer.silence(), failure("deadline"), path="rank")
        for _ in range(2):
            late = alice.ask(user("Does Rex sleep?"))
            assert told(late) == ("timeout", "lexical; reason=timeout")
            assert REX in remembered_texts(sent(upstream))
        wait_for(retriever, lambda: len(retriever.asked("prefill")) == 2)
        # A busy machine may be late itself.
        assert any(told(alice.ask(ASKED))[1] == "gpu" for _ in range(20))


def test_killed_in_the_middle_of_traffic_only_headers_change(
    tmp_path: Path, upstream: LoopbackUpstream
) -> None:
    """And once it is back, a probe finds it."""
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    with started(tmp_path, upstream, at) as service, patient(service) as http:
        alice = Person(http, {"x-api-key": "sk-p0"})
        alice.knows(REX)

        def asks(_: int) -> tuple[str, str]:
            return told(alice.ask(user("Does Rex sleep?"), memory="read"))

        with ThreadPoolExecutor(4) as pool:
            with LoopbackRetriever(attends_to="Rex", port=port) as retriever:
                assert asks(0) == ("hit", "gpu")
                retriever.default = Answer.silence()  # these four die with it
                dying = pool.map(asks, range(4))
                wait_for(retriever, lambda: len(retriever.asked("rank")) == 5)
            away = [*dying, *pool.map(asks, range(20))]
        assert {status for status, _ in away} == {"degraded"}
        assert {"lexical; reason=unreachable", "lexical; reason=circuit-open"} >= {
            who for _, who in away
        }
        assert asks(0) == ("degraded", "lexical; reason=circuit-open")
        with LoopbackRetriever(attends_to="Rex", port=port) as retriever:
            open_still = ("degraded", "lexical; reason=circuit-open")
            seen = itertools.dropwhile(open_still.__eq__, map(asks, itertools.count()))
            assert next(seen) == ("hit", "gpu")
            assert asks(0) == ("hit", "gpu")
            assert len(retriever.asked("rank")) == 2


def patient(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False)
