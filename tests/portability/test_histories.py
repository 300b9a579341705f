"""Entities exported, erased and imported answer as before: at any date, as known on any date."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.documents.base import Documents, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.entities.cards import MAX_ENTITIES, Index
from gateway.entities.editor import Changes, Given, Replaced
from gateway.entities.paths import index_path
from gateway.entities.register import View
from gateway.entities.versions import blame, difference
from gateway.errors import Contested, NotFound
from gateway.memory.records import owner_path
from gateway.portability import histories
from gateway.portability.export import Line
from support.facts import DAY, Records
from support.imports import as_lines, as_markdown, erased, exported, imported
from support.memories import ALICE, BOB, NOON
from support.stores import sqlite_only

Writer = Callable[..., bytes]
writers = pytest.mark.parametrize("writer", [as_lines, as_markdown], ids=["jsonl", "markdown"])
LATER = NOON + 1000 * DAY


@pytest.fixture
def records(documents: MeteredDocuments) -> Records:
    return Records(documents)


async def live(records: Records) -> View:
    """A person who moves twice and once says something else of long ago; a dog that dies."""
    ana = await records.create("Ana", "Lives in Bonn", always_load=["facts"], strength=0.8)
    rex = await records.create("Rex", "A dachshund --> <b>", kind="other")
    records.clock.now += DAY
    ana = await records.replace(ana, "Lives in Lisbon")
    records.clock.now += DAY
    ana = await records.replace(ana, "Lived in Rome then", valid_from=NOON - 10 * DAY)
    await records.editor.end(ALICE, rex.id)
    records.clock.now += DAY
    return await records.add(ana, "Plays\nthe oboe", valid_from=NOON + 9 * DAY)


async def answers(records: Records) -> list[Any]:
    """Everything that can be asked, at dates around everything that was recorded."""
    moments = [None, *(NOON + days * DAY + 0.5 for days in (-11, -5, 0, 1, 2, 3, 5, 10))]
    told: list[Any] = []
    for known_at in moments:
        for as_of in moments:
            cards, _ = await records.register.cards(
                ALICE, limit=100, as_of=as_of, known_at=known_at
            )
            told.append(cards)
            told.append([await seen(records, card.id, as_of, known_at) for card in cards])
    told.append([one.told() for one in await records.commits()])
    return told


async def seen(records: Records, id: str, as_of: float | None, known_at: float | None) -> Any:
    try:
        view = await records.register.get(ALICE, id, as_of=as_of, known_at=known_at)
    except NotFound:
        return None
    lines = blame(view.content, view.history, view.as_of)
    first = await records.register.content(ALICE, id, 1)
    marks = [(m.number, m.valid_from, m.recorded_at, m.commit) for m in view.history.marks]
    return view.content, view.mark, view.valid_to, marks, lines, difference(first, view.content)


@writers
async def test_export_erase_import_gives_the_same_answers(
    documents: MeteredDocuments, records: Records, writer: Writer
) -> None:
    await live(records)
    await records.reversals.revert(ALICE, 6)
    records.clock.now = LATER
    lines, before = await exported(documents), await answers(records)
    await erased(documents)
    assert (await answers(records))[-1] == []
    report = await imported(documents, writer(*lines), piece=100, now=LATER)
    assert (report.versions, report.commits, report.errors) == (7, 7, [])
    assert (report.skipped, report.whole) == (0, True)
    assert await answers(records) == before
    assert await exported(documents) == lines


@writers
async def test_a_second_import_writes_nothing(
    documents: MeteredDocuments, records: Records, writer: Writer
) -> None:
    await live(records)
    data = writer(*await exported(documents))
    await erased(documents)
    await imported(documents, data, now=LATER)
    documents.reset()
    report = await imported(documents, data, now=LATER)
    assert (report.versions, report.versions_unchanged, report.commits) == (0, 6, 0)
    assert documents.operations.writes == 0


async def test_life_goes_on_after_it(documents: MeteredDocuments, records: Records) -> None:
    ana = await live(records)
    lines = await exported(documents)
    await erased(documents)
    await imported(documents, as_lines(*lines), now=LATER)
    records.clock.now = LATER
    after = await records.replace(ana, "Lives in Porto", place=1)
    assert (after.history.current, (await records.commits())[0].sequence) == (5, 7)
    await records.reversals.revert(ALICE, 7)
    assert "Lives in Lisbon" in await records.texts(ana.id)
    with pytest.raises(Contested):
        await records.reversals.revert(ALICE, 3)


async def test_an_entity_that_was_erased_comes_back_with_its_history(
    documents: MeteredDocuments, records: Records
) -> None:
    ana = await live(records)
    before, lines = await answers(records), await exported(documents)
    await records.removal.erase(ALICE, ana.id)
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert (report.versions, report.versions_unchanged, report.commits) == (4, 2, 0)
    assert await answers(records) == before


async def test_a_newer_export_adds_what_is_new_and_marks_what_was_reverted(
    documents: MeteredDocuments, records: Records
) -> None:
    await live(records)
    older = await exported(documents)
    await records.reversals.revert(ALICE, 6)
    newer, before = await exported(documents), await answers(records)
    await erased(documents)
    await imported(documents, as_lines(*older), now=LATER)
    report = await imported(documents, as_lines(*newer), now=LATER)
    assert (report.versions, report.commits) == (1, 1)
    assert await answers(records) == before
    assert (await imported(documents, as_lines(*older), now=LATER)).versions_unchanged == 6
    assert await answers(records) == before


async def test_what_has_changed_here_since_stays_and_is_told(
    documents: MeteredDocuments, records: Records
) -> None:
    ana = await live(records)
    lines = await exported(documents)
    await erased(documents)
    until = [line for line in lines if line.get("number", 0) < 3 and line["type"] != "commit"]
    await imported(documents, as_lines(*until), now=LATER)
    records.clock.now = LATER
    mine = await records.add(await records.register.get(ALICE, ana.id), "Sails")
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert {one.code for one in report.errors} == {"entity_differs", "version_missing"}
    assert (report.refused, report.versions) == (2, 0)
    found = await records.register.get(ALICE, ana.id)
    assert (found.content, found.history.current) == (mine.content, 3)


async def test_beside_a_log_of_ones_own_it_comes_with_a_commit_that_tells_of_it(
    documents: MeteredDocuments, records: Records
) -> None:
    theirs = Records(documents, owner=BOB, seed=9)
    await live_as(theirs)
    mine = await records.create("Sea", "Is blue", kind="place")
    lines = await exported(documents, BOB)
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert (report.versions, report.commits, report.skipped) == (2, 1, 2)
    log = await records.commits()
    assert [(one.sequence, one.kind) for one in log] == [(2, "import"), (1, "manual")]
    (touched,) = log[0].changes
    view = await records.register.get(ALICE, touched.entity)
    assert (touched.before, touched.after) == (0, 2)
    assert [line["commit"] for line in blame(view.content, view.history, LATER)] == [2, 2]
    assert (await imported(documents, as_lines(*lines), now=LATER)).versions_unchanged == 2
    assert (await records.register.get(ALICE, mine.id)).content == mine.content
    assert await exported(documents, BOB) == lines
    again, before = await exported(documents), await records.commits()
    await erased(documents)
    assert (await imported(documents, as_lines(*again), now=LATER)).skipped == 0
    assert [one.told() for one in await records.commits()] == [one.told() for one in before]
    assert await exported(documents) == again


async def live_as(records: Records) -> None:
    view = await records.create("Bob", "Lives in Bern")
    records.clock.now += DAY
    await records.replace(view, "Lives in Basel")


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "add", "replace", "remove", "end", "revert", "rename", "erase"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(-10, 10),
    ),
    max_size=14,
)


async def act(records: Records, did: list[View], what: str, which: int, at: float) -> None:
    if what == "create" or not did:
        did.append(await records.create(f"Name {len(did)}", "One", "Two", valid_from=at))
        return
    id = did[which % len(did)].id
    view = await records.register.get(ALICE, id, as_of=NOON + 99 * DAY)
    statement = view.content.statements[which % len(view.content.statements)].id
    changes = {
        "add": Changes(add=[Given(f"At {at}")], valid_from=at),
        "replace": Changes(replace=[Replaced(statement, Given(f"From {at}"))], valid_from=at),
        "remove": Changes(remove=[statement], valid_from=at),
        "rename": Changes(name=f"Called {at}", strength=0.25, always_load=["facts"]),
    }
    if what == "end":
        await records.editor.end(ALICE, id)
    elif what == "erase":
        await records.removal.erase(ALICE, id)
    elif what == "revert":
        await records.reversals.revert(ALICE, which + 1)
    else:
        await records.edit(view, changes[what])


@sqlite_only
@given(
    past=OPERATIONS,
    writer=st.sampled_from([as_lines, as_markdown]),
    versions=st.integers(1, 5),
)
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_history_comes_back_as_it_was(
    documents: MeteredDocuments,
    past: list[tuple[str, int, int, int]],
    writer: Writer,
    versions: int,
) -> None:
    """However it is cut into commits of the store."""
    records = Records(documents, seed=len(past))
    await erased(documents)
    did: list[View] = []
    for what, which, hours, days in past:
        records.clock.now += hours * 3600
        try:
            await act(records, did, what, which, NOON + days * DAY)
        except (NotFound, Contested):
            continue
    lines, before = await exported(documents), await brief(records)
    await erased(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories, "MAX_DOCUMENTS", versions)
        report = await imported(documents, writer(*lines), piece=99, now=LATER)
    assert (report.errors, report.skipped) == ([], 0)
    assert await exported(documents) == lines
    assert await brief(records) == before
    assert (await imported(documents, writer(*lines), now=LATER)).versions == 0
    assert await exported(documents) == lines


async def brief(records: Records) -> list[Any]:
    told: list[Any] = [[one.told() for one in await records.commits()]]
    for known_at in (None, NOON + 5 * 3600, NOON + 20 * 3600):
        for days in (-11, -3, 0, 3, 11):
            as_of = NOON + days * DAY
            cards, _ = await records.register.cards(
                ALICE, limit=100, as_of=as_of, known_at=known_at
            )
            told.append(cards)
            told.append([await seen(records, card.id, as_of, known_at) for card in cards])
    return told


class Failing:
    """Documents whose n-th commit fails, applied or not; then the store is away."""

    def __init__(self, inner: Documents, at: int, *, applied: bool) -> None:
        self._inner, self._left, self._applied = inner, at, applied
        self.get, self.list, self.close = inner.get, inner.list, inner.close
        self.delete_tree = inner.delete_tree

    async def commit(self, *writes: Write) -> list[Written]:
        self._left -= 1
        if self._left < 0:
            if self._applied:
                await self._inner.commit(*writes)
                self._applied = False
            raise StoreUnavailable
        return await self._inner.commit(*writes)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("at", [0, 3])
async def test_interrupted_anywhere_it_goes_on(
    documents: MeteredDocuments,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    applied: bool,
) -> None:
    await live(records)
    lines = await exported(documents)
    await erased(documents)
    monkeypatch.setattr(histories, "MAX_DOCUMENTS", 2)
    with pytest.raises(StoreUnavailable):
        await imported(Failing(documents, at, applied=applied), as_lines(*lines), now=LATER)
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert report.errors == []
    assert await exported(documents) == lines


async def test_the_same_import_twice_at_once_stores_once(
    documents: MeteredDocuments,
    another: MeteredDocuments,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await live(records)
    lines = await exported(documents)
    await erased(documents)
    monkeypatch.setattr(histories, "MAX_DOCUMENTS", 2)
    data = as_lines(*lines)
    reports = await asyncio.gather(
        imported(documents, data, now=LATER), imported(another, data, now=LATER)
    )
    assert sum(report.versions for report in reports) == 6
    assert await exported(documents) == lines


async def test_an_erasure_meanwhile_ends_it(
    documents: MeteredDocuments, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Erasing(Failing):
        async def commit(self, *writes: Write) -> list[Written]:
            self._left -= 1
            if self._left == 0:
                await erased(documents)
            return await self._inner.commit(*writes)

    await live(records)
    lines = await exported(documents)
    await erased(documents)
    monkeypatch.setattr(histories, "MAX_DOCUMENTS", 2)
    with pytest.raises(Contested, match="erased"):
        await imported(Erasing(documents, 3, applied=False), as_lines(*lines), now=LATER)
    kinds = {line["type"] for line in await exported(documents)}
    assert not kinds & {"version", "commit", "entity"}


async def test_an_export_while_facts_change_is_of_one_moment(
    documents: MeteredDocuments, records: Records
) -> None:
    """Commits are told before versions: what is recorded in between is in neither."""
    ana = await live(records)
    before = await exported(documents)

    class Busy(MeteredDocuments):
        told = False

        async def list(self, collection: str, **options: Any) -> Any:
            if collection.endswith("/versions") and not self.told:
                self.told = True
                await records.add(ana, "Said meanwhile")
            return await super().list(collection, **options)

    assert await exported(Busy(documents)) == before
    assert len(await exported(documents)) == len(before) + 2


def version(**changes: Any) -> Line:
    statement = {"id": "s1", "block": "facts", "text": "A fact", "valid_from": NOON}
    content = {"kind": "person", "name": "Ana", "valid_from": NOON, "statements": [statement]}
    marks = {"number": 1, "valid_from": NOON, "recorded_at": NOON, "commit": 1}
    entity = "e" + "0" * 16
    return {"type": "version", "entity": entity, **marks, "content": content} | changes


def content(**changes: Any) -> Line:
    return version(content=version()["content"] | changes)


def statement(**changes: Any) -> Line:
    (one,) = version()["content"]["statements"]
    return content(statements=[one | changes])


def commit(**changes: Any) -> Line:
    told = {"type": "commit", "sequence": 1, "kind": "manual", "at": NOON, "valid_from": NOON}
    return {**told, "changes": [["e" + "0" * 16, 0, 1]]} | changes


@pytest.mark.parametrize(
    "line",
    [
        version(entity="../../owners"),
        version(entity="e1/../x"),
        version(entity=5),
        version(number=0),
        version(number=2),
        version(number="1"),
        version(number=True),
        version(number=2001),
        version(recorded_at=LATER + DAY),
        version(recorded_at=1e300),
        version(valid_from=None),
        version(commit=-1),
        version(content=None),
        version(content="{}"),
        content(kind="god"),
        content(name=""),
        content(name="x" * 121),
        content(strength=2),
        content(always_load=["x"] * 21),
        content(statements=[{}]),
        content(statements=[version()["content"]["statements"][0]] * 2),
        content(valid_to="soon"),
        statement(id=""),
        statement(text=" "),
        statement(text="x" * 1001),
        statement(sources=["x" * 65]),
        statement(sources="x"),
        statement(valid_from=1e12),
        statement(added_in=-1),
        commit(sequence=0),
        commit(sequence=10**10),
        commit(kind="miracle"),
        commit(changes=[["../x", 0, 1]]),
        commit(changes=[[1]]),
        commit(changes=None),
        commit(reverts=0),
    ],
)
@sqlite_only
async def test_a_hostile_line_is_told_and_takes_nothing_with_it(
    documents: MeteredDocuments, records: Records, line: Line
) -> None:
    other = version(entity="e" + "1" * 16)
    report = await imported(documents, as_lines(other, line), now=LATER)
    assert [one.line for one in report.errors] == [2]
    assert (report.versions, report.refused) == (1, 1)
    cards, _ = await records.register.cards(ALICE, limit=10)
    assert [card.id for card in cards] == [other["entity"]]


@sqlite_only
async def test_what_names_somebody_is_not_read(
    documents: MeteredDocuments, records: Records
) -> None:
    foreign = {**version(), "owner": BOB, "user_id": BOB, "tenant_id": BOB}
    await imported(documents, as_lines(foreign), now=LATER)
    assert len((await records.register.cards(ALICE, limit=10))[0]) == 1
    assert (await Records(documents, owner=BOB).register.cards(BOB, limit=10))[0] == []


@sqlite_only
async def test_more_entities_than_a_memory_takes_are_refused_one_by_one(
    documents: MeteredDocuments,
) -> None:
    lines = [version(entity=f"e{n:016d}") for n in range(MAX_ENTITIES + 2)]
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert (report.versions, report.refused) == (MAX_ENTITIES, 2)
    assert {one.code for one in report.errors} == {"too_many_entities"}
    (index,) = await documents.get(index_path(owner_path(ALICE)))
    assert len(Index.of(index).cards) == MAX_ENTITIES


@sqlite_only
async def test_what_it_reads_and_writes_is_bounded(
    documents: MeteredDocuments, records: Records
) -> None:
    """A document for each version and commit, and a few for every batch."""
    lines = [
        commit(sequence=n, at=NOON + n, changes=[["e" + "0" * 16, n - 1, n]]) for n in range(1, 301)
    ]
    lines += [version(number=n, commit=n, recorded_at=NOON + n) for n in range(1, 301)]
    report = await imported(documents, as_lines(*lines), now=LATER)
    assert (report.versions, report.commits) == (300, 300)
    batches = 600 // histories.MAX_DOCUMENTS + 1
    assert documents.operations.writes <= 600 + 3 * batches
    assert documents.operations.reads <= 600 + 3 * batches
