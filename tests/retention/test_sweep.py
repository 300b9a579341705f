"""The sweep: what leaves, what is read for it, and what may go wrong meanwhile."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.documents.base import (
    Delete,
    Document,
    Documents,
    Set,
    StoreUnavailable,
    Update,
    Write,
    Written,
)
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import describe
from gateway.memory.storage import read_segment
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import LEASE_PATH, Report, Sweep
from limits.clock import Clock
from support.memories import ALICE, BOB, NOON, Scribe

TELLING = "My dog is called Rex and he is {} years old"
BUDGET_SECONDS = 100.0
LONG_AGO = "2024-11-01"  # four weeks after NOON, twelve days before the sweep


class Watched(MeteredDocuments):
    """Remembers what was read and does something of its own before a commit or a listing."""

    def __init__(self, inner: Documents) -> None:
        super().__init__(inner)
        self.read: list[str] = []
        self.before_commit: Callable[[tuple[Write, ...]], Awaitable[None]] | None = None
        self.after_owner: Callable[[], None] = lambda: None

    async def get(self, *paths: str) -> list[Document | None]:
        self.read += paths
        return await super().get(*paths)

    async def commit(self, *writes: Write) -> list[Written]:
        if self.before_commit:
            await self.before_commit(writes)
        return await super().commit(*writes)

    async def list(self, collection: str, **bounds: Any) -> list[Document]:
        if collection == "owners":
            self.after_owner()
        return await super().list(collection, **bounds)

    def segments_read(self) -> int:
        return sum("/segments/" in path for path in self.read)


@pytest.fixture
def watched(documents: MeteredDocuments) -> Watched:
    return Watched(documents)


@pytest.fixture
def clock() -> Clock:
    """What the sweep goes by: forty days after everything was said."""
    return Clock(days_later(40))


@pytest.fixture
def sweep(watched: Watched, clock: Clock) -> Sweep:
    return Sweep(watched, clock, Random(3), Policy(), BUDGET_SECONDS)


def days_later(days: float) -> float:
    return NOON + days * DAY_SECONDS


async def talk(scribe: Scribe, session: str, turns: int, **fields: Any) -> list[Record]:
    """Plain turns in one session; returns the questions."""
    questions = []
    for n in range(turns):
        question, answer = scribe.turn(f"the weather on walk number {n} of {session} turned out")
        await scribe.append(session, replace(question, **fields), answer)
        questions.append(question)
    return questions


async def owner_of(documents: Documents, owner: str = ALICE) -> Owner:
    return Owner.of((await documents.get(owner_path(owner)))[0])


async def archived(documents: Documents, owner: str = ALICE) -> list[str]:
    found = await documents.list(f"{owner_path(owner)}/archive")
    return [record.content for document in found for record in read_segment(document)]


async def assert_consistent(documents: Documents, owner: str = ALICE) -> None:
    """The manifest describes the segments, and each head counts what its session really has."""
    root, state = owner_path(owner), await owner_of(documents, owner)
    stored = await documents.list(f"{root}/segments")
    held = {int(each.id): read_segment(each) for each in stored}
    assert [one.number for one in state.segments] == sorted(held)
    for one in state.segments:
        described = describe(one.number, one.version, held[one.number]).segment
        assert replace(described, sketch=one.sketch) == one  # a sketch may be coarser
    for document in await documents.list(f"{root}/sessions", limit=1000):
        head = Head.of(document, "")
        inside = [each for records in held.values() for each in records]
        records = [each for each in inside if each.session == head.key] + list(head.tail)
        assert head.messages == len(records)
        assert head.turns == sum(each.role == "user" for each in records)
        assert head.tokens == sum(each.tokens for each in records if each.state == "active")


async def everything(documents: Documents) -> list[Document]:
    """Every document that a sweep could write or delete."""
    owners = await documents.list("owners")
    found = [*owners, *await documents.list("ops")]
    for owner in owners:
        for name in ("sessions", "segments", "archive", "requests", "staging"):
            found += await documents.list(f"{owner.path}/{name}")
    for room in ("limits", "usage"):
        found += await documents.list(f"{room}/{LONG_AGO}/subjects")
    return found


async def test_plain_old_messages_go_to_the_archive_and_the_rest_stays(
    sweep: Sweep, scribe: Scribe, documents: MeteredDocuments
) -> None:
    plain = await talk(scribe, "s", 30)
    pinned = await talk(scribe, "s", 1, pin=True)
    telling = scribe.turn(TELLING.format(3))
    await scribe.append("s", *telling)
    await talk(scribe, "s", 30)
    report = await sweep.run()
    assert await scribe.texts("s") == [pinned[0].content, telling[0].content]
    assert report.tally.archived == 2 * 62 - 2
    assert report.tally.expired == report.tally.deleted == report.tally.skipped == 0
    assert (report.owners, report.failed, report.cursor) == (1, [], None)
    assert len(await archived(documents)) == 2 * 62 - 2
    assert {one.content for one in plain} <= set(await archived(documents))
    await assert_consistent(documents)


async def test_nothing_leaves_before_its_time(sweep: Sweep, scribe: Scribe, clock: Clock) -> None:
    await talk(scribe, "s", 60)
    clock.now = days_later(30)
    report = await sweep.run()
    assert (report.tally.archived, report.tally.skipped) == (0, 1)


async def test_the_archive_is_deleted_in_its_time(
    sweep: Sweep, scribe: Scribe, clock: Clock, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", 40)
    await sweep.run()
    count = len(await documents.list(f"{owner_path(ALICE)}/archive"))
    clock.now += 90 * DAY_SECONDS - 1
    assert (await sweep.run()).tally.deleted == 0
    clock.now += 1
    assert (await sweep.run(dry_run=True)).tally.deleted == count
    assert (await sweep.run()).tally.deleted == count
    assert await archived(documents) == []


async def test_an_owner_without_a_candidate_costs_no_segment(
    sweep: Sweep, scribe: Scribe, clock: Clock, watched: Watched
) -> None:
    await talk(scribe, "s", 60)
    clock.now = days_later(20)
    await sweep.run()  # the first one also looks for days of limits
    watched.read.clear()
    report = await sweep.run()
    assert report.tally.skipped == 1
    assert watched.segments_read() == 0
    lease, limits, audit, end = 1, 1, 1, 1
    owner, head, archive, requests, staging = 1, 1, 1, 1, 1
    assert report.documents_read == lease + limits + audit + end + (
        owner + head + archive + requests + staging
    )


async def test_only_segments_that_may_hold_a_candidate_are_read(
    sweep: Sweep, scribe: Scribe, clock: Clock, watched: Watched
) -> None:
    """What matters without having been used needs nobody's receipts."""
    for n in range(90):
        asked, answer = scribe.turn(TELLING.format(n) + " and likes apples" * 1000)
        await scribe.append("s", asked, replace(answer, pin=True))
    old = len((await owner_of(watched)).segments)
    scribe.clock.now = days_later(30)
    for n in range(90):
        asked, answer = scribe.turn(TELLING.format(n) + " and likes pears" * 1000)
        await scribe.append("s", asked, answer)
    assert len((await owner_of(watched)).segments) > old + 1
    watched.read.clear()
    report = await sweep.run()
    assert (report.tally.archived, report.tally.skipped) == (0, 0)
    assert old <= watched.segments_read() <= old + 1  # at the seam old and new ones share one


