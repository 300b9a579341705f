"""A tier that errs, lies, or cannot be meant: what is taken from it, and what a URL may be."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.tier import MAX_ANSWER_BYTES, Tier, endpoint
from retrieval.asked import QUESTION, Clock, Make, by_words
from support.retriever import LoopbackRetriever, failure, proxy_refusal
from support.upstream import Answer, Recorded


async def test_without_a_credential_none_is_sent(
    retriever: LoopbackRetriever, client: httpx.AsyncClient, clock: Clock
) -> None:
    ranker = RemoteRanker(Tier(retriever.origin, client), RemoteOptions(small_tokens=0), clock)
    await ranker.rank(QUESTION)
    assert not [name for name in retriever.requests[0].headers if name.startswith("modal")]


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


def weights_beyond_all_numbers(told: Any) -> None:
    told["facts"]["fusion_weight"] = 1.7e308
    told["facts"]["embedding"] = {"model": "any", "weight": 1.7e308, "floor": 0.4}


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
    weights_beyond_all_numbers,
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
