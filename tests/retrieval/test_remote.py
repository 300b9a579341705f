"""The GPU tier's ranker against a tier on loopback that answers, errs, lies, stalls or is gone."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from gateway.breaker import FIRST_PAUSE_SECONDS
from gateway.memory.records import owner_path
from gateway.retrieval.base import Forgotten, Passage, Question, Ranking
from gateway.retrieval.lexical import LexicalIndex, LexicalRanker
from gateway.retrieval.remote import HEARD_SECONDS, RemoteOptions, RemoteRanker, owner_key
from gateway.retrieval.tier import MAX_ANSWER_BYTES, Missing, Tier, endpoint
from gateway.upstream.openai import make_client
from retrieval.passages import chunk, monologue, passage
from retriever_contract.wire import MAX_QUERY_CHARACTERS, Failure, ForgetRequest
from support.ports import free_port
from support.retriever import (
    EMBEDDING,
    HORIZON_SECONDS,
    LoopbackRetriever,
    beyond_of,
    chunks_of,
    failure,
    proxy_refusal,
    texts_of,
)
from support.upstream import PATIENCE_SECONDS, Answer, Gate, Recorded

OWNER = "google:alice@example.test"
SOON_SECONDS = 0.2
KEY, SECRET = "wk-canary", "ws-canary"
INDEX = LexicalIndex(monologue("The boat is called Vega.", "Rent is due.", "Rex likes apples."))
QUESTION = Question("What does the dog like?", [INDEX], OWNER, epoch=3)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retriever() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(attends_to="Rex") as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


Make = Callable[..., RemoteRanker]


@pytest.fixture
def make(retriever: LoopbackRetriever, client: httpx.AsyncClient, clock: Clock) -> Make:
    def made(url: str = "", **options: Any) -> RemoteRanker:
        tier = Tier(url or retriever.origin, client, KEY, SECRET)
        return RemoteRanker(tier, RemoteOptions(**{"small_tokens": 0, **options}), clock)

    return made


def texts(ranking: Ranking) -> list[str]:
    return [one.chunk.passages[0].text for one in ranking.scored]


async def by_words(question: Question = QUESTION) -> Ranking:
    return await LexicalRanker().rank(question)


async def test_the_models_order_is_used(make: Make) -> None:
    ranker = make()
    ranking = await ranker.rank(QUESTION)
    assert texts(ranking) == ["Rex likes apples."]
    assert (ranking.retriever, ranking.shortfall, ranking.warms) == ("gpu", None, True)
    assert ranking.ranks["m2"]["gpu"] == 1
    assert ranker.outcomes == {"gpu": 1}


class Ticking(Clock):
    """A second passes between any two looks at it."""

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


async def test_the_seconds_that_the_tier_worked_are_told(
    retriever: LoopbackRetriever, client: httpx.AsyncClient
) -> None:
    options = RemoteOptions(deadline_seconds=PATIENCE_SECONDS, small_tokens=0)
    ranking = await RemoteRanker(Tier(retriever.origin, client), options, Ticking()).rank(QUESTION)
    assert (ranking.retriever, ranking.seconds) == ("gpu", 0.01)


async def test_no_more_seconds_are_believed_than_have_passed(make: Make) -> None:
    ranking = await make().rank(QUESTION)  # the clock stands still
    assert (ranking.retriever, ranking.seconds) == ("gpu", 0.0)


async def test_what_a_tier_that_was_not_asked_cost_is_known(make: Make) -> None:
    assert (await make(small_tokens=10_000).rank(QUESTION)).seconds == 0.0


async def test_a_model_with_a_weight_is_fused_with_the_words(
    make: Make, retriever: LoopbackRetriever
) -> None:
    retriever.facts["fusion_weight"] = 1.0
    question = Question("Which boat?", [INDEX], OWNER)
    ranking = await make().rank(question)
    assert texts(ranking) == ["Rex likes apples.", "The boat is called Vega.", "Rent is due."]
    assert ranking.ranks["m0"] == {"lexical": 1, "gpu": 3}
    assert ranking.ranks["m2"] == {"gpu": 1}


async def test_what_is_sent_names_nobody_and_says_how_long_there_is(
    make: Make, retriever: LoopbackRetriever
) -> None:
    await make(deadline_seconds=2.0).rank(QUESTION)
    (request,) = retriever.asked("rank")
    told = request.json
    assert (told["version"], told["epoch"], told["queries"]) == (1, 3, [QUESTION.query])
    assert 1000 < told["deadline_milliseconds"] < 2000
    assert texts_of(request)[0] == "[1970-01-01] user: The boat is called Vega."
    assert [one["id"] for one in chunks_of(request)] == ["m0", "m1", "m2"]
    assert (request.headers["modal-key"], request.headers["modal-secret"]) == (KEY, SECRET)
    assert "alice" not in request.body.decode()
    assert told["owner"] == owner_key(OWNER) not in owner_path(OWNER)


async def test_two_owners_never_share_a_key() -> None:
    assert owner_key("a") != owner_key("b")


async def test_without_a_credential_none_is_sent(
    retriever: LoopbackRetriever, client: httpx.AsyncClient, clock: Clock
) -> None:
    ranker = RemoteRanker(Tier(retriever.origin, client), RemoteOptions(small_tokens=0), clock)
    await ranker.rank(QUESTION)
    assert not [name for name in retriever.requests[0].headers if name.startswith("modal")]


@pytest.mark.parametrize("query", ["字" * 9000 + " end", "\ud800 end"])
async def test_of_a_query_that_does_not_fit_the_end_is_sent(
    make: Make, retriever: LoopbackRetriever, query: str
) -> None:
    ranking = await make().rank(Question(query, [INDEX], OWNER))
    (sent,) = retriever.asked("rank")[0].json["queries"]
    assert ranking.retriever == "gpu"
    assert sent.endswith(" end")
    assert len(sent) <= MAX_QUERY_CHARACTERS


async def test_a_small_memory_is_left_to_the_words(
    make: Make, retriever: LoopbackRetriever
) -> None:
    tokens = sum(one.tokens for each in INDEX.chunks for one in each.passages)
    ranking = await make(small_tokens=tokens).rank(QUESTION)
    assert ranking == Ranking((await by_words()).scored, "lexical; reason=small")
    assert retriever.requests == []
    assert (await make(small_tokens=tokens - 1).rank(QUESTION)).retriever == "gpu"


async def test_one_message_that_is_too_large_is_not_sent(
    make: Make, retriever: LoopbackRetriever
) -> None:
    huge = LexicalIndex([chunk(passage("m0", "word", tokens=101))])
    ranking = await make(max_tokens=100).rank(Question("word", [huge], OWNER))
    assert (ranking.retriever, ranking.shortfall) == ("lexical; reason=too-large", "degraded")
    assert retriever.requests == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failure("loading"), "loading"),
        (failure("unusable"), "failed"),
        (failure("failed"), "failed"),
        (failure("overloaded"), "overloaded"),
        (failure("too_large"), "too-large"),
        (failure("bad_request"), "refused"),
        (failure("deadline"), "timeout"),
        (failure("loading", 500), "failed"),
        (failure("failed", 200), "invalid-answer"),
        (proxy_refusal(), "refused"),
        (Answer(307, {"location": "/v1/elsewhere"}), "refused"),
        (Answer(302, {"location": "http://[broken"}), "refused"),
        (Answer(404), "refused"),
        (Answer(429), "overloaded"),
        (Answer.html(502), "failed"),
        (Answer.html(504), "timeout"),
        (Answer.html(200), "invalid-answer"),
        (Answer(204), "invalid-answer"),
        (Answer(200), "invalid-answer"),
        (Answer(200, {}, b"[" * 100_000), "invalid-answer"),
        (Answer(200, {}, b"\xff\xfe{}"), "invalid-answer"),
        (Answer(200, {}, b" " * (MAX_ANSWER_BYTES + 1)), "invalid-answer"),
        (Answer(200, {"content-encoding": "gzip"}, b"\x1f\x8b\x08\x00"), "invalid-answer"),
        (Answer.hang_up(), "unreachable"),
        (Answer(head=b"SSH-2.0-OpenSSH_9.6\r\n"), "unreachable"),
        (Answer(200, {"content-length": "99"}, b"{}", "cut"), "unreachable"),
        (Answer(200, {}, b"{}", "reset"), "unreachable"),
    ],
    ids=lambda one: one if isinstance(one, str) else f"{one.status}",
)
async def test_whatever_goes_wrong_the_words_rank_and_the_reason_is_told(
    make: Make, retriever: LoopbackRetriever, answer: Answer, reason: str
) -> None:
    retriever.queue(answer, path="rank")
    ranker = make()
    ranking = await ranker.rank(QUESTION)
    assert ranking.scored == (await by_words()).scored
    assert ranking.retriever == f"lexical; reason={reason}"
    assert ranking.shortfall == ("timeout" if reason == "timeout" else "degraded")
    assert ranking.warms == (reason == "timeout")
    assert ranker.outcomes == {reason: 1}
    assert len(retriever.requests) == 1


def other_ids(told: Any) -> None:
    told["scores"][0][0]["id"] = "m9"


def fewer(told: Any) -> None:
    told["scores"][0].pop()


def more(told: Any) -> None:
    told["scores"][0].append({"id": "m9", "score": 1.0})


def another_order(told: Any) -> None:
    told["scores"][0].reverse()


def no_list(told: Any) -> None:
    told["scores"] = []


def two_lists(told: Any) -> None:
    told["scores"] *= 2


def not_a_number(told: Any) -> None:
    told["scores"][0][0]["score"] = float("nan")


def infinite(told: Any) -> None:
    told["scores"][0][0]["score"] = float("inf")


def text_for_a_score(told: Any) -> None:
    told["scores"][0][0]["score"] = "high"


def another_version(told: Any) -> None:
    told["version"] = 2


def no_facts(told: Any) -> None:
    del told["facts"]


def a_floor_that_is_no_number(told: Any) -> None:
    told["facts"]["floor"] = float("nan")


def a_negative_weight(told: Any) -> None:
    told["facts"]["fusion_weight"] = -1.0


LIES = [
    other_ids,
    fewer,
    more,
    another_order,
    no_list,
    two_lists,
    not_a_number,
    infinite,
    text_for_a_score,
    another_version,
    no_facts,
    a_floor_that_is_no_number,
    a_negative_weight,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_tier_that_lies_is_not_believed(
    make: Make, retriever: LoopbackRetriever, lie: Callable[[Any], None]
) -> None:
    def lying(request: Recorded) -> Answer:
        told = retriever.ranking(request)
        lie(told)
        return Answer(200, {"content-type": "application/json"}, json.dumps(told).encode())

    retriever.queue(lying, path="rank")
    ranking = await make().rank(QUESTION)
    assert ranking.retriever == "lexical; reason=invalid-answer"
    assert ranking.scored == (await by_words()).scored


async def test_a_field_from_the_future_is_ignored(make: Make, retriever: LoopbackRetriever) -> None:
    retriever.facts["adapter_rank"] = 16
    assert (await make().rank(QUESTION)).retriever == "gpu"


@pytest.mark.parametrize("pieces", [[], [b"{"]], ids=["silence", "trickle"])
async def test_past_the_deadline_the_words_rank(
    make: Make, retriever: LoopbackRetriever, pieces: list[bytes]
) -> None:
    answer = Answer(200, {}, [*pieces, Gate()]) if pieces else Answer.silence()
    retriever.queue(answer, path="rank")
    ranking = await make(deadline_seconds=SOON_SECONDS).rank(QUESTION)
    assert ranking.retriever == "lexical; reason=timeout"
    assert (ranking.shortfall, ranking.warms) == ("timeout", True)
    await retriever.until_aborted()


async def test_being_told_early_that_it_will_be_late_costs_no_waiting(
    make: Make, retriever: LoopbackRetriever
) -> None:
    retriever.queue(failure("deadline"), path="rank")
    async with asyncio.timeout(PATIENCE_SECONDS):
        ranking = await make(deadline_seconds=50 * PATIENCE_SECONDS).rank(QUESTION)
    assert ranking.retriever == "lexical; reason=timeout"
    assert (ranking.shortfall, ranking.warms) == ("timeout", True)


def deadlines(retriever: LoopbackRetriever) -> list[float]:
    """In seconds, as the tier was given them."""
    return [one.json["deadline_milliseconds"] / 1000 for one in retriever.asked("rank")]


@pytest.mark.parametrize("way", [0.0, 0.24, 0.6])
async def test_a_tier_that_uses_up_its_deadline_is_heard_in_time_however_far_it_is(
    make: Make, retriever: LoopbackRetriever, clock: Clock, way: float
) -> None:
    """`way` is there and back, in seconds."""

    def far_away(request: Recorded) -> Answer:
        told = retriever.ranking(request)
        clock.now += way + told["work"]["seconds"]
        return Answer.json(told)

    retriever.default = far_away
    ranker = make(deadline_seconds=2.0)
    for _ in range(20):
        assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert deadlines(retriever)[0] + min(way, 0.24) < 2.0
    assert deadlines(retriever)[-1] == pytest.approx(0.9 * (2.0 - way), abs=0.01)


async def test_what_comes_too_late_leaves_more_for_the_way(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    retriever.queue(Answer.silence(), path="rank")
    for _ in range(2):
        await ranker.rank(QUESTION)
    first, second = deadlines(retriever)
    assert SOON_SECONDS * 0.4 < second <= first < SOON_SECONDS


async def test_silence_of_a_tier_that_was_heard_lately_opens_no_circuit(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    retriever.queue(failure("deadline"), *[Answer.silence()] * 4, path="rank")
    for _ in range(5):
        assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=timeout"
        clock.now += HEARD_SECONDS / 5
    assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert len(retriever.requests) == 6


@pytest.mark.parametrize("heard", [True, False])
async def test_silence_for_longer_does(
    make: Make, retriever: LoopbackRetriever, clock: Clock, heard: bool
) -> None:
    ranker = make(deadline_seconds=SOON_SECONDS)
    if heard:
        await ranker.rank(QUESTION)
        clock.now += HEARD_SECONDS + 1
    retriever.queue(*[Answer.silence()] * 3, path="rank")
    for _ in range(3):
        assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=timeout"
    assert (await ranker.rank(QUESTION)).retriever == "lexical; reason=circuit-open"


async def test_a_connection_that_is_never_made_is_no_lateness(
    retriever: LoopbackRetriever,
) -> None:
    """The only one there may be is taken."""
    retriever.queue(Answer.silence(), path="forget")
    request = ForgetRequest(owner=owner_key(OWNER))
    async with make_client(max_connections=1) as narrow:
        tier = Tier(retriever.origin, narrow)
        first = asyncio.ensure_future(tier.forget(request, PATIENCE_SECONDS))
        await retriever.until(lambda: len(retriever.requests) == 1)
        with pytest.raises(Missing) as missing:
            await tier.forget(request, SOON_SECONDS)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
    assert (missing.value.reason, missing.value.broken) == ("timeout", True)
    assert not missing.value.silent


async def test_a_tier_that_is_not_there_is_unreachable(make: Make) -> None:
    ranking = await make(f"http://127.0.0.1:{free_port()}").rank(QUESTION)
    assert (ranking.retriever, ranking.shortfall) == ("lexical; reason=unreachable", "degraded")


async def test_three_failures_open_the_circuit_and_one_probe_closes_it(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    refused = await ranker.rank(QUESTION)
    assert (refused.retriever, refused.shortfall) == ("lexical; reason=circuit-open", "degraded")
    assert len(retriever.requests) == 3
    clock.now += FIRST_PAUSE_SECONDS
    gate = Gate()
    retriever.queue(lambda request: answered_behind(gate, retriever, request), path="rank")
    probe = asyncio.ensure_future(ranker.rank(QUESTION))
    await gate.reached.wait()
    beside = await asyncio.gather(*(ranker.rank(QUESTION) for _ in range(5)))
    assert {one.retriever for one in beside} == {"lexical; reason=circuit-open"}
    gate.open()
    assert (await probe).retriever == "gpu"
    assert (await ranker.rank(QUESTION)).retriever == "gpu"
    assert ranker.outcomes == {"unreachable": 3, "circuit-open": 6, "gpu": 2}


def answered_behind(gate: Gate, retriever: LoopbackRetriever, request: Recorded) -> Answer:
    told = json.dumps(retriever.ranking(request)).encode()
    return Answer(200, {"content-type": "application/json"}, told, before=gate)


@pytest.mark.parametrize("code", ["loading", "overloaded", "too_large", "deadline"])
async def test_a_tier_that_is_busy_is_asked_again(
    make: Make, retriever: LoopbackRetriever, code: Any
) -> None:
    ranker = make()
    retriever.queue(*[failure(code)] * 4, path="rank")
    for _ in range(4):
        await ranker.rank(QUESTION)
    assert (await ranker.rank(QUESTION)).retriever == "gpu"


async def test_who_leaves_takes_the_call_along_and_leaves_the_probe_to_the_next(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, Answer.silence(), path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    clock.now += FIRST_PAUSE_SECONDS
    aborted = retriever.connections_aborted
    leaving = asyncio.ensure_future(ranker.rank(QUESTION))
    await retriever.until(lambda: len(retriever.requests) == 4)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert leaving.cancelled()
    await retriever.until_aborted(aborted + 1)
    assert (await ranker.rank(QUESTION)).retriever == "gpu"


async def test_nothing_of_what_was_sent_is_logged(
    make: Make, retriever: LoopbackRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    retriever.queue(Answer.html(200), proxy_refusal(), Answer.hang_up(), path="rank")
    ranker = make()
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            await ranker.rank(QUESTION)
    told = caplog.text + repr(ranker)
    for secret in (KEY, SECRET, "Vega", "alice", QUESTION.query):
        assert secret not in told


SAID = [Passage(f"m{i}", "s", "user", f"Remark {i}.", 40, float(i)) for i in range(5)]


async def test_the_open_window_alone_is_read_ahead(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(window_tokens=120)  # two remarks
    await ranker.prefill(OWNER, 3, SAID)
    (request,) = retriever.asked("prefill")
    assert [one["id"] for one in chunks_of(request)] == ["m4"]
    assert (request.json["owner"], request.json["epoch"]) == (owner_key(OWNER), 3)
    assert ranker.outcomes == {"prefill": 1}


async def test_what_was_read_ahead_begins_the_window_that_is_ranked_next(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(window_tokens=200)
    await ranker.prefill(OWNER, 3, SAID[:4])
    indexes = [LexicalIndex([chunk(*SAID)])]
    await ranker.rank(Question("Which remark?", indexes, OWNER, epoch=3))
    (ahead,) = retriever.asked("prefill")[0].json["windows"]
    window = retriever.asked("rank")[0].json["windows"][1]
    assert window["chunks"][: len(ahead["chunks"])] == ahead["chunks"]


@pytest.mark.parametrize("answer", [Answer.hang_up(), failure("overloaded"), Answer.html(200)])
async def test_reading_ahead_never_fails(
    make: Make, retriever: LoopbackRetriever, answer: Answer
) -> None:
    ranker = make()
    retriever.queue(answer, path="prefill")
    await ranker.prefill(OWNER, 3, SAID)
    assert [name.startswith("prefill-") for name in ranker.outcomes] == [True]


async def test_failures_that_no_answer_tells_of_are_counted_in_the_log(
    make: Make, retriever: LoopbackRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    ranker = make()
    retriever.queue(failure("overloaded"), failure("overloaded"), path="prefill")
    retriever.queue(Answer.hang_up(), path="forget")
    for _ in range(3):
        await ranker.prefill(OWNER, 3, SAID)
    await ranker.forget(OWNER, 4)
    failed = {"event": "retriever_failure", "severity": "WARNING"}
    assert [json.loads(message) for message in caplog.messages] == [
        {**failed, "call": "prefill", "reason": "overloaded", "so_far": 1},
        {**failed, "call": "prefill", "reason": "overloaded", "so_far": 2},
        {**failed, "call": "forget", "reason": "unreachable", "so_far": 1},
    ]


async def test_nothing_is_read_ahead_by_a_tier_that_is_away(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make()
    retriever.queue(*[Answer.hang_up()] * 3, path="rank")
    for _ in range(3):
        await ranker.rank(QUESTION)
    await ranker.prefill(OWNER, 3, SAID)
    await ranker.prefill(OWNER, 3, [])
    assert retriever.asked("prefill") == []


async def test_forgetting_is_asked_for_and_confirmed(
    make: Make, retriever: LoopbackRetriever
) -> None:
    assert await make().forget(OWNER, 4) == Forgotten(True, HORIZON_SECONDS)
    asked = {"version": 1, "owner": owner_key(OWNER), "epoch": 4}
    assert retriever.asked("forget")[0].json == asked


@pytest.mark.parametrize(
    "answer",
    [
        Answer.hang_up(),
        failure("loading"),
        Answer.html(200),
        Answer(200, {}, b'{"version":1,"windows":0,"horizon_seconds":NaN}'),
        Answer.json({"version": 1, "windows": 0, "horizon_seconds": -1.0}),
    ],
)
async def test_unconfirmed_it_says_when_the_last_copy_is_gone(
    make: Make, retriever: LoopbackRetriever, answer: Answer
) -> None:
    retriever.queue(answer, path="forget")
    assert await make(cache_seconds=77.0).forget(OWNER, 4) == Forgotten(False, 77.0)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://user--retriever.modal.run", "https://user--retriever.modal.run"),
        ("https://gpu.test:8443/tier/", "https://gpu.test:8443/tier"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://localhost:9000/", "http://localhost:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_urls_that_lead_to_a_tier(url: str, base: str) -> None:
    assert endpoint(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "lexical",
        "modal:",
        "http://gpu.test",
        "http://10.0.0.1:9000",
        "http://127.0.0.1.gpu.test",
        "ftp://localhost",
        "https://",
        "https://gpu.test:port",
        "https://user:canary@gpu.test",
        "https://gpu.test/?key=canary",
        "https://gpu.test/#canary",
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="RETRIEVER_URL") as refused:
        endpoint(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(("key", "secret"), [("k", ""), ("", "s"), ("ké", "s"), ("k", "a\nb")])
async def test_half_a_credential_or_one_no_header_carries_is_refused(
    client: httpx.AsyncClient, key: str, secret: str
) -> None:
    with pytest.raises(ValueError, match="MODAL_KEY"):
        Tier("https://gpu.test", client, key, secret)


async def test_what_is_known_of_the_tier_is_told_without_asking_it(
    make: Make, retriever: LoopbackRetriever, clock: Clock
) -> None:
    ranker = make()
    assert (ranker.standing().reachable, ranker.standing().heard_at) == (None, None)
    assert retriever.requests == []
    await ranker.rank(QUESTION)
    standing = ranker.standing()
    assert (standing.reachable, standing.answer_seconds) == (True, 0.0)
    assert standing.heard_at is not None


async def test_a_tier_that_is_gone_is_known_to_be(make: Make) -> None:
    ranker = make(f"http://127.0.0.1:{free_port()}")
    for _ in range(3):
        await ranker.rank(QUESTION)
    assert ranker.standing().reachable is False
    assert ranker.standing().heard_at is None


MANY = LexicalIndex(monologue(*(f"{i} alike" if i == 3 else f"{i} other" for i in range(9))))
FEW = {"window_tokens": 30, "max_tokens": 60}
MUCH = Question("other?", [MANY], OWNER, epoch=3)


@pytest.fixture
def embedding() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(fusion_weight=1.0, floor=0.0, embedding=EMBEDDING) as running:
        yield running


async def test_to_a_tier_that_embeds_the_rest_of_the_memory_is_named_too(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    await ranker.rank(MUCH)
    ranking = await ranker.rank(MUCH)
    first, second = embedding.asked("rank")
    assert {"beyond", "partial"}.isdisjoint(first.json)
    assert second.json["partial"] is True
    assert second.json["windows"] == first.json["windows"]
    named = [one["id"] for one in (*chunks_of(second), *beyond_of(second))]
    assert sorted(named) == [f"m{i}" for i in range(9)]
    assert texts(ranking)[0] == "3 alike"
    assert ranking.ranks["m3"]["embedding"] == 1


async def test_a_tier_without_an_embedding_is_never_sent_more(
    make: Make, retriever: LoopbackRetriever
) -> None:
    ranker = make(**FEW)
    for _ in range(2):
        await ranker.rank(MUCH)
    first, second = (one.json for one in retriever.asked("rank"))
    assert first.keys() == second.keys()
    assert "beyond" not in second


async def test_a_late_tier_that_embeds_is_named_the_rest_next_time(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    told = Failure(code="deadline", message="Scripted.", embeds=True).model_dump()
    embedding.queue(Answer.json(told, 504), path="rank")
    assert (await ranker.rank(MUCH)).retriever == "lexical; reason=timeout"
    assert (await ranker.rank(MUCH)).retriever == "gpu"
    assert beyond_of(embedding.asked("rank")[1])


async def test_a_part_of_the_scores_will_do_where_it_was_asked_for(
    make: Make, embedding: LoopbackRetriever
) -> None:
    ranker = make(embedding.origin, **FEW)
    await ranker.rank(MUCH)
    (asked,) = embedding.asked("rank")
    part = embedding.ranking(asked)
    rest = [f"m{i}" for i in range(9) if f"m{i}" not in {one["id"] for one in part["scores"][0]}]
    part["embedded"][0] += [{"id": one, "score": float(one == "m3")} for one in rest]
    part["scores"] = [[]]
    embedding.queue(Answer.json(part), path="rank")
    ranking = await ranker.rank(MUCH)
    assert (ranking.retriever, texts(ranking)[0]) == ("gpu", "3 alike")
    assert not any("gpu" in ranks for ranks in ranking.ranks.values())


@pytest.mark.parametrize("lie", ["other ids", "a part", "no facts", "two queries"])
async def test_likeness_of_anything_but_all_that_was_sent_is_no_answer(
    make: Make, embedding: LoopbackRetriever, lie: str
) -> None:
    ranker = make(embedding.origin)
    await ranker.rank(MUCH)
    answer = embedding.ranking(embedding.asked("rank")[0])
    if lie == "other ids":
        answer["embedded"][0][0]["id"] = "stranger"
    elif lie == "a part":
        del answer["embedded"][0][0]
    elif lie == "no facts":
        answer["facts"] = {**answer["facts"], "embedding": None}
    else:
        answer["embedded"] *= 2
    embedding.queue(Answer.json(answer), path="rank")
    assert (await ranker.rank(MUCH)).retriever == "lexical; reason=invalid-answer"
