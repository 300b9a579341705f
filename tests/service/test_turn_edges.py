"""Turns that end in the middle of something else: tools, deletions, small windows."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from support.chats import Person, assistant, sent, system, user
from support.service import serving
from support.upstream import Answer, Gate, LoopbackUpstream, usage

pytestmark = pytest.mark.service

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


def calls_a_tool() -> Answer:
    choice = {"index": 0, "message": ASKED, "finish_reason": "tool_calls"}
    return Answer.json({"id": "x", "choices": [choice], "usage": usage()})


def test_a_tool_call_nobody_answered_is_not_sent_again(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    upstream.queue(calls_a_tool())
    alice.ask(user("Look it up"), session="s").raise_for_status()
    alice.says(user("Never mind. Hello!"), session="s")
    assert [one["content"] for one in sent(upstream)] == ["Look it up", "Never mind. Hello!"]
    assert not any("tool_calls" in one for one in sent(upstream))


def test_an_error_that_calls_itself_an_answer_is_no_memory(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json({"error": {"message": "Overloaded."}, "choices": []}))
    answer = alice.ask(user("Hello"), session="s")
    assert answer.json()["error"]["message"] == "Overloaded."
    assert alice.told_or_none("s") == []


def test_a_tool_call_that_is_answered_now_goes_with_its_reply(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    upstream.queue(calls_a_tool())
    alice.ask(user("Look it up"), session="s").raise_for_status()
    alice.says({"role": "tool", "tool_call_id": "c1", "content": "found"}, session="s")
    assert [one["role"] for one in sent(upstream)] == ["user", "assistant", "tool"]
    alice.says(user("Thanks"), session="s")
    roles = [one["role"] for one in sent(upstream)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_tool_message_without_its_call_is_not_sent(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    note = {"role": "tool", "content": "a bare result", "session_id": "s"}
    alice.http.post("/v1/messages", json=note, headers=alice.headers).raise_for_status()
    alice.says(user("Hello"), session="s")
    assert "tool" not in [one["role"] for one in sent(upstream)]


async def test_a_session_deleted_during_a_turn_stays_deleted(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.says(user("My secret is 1234"), session="s")
    gate = Gate()
    upstream.queue(replace(Answer.json({"choices": []}), before=gate))
    resent = (user("My secret is 1234"), assistant("gone on"), user("And now?"))
    asking = asyncio.create_task(asyncio.to_thread(alice.ask, *resent, session="s"))
    await gate.reached.wait()
    deleted = alice.http.delete("/v1/sessions/s", headers=alice.headers)
    gate.open()
    refused = await asking
    assert deleted.status_code == 200
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "session_deleted"
    assert alice.told_or_none("s") == []


def test_json_is_called_json_upstream_whatever_the_client_called_it(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    form = {**alice.headers, "content-type": "application/x-www-form-urlencoded"}
    body = b'{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}'
    alice.http.post("/v1/chat/completions", content=body, headers=form).raise_for_status()
    assert upstream.requests[-1].headers["content-type"] == "application/json"


def test_the_gateways_own_account_is_not_shown(alice: Person, upstream: LoopbackUpstream) -> None:
    named = {"openai-organization": "ours", "openai-version": "2020-10-01"}
    upstream.queue(Answer.json({"choices": []}, headers=named))
    answer = alice.ask(user("Hello"))
    assert "openai-organization" not in answer.headers
    assert answer.headers["openai-version"] == "2020-10-01"


def test_a_replayed_answer_says_what_the_first_one_said(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    first = alice.ask(user("Hello"), session="s", key="k")
    again = alice.ask(user("Hello"), session="s", key="k")
    assert again.headers["idempotent-replayed"] == "true"
    for name in ("x-session-id", "x-memory-receipt", "x-tokens-before", "x-memory-status"):
        assert again.headers[name] == first.headers[name]
    elsewhere = alice.ask(user("Hello"), session="other", key="k")
    assert elsewhere.status_code == 400
    assert len(upstream.requests) == 1


@pytest.fixture(scope="module")
def narrow(folder: Path, running_upstream: LoopbackUpstream) -> Iterator[httpx.Client]:
    """A service whose token window is smaller than a stored history."""
    settings = {"TOKENS_PER_MINUTE": "5000", "STORE_URL": f"sqlite:///{folder / 'narrow.db'}"}
    with (
        serving(folder, UPSTREAM_BASE=running_upstream.base_url, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client


def test_a_history_that_outgrows_the_window_is_refused_before_the_upstream(
    narrow: httpx.Client, upstream: LoopbackUpstream
) -> None:
    alice = Person(narrow, {"x-api-key": "sk-alice"})
    alice.keeps(*("word " * 1_500 for _ in range(5)), session="s")
    refused = alice.ask(user("Hi"), session="s")
    assert refused.status_code == 413
    assert "retry-after" not in refused.headers
    assert upstream.requests == []
    assert alice.ask(system("x"), user("Hi"), session="s", memory="off").status_code == 200


def test_many_choices_of_one_person_keep_nobody_out(
    narrow: httpx.Client, upstream: LoopbackUpstream
) -> None:
    bob = Person(narrow, {"x-api-key": "sk-bob"})
    paid = {"prompt_tokens": 5, "completion_tokens": 4_000, "total_tokens": 4_005}
    upstream.queue(Answer.json({"choices": [], "usage": paid}))
    bob.ask(user("Hi"), n=40, max_tokens=1, memory="off").raise_for_status()
    assert bob.ask(user("Hi"), memory="off").status_code != 413
