"""Audit lines: added, listed newest first in pages, on either store; no act without its line."""

from random import Random

import pytest

from gateway.accounts.audit import DAY_SECONDS, KEPT_DAYS, Audit, Entry
from gateway.documents.base import Conflict, Create, Documents, Set, StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from support.outages import Unreliable

NOON = 1_780_000_000.0


class Ticking:
    """A millisecond later each time."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def audit_on(documents: Documents, clock: Ticking | None = None) -> Audit:
    return Audit(documents, clock or Ticking(), Random(7))


async def every(audit: Audit, limit: int) -> list[Entry]:
    entries, after = [], None
    while True:
        page, after = await audit.list(limit=limit, after=after)
        assert len(page) <= limit
        entries += page
        if after is None:
            return entries


async def test_a_line_says_who_did_what_to_what_and_when(documents: MeteredDocuments) -> None:
    audit = audit_on(documents)
    id = await audit.record("key:ops", "holds.set", "abc", {"hold": True, "before": None})
    (entry,) = await every(audit, 10)
    assert entry == Entry(
        id, NOON + 0.001, "key:ops", "holds.set", "abc", {"hold": True, "before": None}
    )
    assert id.startswith("2026-05-28T20:26:40.001")


async def test_nothing_was_done_yet(documents: MeteredDocuments) -> None:
    assert await audit_on(documents).list(limit=5) == ([], None)


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_pages_hold_every_line_once_newest_first(
    documents: MeteredDocuments, limit: int
) -> None:
    audit = audit_on(documents)
    written = [await audit.record("key:ops", "act", str(n)) for n in range(7)]
    assert [entry.id for entry in await every(audit, limit)] == written[::-1]


async def test_a_line_written_meanwhile_moves_no_page(documents: MeteredDocuments) -> None:
    audit = audit_on(documents)
    written = [await audit.record("key:ops", "act", str(n)) for n in range(4)]
    _, after = await audit.list(limit=2)
    await audit.record("key:ops", "act", "late")
    page, _ = await audit.list(limit=2, after=after)
    assert [entry.id for entry in page] == [written[1], written[0]]


async def test_a_line_goes_with_its_act_or_neither_does(documents: MeteredDocuments) -> None:
    audit = audit_on(documents)
    await documents.commit(audit.line("key:ops", "flags.set", "w"), Set("flags/w", {"a": 1}))
    await documents.commit(Create("flags/x", {}))
    with pytest.raises(Conflict):
        await documents.commit(audit.line("key:ops", "flags.set", "x"), Create("flags/x", {}))
    assert [entry.target for entry in await every(audit, 10)] == ["w"]


async def test_a_line_costs_one_write_and_is_never_written_over(
    documents: MeteredDocuments,
) -> None:
    audit = audit_on(documents)
    documents.reset()
    await audit.record("key:ops", "act", "w")
    counted = documents.reset()
    assert (counted.reads, counted.writes, counted.deletes) == (0, 1, 0)
    same = audit_on(documents)  # the same clock and the same randomness: the same id
    with pytest.raises(Conflict):
        await same.record("key:mallory", "act", "w")


async def test_a_line_has_its_end_and_is_not_read_after_it(documents: MeteredDocuments) -> None:
    clock = Ticking()
    audit = audit_on(documents, clock)
    id = await audit.record("key:ops", "act", "w")
    (stored,) = await documents.get(f"audit/{id}")
    assert stored is not None
    assert stored.expires_at == pytest.approx(NOON + KEPT_DAYS * DAY_SECONDS, abs=1)
    clock.now += KEPT_DAYS * DAY_SECONDS
    assert await audit.list(limit=5) == ([], None)


async def test_without_a_store_there_is_no_act(documents: MeteredDocuments) -> None:
    with pytest.raises(StoreUnavailable):
        await audit_on(Unreliable(documents, "refused")).record("key:ops", "act", "w")
    assert await audit_on(documents).list(limit=5) == ([], None)


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_what_is_no_id_or_name_is_refused(documents: MeteredDocuments, part: int) -> None:
    parts = ["key:ops", "act", "w"]
    parts[part] = "the password of my boat " * 40
    audit = audit_on(documents)
    documents.reset()
    with pytest.raises(ValueError, match="512 characters"):
        await audit.record(parts[0], parts[1], parts[2])
    with pytest.raises(ValueError, match="512 characters"):
        audit.line("key:ops", "act", "w", {"text": parts[part]})
    assert documents.reset().writes == 0