async def test_what_a_receipt_names_is_kept(
    sweep: Sweep, scribe: Scribe, clock: Clock, documents: MeteredDocuments
) -> None:
    """The receipt may stand in another session's tail, or in a younger segment."""
    first = await talk(scribe, "s", 60)
    scribe.clock.now = days_later(39)
    for session, one in (("t", first[0]), ("u", first[1])):
        (question, answer) = scribe.turn("And then?")
        lines = [{"id": one.id, "role": "user", "score": 1.0}]
        receipt = {"id": question.id, "created_at": scribe.clock(), "lines": lines}
        await scribe.append(session, replace(question, receipt=receipt), answer)
    await talk(scribe, "u", 30)
    await sweep.run()
    assert await scribe.texts("s") == [first[0].content, first[1].content]
    await assert_consistent(documents)


async def test_an_idle_sessions_tail_leaves_and_a_resent_history_still_aligns(
    sweep: Sweep, scribe: Scribe, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", 3)
    before = (await scribe.log.load(ALICE, "s")).head
    report = await sweep.run()
    head = (await scribe.log.load(ALICE, "s")).head
    assert (report.tally.archived, report.tally.skipped) == (6, 0)
    assert (head.messages, head.turns, head.tokens, list(head.tail)) == (0, 0, 0, [])
    assert [(one.hash, one.id) for one in head.log] == [(one.hash, one.id) for one in before.log]
    assert {one.tokens for one in head.log} == {0}
    assert head.requests == before.requests
    await talk(scribe, "s", 1)
    await assert_consistent(documents)


async def test_a_session_in_use_keeps_its_tail(
    sweep: Sweep, scribe: Scribe, watched: Watched
) -> None:
    await talk(scribe, "s", 3)
    scribe.clock.now = days_later(15)
    await talk(scribe, "s", 1)
    report = await sweep.run()
    assert (report.tally.archived, report.tally.skipped) == (0, 1)
    assert watched.segments_read() == 0


async def test_an_end_of_its_own_deletes_without_a_copy(
    sweep: Sweep, scribe: Scribe, clock: Clock, documents: MeteredDocuments
) -> None:
    await talk(scribe, "s", 1, expires_at=days_later(35), pin=True)
    await talk(scribe, "s", 40, pin=True)
    report = await sweep.run()
    assert (report.tally.expired, report.tally.archived) == (1, 41)
    assert len(await archived(documents)) == 41
    assert not any("number 0 of s" in text for text in (await archived(documents))[:1])
    await assert_consistent(documents)


async def test_a_hundred_sessions_in_one_segment_are_all_counted_right(
    sweep: Sweep, scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(100):
        await talk(scribe, f"s{n}", 1)
        if n % 10 == 0:
            await talk(scribe, f"s{n}", 1, pin=True)
    report = await sweep.run()
    await assert_consistent(documents)
    assert report.tally.archived == 2 * 110 - 10
    assert len(await archived(documents)) == 2 * 110 - 10


async def test_an_emptied_segment_stays_as_an_empty_entry_and_is_filled_again(
    sweep: Sweep, scribe: Scribe, watched: Watched
) -> None:
    await talk(scribe, "s", 40)
    await sweep.run()
    (segment,) = (await owner_of(watched)).segments
    assert segment.count == 0
    watched.read.clear()
    assert (await sweep.run()).tally.skipped == 1
    assert watched.segments_read() == 0
    scribe.clock.now = days_later(40)
    await talk(scribe, "s", 40)
    (segment,) = (await owner_of(watched)).segments
    assert segment.count > 0
    assert len(await scribe.texts("s")) == 80
    await assert_consistent(watched)


async def test_a_dry_run_tells_what_a_real_one_does_and_writes_nothing(
    sweep: Sweep, scribe: Scribe, documents: MeteredDocuments, clock: Clock
) -> None:
    await populate(scribe, documents)
    root = owner_path(ALICE)
    for path in (f"{root}/requests/a", f"{root}/staging/b", f"{root}/archive/020000-x"):
        await documents.commit(Set(path, {"schema": 1}, expires_at=clock() - 1))
    await documents.commit(Set(f"limits/{LONG_AGO}/subjects/a", {"requests": 3, "tokens": 40}))
    await documents.commit(Set("owners/zz", {"schema": 1}))
    before = await everything(documents)
    dry = await sweep.run(dry_run=True)
    assert await everything(documents) == before
    real = await sweep.run()
    assert await everything(documents) != before
    assert dry.tally.archived > 100
    assert dry.tally.deleted == 4
    assert dry.rolled_up == 1
    assert [each["error"] for each in dry.failed] == ["KeyError"]
    assert comparable(dry) == comparable(real)
    assert comparable(await sweep.run()) != comparable(real)


async def populate(scribe: Scribe, documents: Documents) -> None:
    """Segments and idle tails with all sorts of messages."""
    another = Scribe(documents, owner=BOB, seed=9)
    for one in (scribe, another):
        for n in range(12):
            await talk(one, f"s{n}", 3)
            await one.append(f"s{n}", *one.turn(TELLING.format(n)))
            await one.append(f"s{n}", *one.turn(TELLING.format(5)))
        await talk(one, "s1", 30)


def comparable(report: Report) -> dict[str, Any]:
    body = report.body()
    assert body["task"] == "retention"
    return {
        name: value
        for name, value in body.items()
        if name not in {"dry_run", "documents_read", "seconds"}
    }


async def test_a_second_run_is_refused_while_the_lease_holds(
    sweep: Sweep, scribe: Scribe, watched: Watched, clock: Clock
) -> None:
    await talk(scribe, "s", 40)
    refusals = []

    async def second(_: tuple[Write, ...]) -> None:
        watched.before_commit = None
        with pytest.raises(Contested) as refused:
            await sweep.run()
        refusals.append(refused.value)
        assert (await sweep.run(dry_run=True)).owners == 1

    await documents_leased(watched, clock)
    with pytest.raises(Contested):
        await sweep.run()
    clock.now += 1
    watched.after_owner = lambda: setattr(watched, "before_commit", second)
    assert (await sweep.run()).owners == 1
    assert refusals[0].status == 409
    assert refusals[0].headers["retry-after"] == str(int(BUDGET_SECONDS + 60))


async def documents_leased(documents: Documents, clock: Clock) -> None:
    """As a run leaves it that was killed: a lease valid for one more second."""
    fields = {"schema": 1, "holder": "dead", "until": clock() + 1, "cursor": None, "finished": 0.0}
    await documents.commit(Set(LEASE_PATH, fields))


async def test_a_lease_taken_over_stops_the_one_who_lost_it(
    sweep: Sweep, watched: Watched, clock: Clock
) -> None:
    for n in range(5):
        await watched.commit(Set(f"owners/o{n}", Owner().packed()))

    def slow() -> None:
        clock.now += 31

    async def usurp(writes: tuple[Write, ...]) -> None:
        if isinstance(writes[0], Update) and writes[0].path == LEASE_PATH:
            watched.before_commit = None
            fields = {"schema": 1, "holder": "other", "until": 1e12, "cursor": None, "finished": 0}
            await watched.commit(Set(LEASE_PATH, fields))

    watched.after_owner, watched.before_commit = slow, usurp
    with pytest.raises(Contested):
        await sweep.run()
    assert await holder(watched) == "other"


async def holder(documents: Documents) -> str:
    found = (await documents.get(LEASE_PATH))[0]
    return str(found.fields["holder"]) if found else ""


async def test_a_run_out_of_time_is_gone_on_with_by_the_next(
    sweep: Sweep, watched: Watched, clock: Clock
) -> None:
    names = [f"o{n}" for n in range(7)]
    for name in names:
        await watched.commit(Set(f"owners/{name}", Owner().packed()))

    def slow() -> None:
        clock.now += BUDGET_SECONDS / 3 + 1

    watched.after_owner = slow
    cursors, owners = [], 0
    assert (await sweep.run(dry_run=True)).cursor == "o2"
    while True:
        report = await sweep.run()
        owners += report.owners
        cursors.append(report.cursor)
        if report.cursor is None:
            break
        assert await sweep.due_in_seconds(DAY_SECONDS) == 0
        assert await holder(watched) == ""
    assert cursors == ["o2", "o5", None]
    assert owners == len(names)
    assert await sweep.due_in_seconds(DAY_SECONDS) == DAY_SECONDS
    watched.after_owner = lambda: None
    assert (await sweep.run()).owners == len(names)


async def test_a_killed_run_loses_half_a_minute_at_the_most(
    sweep: Sweep, watched: Watched, clock: Clock
) -> None:
    for n in range(5):
        await watched.commit(Set(f"owners/o{n}", Owner().packed()))
    seen = []

    def slow() -> None:
        clock.now += 20
        seen.append(clock.now)
        if len(seen) == 4:
            raise KeyboardInterrupt

    async def dead(_: tuple[Write, ...]) -> None:
        if len(seen) == 4:
            raise StoreUnavailable

    watched.after_owner, watched.before_commit = slow, dead
    with pytest.raises(StoreUnavailable):
        await sweep.run()
    watched.before_commit = None
    with pytest.raises(Contested):
        await sweep.run()
    clock.now += BUDGET_SECONDS + 60
    assert (await sweep.run()).owners == 5 - 2


async def test_one_owners_failure_is_reported_and_stops_nobody_else(
    sweep: Sweep,
    scribe: Scribe,
    documents: MeteredDocuments,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await talk(scribe, "canary", 40)
    canary = "canary of a bad document"
    await documents.commit(Set("owners/22", {"schema": 1, "canary": canary}))
    await documents.commit(Set("owners/zz", {**Owner().packed(), "segments": canary}))
    with caplog.at_level(logging.INFO):
        report = await sweep.run()
    assert report.owners == 3
    assert report.tally.archived == 80
    assert [each["path"] for each in report.failed] == ["owners/22", "owners/zz"]
    assert report.failed[0]["error"] == "KeyError"
    assert len(caplog.records) == 2
    assert "owners/22" in caplog.text
    assert "canary" not in caplog.text + str(report.body())


async def test_a_legal_hold_keeps_everything(
    sweep: Sweep, scribe: Scribe, documents: MeteredDocuments, clock: Clock
) -> None:
    await talk(scribe, "s", 40)
    await sweep.run()
    await talk(scribe, "t", 40)
    await set_owner(documents, hold=True)
    clock.now += 400 * DAY_SECONDS
    before = await everything(documents)
    report = await sweep.run()
    assert (report.tally.held, report.tally.skipped) == (1, 0)
    assert owners_in(await everything(documents)) == owners_in(before)


def owners_in(found: Sequence[Document]) -> list[Document]:
    return [document for document in found if document.path.startswith("owners/")]


async def set_owner(documents: Documents, **fields: Any) -> None:
    state = replace(await owner_of(documents), **fields)
    await documents.commit(Set(owner_path(ALICE), state.packed()))


@pytest.mark.parametrize("field", ["hold", "erasing"])
@pytest.mark.parametrize("turns", [3, 40], ids=["tail", "segment"])
async def test_a_hold_or_an_erasure_that_comes_meanwhile_wins(
    sweep: Sweep, scribe: Scribe, watched: Watched, field: str, turns: int
) -> None:
    await talk(scribe, "s", turns)

    async def meanwhile(writes: tuple[Write, ...]) -> None:
        if any("/archive/" in write.path for write in writes):
            watched.before_commit = None
            await set_owner(watched, **{field: True})

    watched.before_commit = meanwhile
    report = await sweep.run()
    assert (report.tally.archived, report.failed) == (0, [])
    assert await archived(watched) == []
    await assert_consistent(watched)


@pytest.mark.parametrize("turns", [3, 40], ids=["tail", "segment"])
async def test_a_turn_meanwhile_loses_nothing(
    sweep: Sweep, scribe: Scribe, watched: Watched, turns: int
) -> None:
    await talk(scribe, "s", turns)

    async def meanwhile(writes: tuple[Write, ...]) -> None:
        if any("/archive/" in write.path for write in writes):
            watched.before_commit = None
            scribe.clock.now = days_later(40)
            await talk(scribe, "s", 20)

    watched.before_commit = meanwhile
    report = await sweep.run()
    assert report.failed == []
    everyone = await scribe.texts("s") + await archived(watched)
    assert len(everyone) == 2 * (turns + 20)
    await assert_consistent(watched)


async def test_an_owner_who_is_gone_meanwhile_stays_gone(
    sweep: Sweep, scribe: Scribe, watched: Watched
) -> None:
    await talk(scribe, "s", 40)

    async def meanwhile(writes: tuple[Write, ...]) -> None:
        if any("/archive/" in write.path for write in writes):
            watched.before_commit = None
            await watched.delete_tree(owner_path(ALICE))

    watched.before_commit = meanwhile
    report = await sweep.run()
    assert (report.tally.archived, report.failed) == (0, [])
    assert owners_in(await everything(watched)) == []


async def test_a_renewed_claim_is_not_deleted(
    sweep: Sweep, scribe: Scribe, watched: Watched, clock: Clock
) -> None:
    await talk(scribe, "s", 1)
    path = f"{owner_path(ALICE)}/requests/k"
    await watched.commit(Set(path, {"schema": 1}, expires_at=clock()))

    async def meanwhile(writes: tuple[Write, ...]) -> None:
        if any(isinstance(write, Delete) for write in writes):
            watched.before_commit = None
            await watched.commit(Set(path, {"schema": 1}, expires_at=clock() + 60))

    watched.before_commit = meanwhile
    assert (await sweep.run()).tally.deleted == 0
    assert (await watched.get(path))[0] is not None
    clock.now += 60
    assert (await sweep.run()).tally.deleted == 1


async def test_more_expired_answers_than_a_page_are_all_deleted(
    sweep: Sweep, scribe: Scribe, watched: Watched, clock: Clock
) -> None:
    await talk(scribe, "s", 1)
    root = owner_path(ALICE)
    for n in range(50):
        expires_at = clock() + (60 if n % 5 == 0 else 0)
        await watched.commit(Set(f"{root}/requests/k{n}", {"schema": 1}, expires_at))
    assert (await sweep.run()).tally.deleted == 40
    assert len(await watched.list(f"{root}/requests")) == 10


@pytest.mark.parametrize("failing", range(1, 12, 2))
async def test_a_sweep_cut_anywhere_is_finished_by_the_next(
    sweep: Sweep, scribe: Scribe, watched: Watched, failing: int
) -> None:
    await populate(scribe, watched)
    said = {one: await messages_of(watched, one) for one in (ALICE, BOB)}
    commits = 0

    async def cut(_: tuple[Write, ...]) -> None:
        nonlocal commits
        commits += 1
        if commits == 1 + failing:  # the first one is the lease's
            raise StoreUnavailable

    watched.before_commit = cut
    await sweep.run()
    watched.before_commit = None
    await sweep.run()
    for one, everything_said in said.items():
        await assert_consistent(watched, one)
        kept = await messages_of(watched, one)
        assert sorted(kept + await archived(watched, one)) == sorted(everything_said)
        assert 12 <= len(kept) <= 24  # of a repeated one the last


async def messages_of(documents: Documents, owner: str) -> list[str]:
    scribe = Scribe(documents, owner=owner)
    found = await scribe.log.sessions(owner, limit=1000)
    return [text for _, head in found for text in await scribe.texts(head.session)]
