"""Limits as a client meets them: refused, told how long, and charged for what was really used."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.certificates import AUDIENCE, CertificateServer
from support.service import serving
from support.upstream import Answer, Gate, LoopbackUpstream, chunks, completion, sse, usage

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"
REQUESTS, TOKENS = 4, 10_000
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1_000}
STREAM = {**BODY, "stream": True}
PROMPT_TOKENS = 8  # of BODY's message, as the gateway counts it
USED = usage()["total_tokens"]
READS_ALLOWED = 2_000


@pytest.fixture(scope="module")
def limited(
    running_upstream: LoopbackUpstream,
    certificates: CertificateServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """A service that lets four requests and ten thousand tokens a minute through."""
    with (
        serving(
            tmp_path_factory.mktemp("limited"),
            UPSTREAM_BASE=running_upstream.base_url,
            GOOGLE_CLIENT_ID=AUDIENCE,
            GOOGLE_CERTS_URL=certificates.url,
            REQUESTS_PER_MINUTE=str(REQUESTS),
            TOKENS_PER_MINUTE=str(TOKENS),
        ) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def off(person: dict[str, str]) -> dict[str, str]:
    """Somebody new whose prompts are sent as they are, so that their tokens are known."""
    return {**person, "x-memory": "off"}


def left(answer: httpx.Response, dimension: str = "tokens") -> int:
    return int(answer.headers[f"x-ratelimit-remaining-{dimension}"])


def test_the_headers_tell_what_is_left(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    headers = limited.post(CHAT, json=BODY, headers=off).raise_for_status().headers
    told = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    resets = {told.pop(f"x-ratelimit-reset-{name}") for name in ("requests", "tokens")}
    assert told == {
        "x-ratelimit-limit-requests": str(REQUESTS),
        "x-ratelimit-remaining-requests": str(REQUESTS - 1),
        "x-ratelimit-limit-tokens": str(TOKENS),
        "x-ratelimit-remaining-tokens": str(TOKENS - PROMPT_TOKENS - 1_000),
    }
    assert len(resets) == 1  # both are empty when this one request leaves the window
    assert re.fullmatch(r"1m[0-5]s", resets.pop())


def test_one_request_more_is_told_how_long_to_wait(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    passed = [limited.post(CHAT, json=BODY, headers=off) for _ in range(REQUESTS)]
    assert [left(answer, "requests") for answer in passed] == [3, 2, 1, 0]
    refused = limited.post(CHAT, json=BODY, headers=off)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert 50 <= int(refused.headers["retry-after"]) <= 65
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(upstream.requests) == REQUESTS


def test_a_refusal_concerns_one_person(
    limited: httpx.Client,
    upstream: LoopbackUpstream,
    off: dict[str, str],
    sign_in: Callable[[], str],
) -> None:
    statuses = [limited.post(CHAT, json=BODY, headers=off).status_code for _ in range(6)]
    assert statuses == [200, 200, 200, 200, 429, 429]
    other = {**off, "authorization": f"Bearer {sign_in()}"}
    assert limited.post(CHAT, json=BODY, headers=other).status_code == 200


def test_tokens_run_out_before_requests_do(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    upstream.queue(Answer.json({**completion("Hello"), "usage": usage(9_000, 500)}))
    limited.post(CHAT, json=BODY, headers=off).raise_for_status()
    refused = limited.post(CHAT, json=BODY, headers=off)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "tokens"
    assert left(refused) == TOKENS - 9_500
    assert left(refused, "requests") == REQUESTS - 1
    small = {**BODY, "max_tokens": 100}
    assert limited.post(CHAT, json=small, headers=off).status_code == 200


def test_a_request_larger_than_the_window_is_too_large_to_wait_for(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    answer = limited.post(CHAT, json={**BODY, "max_tokens": TOKENS}, headers=off)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert "retry-after" not in answer.headers
    assert upstream.requests == []
    assert left(limited.post(CHAT, json=BODY, headers=off), "requests") == REQUESTS - 1


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
def test_tokens_are_settled_from_the_upstreams_usage(
    limited: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str], body: dict[str, Any]
) -> None:
    limited.post(CHAT, json=body, headers=person).raise_for_status()
    assert _used_before(limited, person) == USED


def test_a_stream_with_memory_off_is_counted_here(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    limited.post(CHAT, json=STREAM, headers=off).raise_for_status()
    assert "stream_options" not in upstream.requests[0].json
    assert PROMPT_TOKENS < _used_before(limited, off) < PROMPT_TOKENS + 12


@pytest.mark.parametrize("memory", ["on", "off"])
@pytest.mark.parametrize(
    "failure",
    [Answer.error(500, "Boom.", "server_error"), Answer.error(429, "No.", "x"), Answer.hang_up()],
    ids=["500", "429", "hang-up"],
)
def test_an_upstreams_error_returns_the_tokens_and_not_the_request(
    limited: httpx.Client,
    upstream: LoopbackUpstream,
    person: dict[str, str],
    failure: Answer,
    memory: str,
) -> None:
    upstream.queue(failure)
    headers = {**person, "x-memory": memory}
    assert limited.post(CHAT, json=BODY, headers=headers).status_code >= 429
    after = limited.post(CHAT, json=BODY, headers={**person, "x-memory": "off"})
    assert left(after) == TOKENS - PROMPT_TOKENS - 1_000
    assert left(after, "requests") == REQUESTS - 2


def test_an_answer_that_breaks_off_is_paid_for_as_far_as_it_came(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    upstream.queue(Answer.stream(*sse(*chunks("Hello there")[:2]), ending="cut"))
    with pytest.raises(httpx.RemoteProtocolError):
        limited.post(CHAT, json=STREAM, headers=off)
    assert PROMPT_TOKENS < _used_before(limited, off) < PROMPT_TOKENS + 10


def test_a_client_that_leaves_pays_for_what_came(
    limited: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    aborted = upstream.connections_aborted
    upstream.queue(Answer.stream(*sse(*chunks("Hello there")[:2]), Gate()))
    headers = {**person, "x-session-id": "left"}
    with limited.stream("POST", CHAT, json=STREAM, headers=headers) as answer:
        next(answer.iter_raw())
    asyncio.run(upstream.until_aborted(aborted + 1))
    _wait_until_stored(limited, headers)  # with it the tokens are settled, in one commit
    assert PROMPT_TOKENS < _used_before(limited, person) < PROMPT_TOKENS + 10


def test_what_is_malformed_costs_nothing(
    limited: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    assert limited.post(CHAT, json={"model": "m"}, headers=off).status_code == 400
    answer = limited.post(CHAT, json=BODY, headers=off)
    assert left(answer, "requests") == REQUESTS - 1


def test_without_limits_there_are_no_such_headers(
    http: httpx.Client, upstream: LoopbackUpstream, off: dict[str, str]
) -> None:
    headers = http.post(CHAT, json=BODY, headers=off).raise_for_status().headers
    assert [name for name in headers if name.startswith("x-ratelimit-")] == []


def test_the_service_as_a_whole_has_a_limit(
    running_upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    settings = {"GLOBAL_REQUESTS_PER_MINUTE": "4", "GLOBAL_LIMIT_SHARDS": "2"}
    with (
        serving(tmp_path, UPSTREAM_BASE=running_upstream.base_url, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        names = ["alice", "bob", "alice", "bob", "alice", "bob"]
        asked = [client.post(CHAT, json=BODY, headers={"x-api-key": f"sk-{one}"}) for one in names]
    passed = [answer.status_code == 200 for answer in asked]
    assert passed == [True] * 4 + [False] * 2
    assert "whole service" in asked[-1].json()["error"]["message"]
    assert 50 <= int(asked[-1].headers["retry-after"]) <= 65


def _used_before(limited: httpx.Client, headers: dict[str, str]) -> int:
    """Tokens counted for all that came before this one request."""
    answer = limited.post(CHAT, json=BODY, headers={**headers, "x-memory": "off"})
    return TOKENS - PROMPT_TOKENS - 1_000 - left(answer.raise_for_status())


def _wait_until_stored(limited: httpx.Client, headers: dict[str, str]) -> None:
    for _ in range(READS_ALLOWED):
        path = f"/v1/sessions/{headers['x-session-id']}/messages"
        if limited.get(path, headers=headers).status_code == 200:
            return
    pytest.fail("the turn was never stored")
