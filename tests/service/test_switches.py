"""Flags in the running service: what an admin switches for one workspace, and for nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.accounts.workspace import digest
from support.chats import Person, user
from support.service import serving
from support.upstream import Answer, LoopbackUpstream, completion, usage

pytestmark = pytest.mark.service

OPS = {"x-api-key": "sk-ops"}
ADDRESS = "ada.lovelace@example.com"
TOLD = f"Write to {ADDRESS}."
KEPT = "Write to [REDACTED_EMAIL]."
COLD: dict[str, Any] = {"temperature": 0}


@pytest.fixture(scope="module")
def switched(folder: Path, running_upstream: LoopbackUpstream) -> Iterator[httpx.Client]:
    names = ["ops", *(f"p{n}" for n in range(20))]
    with (
        serving(
            folder,
            UPSTREAM_BASE=running_upstream.base_url,
            STORE_URL=f"sqlite:///{folder / 'switched.db'}",
            API_KEYS=",".join(f"{name}:sk-{name}" for name in names),
            DAILY_COST_BUDGET_USD="1",
            DAILY_TOKEN_BUDGET="100000",
            PRICE_PROMPT_PER_MILLION="2",
            PRICE_COMPLETION_PER_MILLION="8",
        ) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(20))


@pytest.fixture
def people(
    switched: httpx.Client, numbers: Iterator[int], upstream: LoopbackUpstream
) -> tuple[Person, Person]:
    """The one that something is switched for, and another."""
    return somebody(switched, next(numbers)), somebody(switched, next(numbers))


def somebody(client: httpx.Client, number: int) -> Person:
    return Person(client, {"x-api-key": f"sk-p{number}"})


def switch(person: Person, flag: str, on: bool | None, workspace: str = "") -> None:
    """For the person's own memory, or for a shared `workspace`."""
    subject = person.headers["x-api-key"].replace("sk-", "key:")
    path = f"/v1/admin/flags/{workspace or digest(subject)}"
    body = {"flags": {flag: on}}
    person.http.put(path, headers=OPS, json=body).raise_for_status()


def test_redaction_off_for_one_leaves_the_other_redacted(people: tuple[Person, Person]) -> None:
    plain, redacted = people
    for one in people:
        one.ask(user(TOLD), session="before").raise_for_status()
        assert one.told_texts("before")[0] == KEPT
    switch(plain, "ENABLE_REDACTION", False)
    answer = plain.ask(user(TOLD), session="after").raise_for_status()
    assert "x-redactions" not in answer.headers
    assert plain.told_texts("after") == [TOLD, f"echo: {TOLD}"]
    assert plain.told_texts("before")[0] == KEPT  # what was taken out does not come back
    answer = redacted.ask(user(TOLD), session="after").raise_for_status()
    assert answer.headers["x-redactions"] == "1"
    assert redacted.told_texts("after") == [KEPT, f"echo: {KEPT}"]
    switch(plain, "ENABLE_REDACTION", None)
    plain.ask(user(TOLD), session="again").raise_for_status()
    assert plain.told_texts("again")[0] == KEPT


def test_redaction_off_for_a_shared_workspace_leaves_its_members_own_memories_redacted(
    people: tuple[Person, Person],
) -> None:
    ada, _ = people
    answer = ada.http.post("/v1/workspaces", json={"name": "ours"}, headers=ada.headers)
    id = answer.raise_for_status().json()["id"]
    shared = Person(ada.http, {**ada.headers, "x-workspace-id": id})
    switch(ada, "ENABLE_REDACTION", False, workspace=id)
    for one, text in ((shared, TOLD), (ada, KEPT)):
        one.keeps(TOLD)
        assert one.told_texts("notes") == [text]


def test_an_answer_out_of_the_cache_costs_a_request_and_nothing_else(
    people: tuple[Person, Person], upstream: LoopbackUpstream
) -> None:
    cached, _ = people
    switch(cached, "ENABLE_RESPONSE_CACHE", True)
    told = []
    for stream in (False, False, True, True):
        answer = cached.ask(user("2 + 2?"), stream=stream, **COLD).raise_for_status()
        receipt = cached.get(f"/v1/memory/receipts/{answer.headers['x-memory-receipt']}").json()
        used = cached.get("/v1/usage?days=1").raise_for_status().json()
        told.append((answer.headers["x-cache"], receipt["money_usd"], used))
    assert [one[0] for one in told] == ["miss", "hit", "miss", "hit"]
    for bought, kept in (told[:2], told[2:]):
        assert bought[1]["after"] > 0
        assert set(kept[1].values()) == {0}
        assert kept[2]["limits"] == bought[2]["limits"]
        before, after = bought[2]["totals"], kept[2]["totals"]
        assert (after["tokens"], after["cost_usd"]) == (before["tokens"], before["cost_usd"])
        assert (after["requests"], after["answers"]) == (
            before["requests"] + 1,
            before["answers"] + 1,
        )


def test_the_response_cache_is_switched_on_for_one(
    people: tuple[Person, Person], upstream: LoopbackUpstream
) -> None:
    cached, other = people
    switch(cached, "ENABLE_RESPONSE_CACHE", True)
    told = [cached.ask(user("2 + 2?"), **COLD).raise_for_status() for _ in range(2)]
    assert [one.headers["x-cache"] for one in told] == ["miss", "hit"]
    assert len(upstream.requests) == 1
    for _ in range(2):
        assert "x-cache" not in other.ask(user("2 + 2?"), **COLD).raise_for_status().headers
    assert len(upstream.requests) == 3
    switch(cached, "ENABLE_RESPONSE_CACHE", False)
    assert "x-cache" not in cached.ask(user("2 + 2?"), **COLD).raise_for_status().headers
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("how", [{}, {"stream": True}, {"memory": "read"}, {"memory": "off"}])
def test_usage_analytics_off_leaves_what_the_limits_count(
    people: tuple[Person, Person], upstream: LoopbackUpstream, how: dict[str, Any]
) -> None:
    private, _ = people
    switch(private, "ENABLE_USAGE_ANALYTICS", False)
    for one in people:
        if "stream" not in how:
            upstream.queue(Answer.json({**completion("Fine."), "usage": usage(300, 50)}))
        one.ask(user("What is two and two?"), **how).raise_for_status()
    used = [one.get("/v1/usage?days=1").raise_for_status().json() for one in people]
    assert used[0]["limits"] == used[1]["limits"]
    assert used[0]["limits"]["daily_cost_budget_usd"]["remaining"] < 1
    hidden, seen = (one["totals"] for one in used)
    limits = {"requests", "tokens", "cost_usd"}
    assert {name: hidden[name] for name in limits} == {name: seen[name] for name in limits}
    rest = hidden.keys() - limits
    assert {hidden[name] for name in rest} == {0}
    assert (seen["answers"], seen["tokens_before"] > 0, seen["completion_tokens"] > 0) == (
        1,
        True,
        True,
    )
