"""Who used what: named, paged, by day, also once the limiter's own documents are gone."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from gateway.accounts.usage import Totals
from gateway.documents.base import Set
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.limits.days import MOST_ADDED, Day, Days
from gateway.limits.rollup import Rollup
from support.admins import ALICE, BOB, Person, code_of
from support.stores import sqlite_only

NOON = 20_000 * 86_400 + 43_200.0  # 2024-10-04
PATH = "/v1/admin/identities"


def days_before(count: int) -> str:
    return (datetime.now(UTC) - timedelta(days=count)).date().isoformat()


async def test_admins_see_people_by_name(ops: Person, alice: Person) -> None:
    await alice.says("Hello.")
    await alice.asks("POST", "/v1/messages", {"content": "Noted.", "session_id": "s"})
    page = await ops.gets(PATH)
    (told,) = page["data"]
    assert (told["id"], told["subject"], told["requests"]) == (ALICE, "key:alice", 2)
    assert told["tokens"] > 0
    assert (told["answers"], told["answers_with_memory"]) == (1, 0)
    assert told["legal_hold"] is False
    assert set(told["limits"].values()) == {0}
    own = await alice.gets("/v1/usage?days=1")
    assert set(told["limits"]) == set(own["limits"])
    assert set(told) == {"id", "object", "subject", "limits", "legal_hold", *own["totals"]}
    assert {name: told[name] for name in own["totals"]} == own["totals"]


async def test_naming_people_costs_their_requests_nothing(
    alice: Person, documents: MeteredDocuments
) -> None:
    body = {"content": "Noted.", "session_id": "s"}
    for text in ("flags", "warm"):
        await alice.asks("POST", "/v1/messages", {**body, "content": text})
    documents.reset()
    (await alice.asks("POST", "/v1/messages", body)).raise_for_status()
    assert documents.reset() == Operations(reads=2, writes=2)  # the limiter's, and the session's


async def test_pages_hold_everybody_once(ops: Person, documents: MeteredDocuments) -> None:
    names = sorted([ALICE, BOB, *(f"{letter * 52}" for letter in "bcdxyz")])
    today = days_before(0)
    for name in names:
        await documents.commit(Set(f"limits/{today}/subjects/{name}", {"requests": 1, "r7": 1}))
    found, after = [], ""
    while True:
        page = await ops.gets(f"{PATH}?limit=3{after}")
        assert len(page["data"]) <= 3
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert found == names
    assert page["next"] is None


async def test_a_hold_is_told(ops: Person, alice: Person, bob: Person) -> None:
    await alice.says("Hello.")
    await bob.says("Hello.")
    await ops.asks("PUT", f"/v1/admin/holds/{ALICE}")
    held = {one["subject"]: one["legal_hold"] for one in (await ops.gets(PATH))["data"]}
    assert held == {"key:alice": True, "key:bob": False}


async def test_days_long_past_are_read_from_what_was_kept(
    ops: Person, documents: MeteredDocuments
) -> None:
    old, empty = days_before(20), days_before(21)
    kept = {"schema": 1, "subject": "google:7", "requests": 3, "tokens": 400}
    await documents.commit(
        Set(f"usage/{old}/subjects/{BOB}", kept),
        Set(f"usage/{old}", {"schema": 1, "identities": 1, "requests": 3, "tokens": 400}),
    )
    page = await ops.gets(f"{PATH}?day={old}")
    (told,) = page["data"]
    assert (page["date"], told["subject"], told["tokens"]) == (old, "google:7", 400)
    assert (await ops.gets(f"{PATH}?day={empty}"))["data"] == []
    usage = await ops.gets("/v1/admin/usage?days=30")
    told = Totals(requests=3, tokens=400).told()
    assert usage["totals"] == told
    (day,) = [one for one in usage["days"] if one["date"] == old]
    assert day == {"date": old, "complete": True, "identities": 1, **told}
    assert [one["date"] for one in usage["days"]] == [days_before(29 - n) for n in range(30)]
    alone = await ops.gets(f"/v1/admin/usage?days=30&identity={BOB}")
    assert (alone["identity"], alone["totals"]) == (BOB, told)
    nobody = await ops.gets(f"/v1/admin/usage?days=30&identity={ALICE}")
    assert nobody["totals"] == Totals().told()


async def test_today_is_added_up_as_it_stands(ops: Person, alice: Person, bob: Person) -> None:
    await alice.says("Hello.")
    await alice.says("Hello again.")
    await bob.says("Hello.")
    usage = await ops.gets("/v1/admin/usage?days=1")
    (day,) = usage["days"]
    assert (day["date"], day["complete"]) == (days_before(0), True)
    assert (day["identities"], day["requests"]) == (2, 3)
    assert usage["totals"]["requests"] == 3
    own = await alice.gets("/v1/usage?days=1")
    assert set(usage["totals"]) == set(own["totals"])
    assert set(day) == {*own["days"][0], "complete", "identities"}


@pytest.mark.parametrize(
    "query",
    [
        "day=today", "day=2026-13-01", "day=20261121", "day=2026-11-21T00:00:00Z", "day=",
        "limit=0", "limit=101", "limit=x", "after=junk", f"after={'A' * 52}", "after=../owners",
    ],
)  # fmt: skip
async def test_what_is_malformed_is_refused(ops: Person, query: str) -> None:
    answer = await ops.asks("GET", f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


@pytest.mark.parametrize("query", ["days=0", "days=91", "days=x", "days=1e1"])
async def test_days_are_bounded(ops: Person, query: str) -> None:
    assert (await ops.asks("GET", f"/v1/admin/usage?{query}")).status_code == 400


@pytest.mark.parametrize("identity", ["junk", "key:alice", "a/b", "a" * 53])
async def test_an_identity_that_is_none_is_not_found(ops: Person, identity: str) -> None:
    answer = await ops.asks("GET", f"/v1/admin/usage?identity={identity}")
    assert code_of(answer) == (404, "identity_not_found")


async def test_a_day_is_told_the_same_before_and_after_the_rollup(
    documents: MeteredDocuments,
) -> None:
    fields = {"requests": 2, "tokens": 30, "subject": "google:1", "r12": 2, "t12": 30}
    for n in range(60):
        await documents.commit(Set(f"limits/2024-10-03/subjects/s{n:02d}", fields))
    days = Days(documents, lambda: NOON)
    before, people = await days.together(2), await days.identities("2024-10-03", limit=100)
    await Rollup(documents, NOON, lambda: False).run()
    documents.reset()
    assert await days.together(2) == before
    assert documents.reset().reads == 2 + 1  # two days' sums, and a look at today
    assert await days.identities("2024-10-03", limit=100) == people
    assert before[0] == Day("2024-10-03", Totals(requests=120, tokens=1800), identities=60)


@sqlite_only
async def test_more_than_one_answer_adds_up_is_told(documents: MeteredDocuments) -> None:
    for start in range(0, MOST_ADDED + 1, 300):
        numbers = range(start, min(MOST_ADDED + 1, start + 300))
        writes = [Set(f"limits/2024-10-04/subjects/s{n:05d}", {"requests": 1}) for n in numbers]
        await documents.commit(*writes)
    (today,) = await Days(documents, lambda: NOON).together(1)
    assert (today.complete, today.identities) == (False, MOST_ADDED)


def test_the_clock_of_these_tests_is_the_services() -> None:
    assert days_before(0) == datetime.fromtimestamp(time.time(), UTC).date().isoformat()
