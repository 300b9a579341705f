"""A run of the cleanup by an admin: as the schedule's, under the same lease, dry unless asked."""

import time
from random import Random

import pytest

from gateway.accounts.audit import DAY_SECONDS, KEPT_DAYS, Audit
from gateway.documents.base import Set
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.retention.sweep import LEASE_PATH
from support.admins import Json, Person, code_of

PATH = "/v1/admin/retention"
TWO_MONTHS = 60 * DAY_SECONDS


async def past(alice: Person) -> None:
    """Six old things that matter little, in a session that is closed since."""
    at = time.time() - TWO_MONTHS
    said = [
        {"content": "ok", "role": "assistant", "session_id": "old", "at": at + n} for n in range(6)
    ]
    (await alice.asks("POST", "/v1/messages", {"messages": said})).raise_for_status()


async def run(ops: Person, body: Json | None) -> Json:
    answer: Json = (await ops.asks("POST", PATH, body)).raise_for_status().json()
    return answer


async def test_a_dry_run_tells_what_a_run_then_does(
    ops: Person, alice: Person, documents: MeteredDocuments
) -> None:
    await past(alice)
    dry = await run(ops, {"dry_run": True})
    assert len((await alice.gets("/v1/sessions/old/messages"))["data"]) == 6
    assert (await documents.get(LEASE_PATH)) == [None]
    real = await run(ops, {"dry_run": False})
    own = {"dry_run", "documents_read", "seconds"}
    assert {k: v for k, v in dry.items() if k not in own} == {
        k: v for k, v in real.items() if k not in own
    }
    assert (dry["dry_run"], real["dry_run"]) == (True, False)
    assert real["task"] == "retention"
    assert real["owners"] == 1
    assert real["cursor"] is None


@pytest.mark.parametrize("body", [None, {}])
async def test_without_a_word_nothing_is_moved(
    ops: Person, documents: MeteredDocuments, body: Json | None
) -> None:
    assert (await run(ops, body))["dry_run"] is True
    assert (await documents.get(LEASE_PATH)) == [None]


async def test_while_another_run_is_at_it_there_is_none(
    ops: Person, documents: MeteredDocuments
) -> None:
    lease = {"schema": 1, "holder": "x", "until": time.time() + 100, "cursor": "c", "finished": 0.0}
    await documents.commit(Set(LEASE_PATH, lease))
    answer = await ops.asks("POST", PATH, {"dry_run": False})
    assert code_of(answer) == (409, "already_running")
    assert 1 <= int(answer.headers["retry-after"]) <= 100
    assert (await run(ops, {"dry_run": True}))["dry_run"] is True
    (found,) = await documents.get(LEASE_PATH)
    assert found is not None
    assert found.fields == lease


@pytest.mark.parametrize("body", [{"dry_run": "no"}, {"dry_run": 0}, {"dry": True}])
async def test_what_is_malformed_runs_nothing(
    ops: Person, documents: MeteredDocuments, body: Json
) -> None:
    documents.reset()
    assert (await ops.asks("POST", PATH, body)).status_code == 400
    assert documents.reset() == Operations()


async def test_audit_lines_past_their_time_are_swept(
    ops: Person, documents: MeteredDocuments
) -> None:
    """Where the store does not delete them by itself."""
    ages = (KEPT_DAYS + 2, KEPT_DAYS + 1, KEPT_DAYS - 1, 0)
    moments = iter([time.time() - age * DAY_SECONDS for age in ages])
    audit = Audit(documents, lambda: next(moments), Random(7))
    for age in ages:
        await audit.record("key:ops", "old", str(age))
    assert (await run(ops, {"dry_run": True}))["deleted"] == 2
    assert (await run(ops, {"dry_run": False}))["deleted"] == 2
    left = [one["target"] for one in (await ops.gets("/v1/admin/audit"))["data"]]
    assert left[-1] == str(KEPT_DAYS - 1)
    assert str(KEPT_DAYS + 1) not in left
