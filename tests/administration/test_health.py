"""What an admin is told of the instance, and of what admins did."""

import platform

import pytest

from gateway.documents.metered import MeteredDocuments
from support.admins import ALICE, CANARY, Open, Person
from support.outages import Unreliable


async def test_the_health_names_what_it_looked_at_and_what_it_counted(
    ops: Person, alice: Person
) -> None:
    await alice.says(CANARY)
    told = await ops.gets("/v1/admin/health")
    assert (told["status"], set(told["checks"])) == (
        "healthy",
        {"documents", "retriever", "upstream", "certificates"},
    )
    assert told["limiter"] == {"failure": "closed", "fail_opens": 0, "lost_writes": 0}
    assert told["retriever"] == {"kind": "lexical", "outcomes": {}}
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["store"] == "sqlite"
    assert CANARY not in str(told)


async def test_a_limiter_that_failed_open_shows(
    open_service: Open, documents: MeteredDocuments
) -> None:
    store = Unreliable(documents)
    client = open_service(store, limiter_failure="open")
    alice, ops = Person(client, "alice"), Person(client, "ops")
    store.outcomes = ["refused"]
    await alice.asks("POST", "/v1/messages", {"content": "Noted.", "session_id": "s"})
    told = await ops.gets("/v1/admin/health")
    assert told["limiter"]["failure"] == "open"
    assert told["limiter"]["fail_opens"] == 1


async def test_an_unhealthy_instance_is_told_with_200(
    open_service: Open, documents: MeteredDocuments
) -> None:
    store = Unreliable(documents)
    store.away = True
    told = await Person(open_service(store), "ops").gets("/v1/admin/health")
    assert told["status"] == "unhealthy"
    assert told["checks"]["documents"]["status"] == "unhealthy"


async def test_a_tier_out_of_reach_is_told(open_service: Open, documents: MeteredDocuments) -> None:
    url = "http://127.0.0.1:9/"
    client = open_service(documents, retriever_url=url, memory_compress_above_tokens=0)
    told = await Person(client, "ops").gets("/v1/admin/health")
    assert told["retriever"] == {"kind": "gpu", "outcomes": {}}
    assert told["checks"]["retriever"]["status"] == "unknown"
    assert url not in str(told)


async def test_lines_are_read_in_pages_and_looking_is_one(ops: Person, alice: Person) -> None:
    await alice.says("Hello.")
    for method in ("PUT", "DELETE", "PUT"):
        await ops.asks(method, f"/v1/admin/holds/{ALICE}")
    first = await ops.gets("/v1/admin/audit?limit=2")
    assert [one["act"] for one in first["data"]] == ["audit.list", "holds.set"]
    second = await ops.gets(f"/v1/admin/audit?limit=2&after={first['next']}")
    assert [one["act"] for one in second["data"]] == ["holds.lift", "holds.set"]
    line = second["data"][1]
    assert (line["actor"], line["target"], line["detail"]) == ("key:ops", ALICE, {})
    assert second["next"] is None
    assert second["has_more"] is False


@pytest.mark.parametrize("after", ["junk", "9999", "2026-11-21", "../owners", "%00", "é"])
async def test_a_cursor_that_is_none_is_refused(ops: Person, after: str) -> None:
    answer = await ops.asks("GET", f"/v1/admin/audit?after={after}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")
