"""The ledger: nothing overwritten, read as of a date and as known on one, reverted, erased."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.documents.base import Documents, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.entities.content import Content
from gateway.entities.editor import Changes, Given, Replaced
from gateway.entities.register import View
from gateway.errors import BadRequest, Contested, NotFound
from gateway.memory.records import owner_path
from gateway.portability.erasure import COLLECTIONS, Erasure
from gateway.retrieval.lexical import LexicalRanker
from support.facts import DAY, Records
from support.memories import ALICE, BOB, NOON
from support.stores import sqlite_only


def erasure(documents: Documents) -> Erasure:
    return Erasure(documents, LexicalRanker(), lambda: NOON, backup_days=7)


async def left(documents: Documents, owner: str) -> int:
    root = owner_path(owner)
    return sum([len(await documents.list(f"{root}/{name}")) for name in COLLECTIONS])


async def test_an_entity_is_read_back_as_it_was_made(records: Records) -> None:
    made = await records.create("Anna", "Lives in Paris.", strength=0.9, always_load=["facts"])
    read = await records.register.get(ALICE, made.id)
    assert read.content == made.content
    assert (read.mark.number, read.history.current, read.mark.commit) == (1, 1, 1)
    (card,), more = await records.register.cards(ALICE, limit=10)
    assert (card.name, card.version, card.always_load, more) == ("Anna", 1, True, None)


async def test_a_fact_that_changed_is_told_as_of_each_date(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.", valid_from=NOON)
    view = await records.replace(view, "Lives in Berlin.", valid_from=NOON + 10 * DAY)
    view = await records.replace(view, "Lives in Rome.", valid_from=NOON + 20 * DAY)
    for days, home in ((0, "Paris"), (9, "Paris"), (10, "Berlin"), (20, "Rome"), (99, "Rome")):
        assert await records.texts(view.id, as_of=NOON + days * DAY) == [f"Lives in {home}."]
    with pytest.raises(NotFound):
        await records.texts(view.id, as_of=NOON - 1)


async def test_what_was_learnt_late_was_not_known_before(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.", valid_from=NOON)
    records.clock.now += 30 * DAY
    await records.replace(view, "Lives in Berlin.", valid_from=NOON + 10 * DAY)
    then, now = NOON + 15 * DAY, records.clock.now
    assert await records.texts(view.id, as_of=then, known_at=then) == ["Lives in Paris."]
    assert await records.texts(view.id, as_of=then, known_at=now) == ["Lives in Berlin."]
    with pytest.raises(NotFound):
        await records.texts(view.id, known_at=NOON - 1)


async def test_an_edit_needs_the_current_version(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.add(view, "Plays the violin.")
    with pytest.raises(Contested) as refused:
        await records.add(view, "Plays the piano.")
    assert (refused.value.status, refused.value.code) == (409, "version_conflict")
    assert await records.texts(view.id) == ["Lives in Paris.", "Plays the violin."]


async def test_of_two_edits_at_once_one_is_refused_and_of_other_entities_none(
    records: Records,
) -> None:
    anna, ben = await records.create("Anna", "A."), await records.create("Ben", "B.")
    edits = [records.add(view, f"{n}.") for n in range(3) for view in (anna, ben)]
    done = await asyncio.gather(*edits, return_exceptions=True)
    assert sum(isinstance(one, View) for one in done) == 2
    assert sum(isinstance(one, Contested) for one in done) == 4
    assert [one.sequence for one in await records.commits()] == [4, 3, 2, 1]


async def test_entities_made_at_once_are_all_there(records: Records) -> None:
    await asyncio.gather(*(records.create(f"Person {n}") for n in range(8)))
    cards, _ = await records.register.cards(ALICE, limit=100)
    assert {card.name for card in cards} == {f"Person {n}" for n in range(8)}
    assert len(await records.commits()) == 8


async def test_a_key_makes_one_entity(records: Records) -> None:
    first = await records.create("Anna", "Lives in Paris.", idempotency_key="k")
    again = await records.create("Anna", "Lives in Paris.", idempotency_key="k")
    assert (again.id, again.content) == (first.id, first.content)
    with pytest.raises(BadRequest):
        await records.create("Ben", idempotency_key="k")
    assert len(await records.commits()) == 1


async def test_an_ended_entity_keeps_its_history(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    records.clock.now += DAY
    commit = await records.editor.end(ALICE, view.id, 1)
    with pytest.raises(NotFound):
        await records.texts(view.id)
    with pytest.raises(NotFound):
        await records.add(view, "Plays the violin.")
    with pytest.raises(NotFound):
        await records.editor.end(ALICE, view.id)
    assert (await records.register.cards(ALICE, limit=10))[0] == []
    assert await records.texts(view.id, as_of=NOON) == ["Lives in Paris."]
    assert len((await records.register.cards(ALICE, limit=10, as_of=NOON))[0]) == 1
    assert commit.sequence is not None
    await records.reversals.revert(ALICE, commit.sequence)
    assert await records.texts(view.id) == ["Lives in Paris."]


async def test_a_list_as_known_then_has_the_names_of_then(records: Records) -> None:
    view = await records.create("Anna")
    records.clock.now += DAY
    await records.edit(view, Changes(name="Anna Maria"))
    await records.create("Ben")
    known, _ = await records.register.cards(ALICE, limit=10, as_of=NOON, known_at=NOON)
    assert [card.name for card in known] == ["Anna"]
    now, _ = await records.register.cards(ALICE, limit=10)
    assert sorted(card.name for card in now) == ["Anna Maria", "Ben"]


async def test_a_list_is_told_page_by_page(records: Records) -> None:
    for number in range(5):
        await records.create(f"Person {number}")
    for known_at in (None, NOON):
        page, after = await records.register.cards(ALICE, limit=2, known_at=known_at)
        sizes, names = [len(page)], [card.name for card in page]
        while after is not None:
            page, after = await records.register.cards(
                ALICE, limit=2, after=after, known_at=known_at
            )
            sizes.append(len(page))
            names += [card.name for card in page]
        assert sorted(names) == [f"Person {n}" for n in range(5)]
        assert sizes == [2, 2, 1]


async def test_another_ones_entity_is_not_there(documents: Documents, records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    bob = Records(documents, owner=BOB)
    for attempt in (
        bob.register.get(BOB, view.id),
        bob.add(view, "x"),
        bob.editor.end(BOB, view.id),
        bob.removal.erase(BOB, view.id),
        bob.reversals.revert(BOB, 1),
        bob.register.get(BOB, "no such"),
        bob.removal.erase(BOB, "no such"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await records.texts(view.id) == ["Lives in Paris."]


async def test_reverting_twice_is_reverting_once(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.replace(view, "Lives in Berlin.")
    first, again = (
        await records.reversals.revert(ALICE, 2),
        await records.reversals.revert(ALICE, 2),
    )
    assert (first.sequence, again.sequence, first.reverts) == (3, 3, 2)
    assert await records.texts(view.id) == ["Lives in Paris."]
    assert [one.reverted_by for one in await records.commits()] == [None, 3, None]


async def test_reverted_by_many_at_once_it_is_reverted_once(
    records: Records, another: Documents
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.replace(view, "Lives in Berlin.")
    other = Records(another, seed=8)
    several = [one.reversals.revert(ALICE, 2) for one in (records, other) for _ in range(4)]
    assert {one.sequence for one in await asyncio.gather(*several)} == {3}


async def test_a_reversal_that_comes_second_finds_the_first_ones(
    documents: Documents, records: Records
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.replace(view, "Lives in Berlin.")
    slow = Records(between := Interrupted(documents), seed=8)
    between.before = lambda: records.reversals.revert(ALICE, 2)
    assert (await slow.reversals.revert(ALICE, 2)).sequence == 3


async def test_a_commit_behind_which_the_entity_has_changed_is_not_reverted(
    records: Records,
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.add(await records.add(view, "Plays the violin."), "Sings.")
    with pytest.raises(Contested) as refused:
        await records.reversals.revert(ALICE, 2)
    assert refused.value.code == "base_moved"


async def test_a_creation_reverted_was_never_there_and_comes_back(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.reversals.revert(ALICE, 1)
    for moment in (NOON, NOON + DAY):
        with pytest.raises(NotFound):
            await records.texts(view.id, as_of=moment)
    records.clock.now += 1
    await records.reversals.revert(ALICE, 2)
    assert await records.texts(view.id) == ["Lives in Paris."]


async def test_an_erased_entity_leaves_no_version_and_no_text_in_the_log(
    documents: Documents, records: Records
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    kept = await records.create("Ben", "Lives in Rome.")
    await records.replace(view, "Lives in Berlin.")
    await records.removal.erase(ALICE, view.id)
    root = owner_path(ALICE)
    assert await documents.list(f"{root}/entities/{view.id}/versions") == []
    for document in await documents.list(f"{root}/commits"):
        assert "Paris" not in str(document.fields)
    with pytest.raises(NotFound):
        await records.removal.erase(ALICE, view.id)
    with pytest.raises(Contested):
        await records.reversals.revert(ALICE, 3)
    assert await records.texts(kept.id) == ["Lives in Rome."]


async def test_erasing_the_memory_takes_entities_commits_and_staging(
    documents: Documents, records: Records
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    await records.replace(view, "Lives in Berlin.")
    await erasure(documents).erase(ALICE)
    assert await left(documents, ALICE) == 0
    assert await documents.list(f"{owner_path(ALICE)}/entities/{view.id}/versions") == []
    assert (await records.register.cards(ALICE, limit=10))[0] == []
    assert (await records.create("Anna")).mark.commit == 1


class Interrupted:
    """Documents before whose next commit something else happens."""

    def __init__(self, inner: Documents) -> None:
        self._inner = inner
        self.get, self.list, self.close = inner.get, inner.list, inner.close
        self.delete_tree = inner.delete_tree
        self.before: Callable[[], Awaitable[object]] | None = None

    async def commit(self, *writes: Write) -> list[Written]:
        if (before := self.before) is not None:
            self.before = None
            await before()
        return await self._inner.commit(*writes)


@pytest.mark.parametrize("there", [False, True])
async def test_a_commit_under_way_does_not_outlive_an_erasure(
    documents: Documents, there: bool
) -> None:
    between = Interrupted(documents)
    records = Records(between)
    if there:
        view = await records.create("Anna", "Lives in Paris.")
    between.before = lambda: erasure(documents).erase(ALICE)
    with pytest.raises(Contested) as refused:
        await (records.add(view, "Sings.") if there else records.create("Anna"))
    assert refused.value.code == "memory_erased"
    assert await left(documents, ALICE) == 0


async def test_while_the_memory_is_being_erased_nothing_is_read_or_written(
    documents: Documents, records: Records
) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    gone = erasure(documents)
    await gone._mark(owner_path(ALICE))
    for attempt in (
        records.register.get(ALICE, view.id),
        records.register.cards(ALICE, limit=9),
        records.register.commits(ALICE, limit=9),
        records.create("Ben"),
        records.reversals.revert(ALICE, 1),
        records.staging.find(ALICE, "s"),
    ):
        with pytest.raises(Contested):
            await attempt


@sqlite_only
async def test_what_a_read_and_an_edit_cost(documents: MeteredDocuments, records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    for number in range(20):
        view = await records.add(view, f"Fact {number}.")
    documents.reset()
    await records.register.get(ALICE, view.id, as_of=NOON, known_at=NOON)
    assert documents.reset().reads == 3
    await records.register.cards(ALICE, limit=100)
    assert documents.reset().reads == 2
    await records.add(view, "One more.")
    spent = documents.reset()
    assert (spent.reads, spent.writes) == (10, 5)


async def test_a_store_that_is_away_is_said_so(documents: Documents) -> None:
    class Away(Interrupted):
        async def commit(self, *writes: Write) -> list[Written]:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        await Records(Away(documents)).create("Anna")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "replace", "remove", "rename", "end", "revert"]),
        st.integers(0, 30),
        st.integers(0, 5),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_nothing_is_overwritten_and_a_revert_gives_the_state_back(
    steps: list[tuple[str, int, int]],
) -> None:
    """Every answer for a time that has been recorded stays what it was, whatever comes after."""

    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            documents = SqliteDocuments(str(Path(folder) / "facts.db"))
            try:
                await _replayed(Records(documents), steps)
            finally:
                await documents.close()

    asyncio.run(live())


async def _replayed(records: Records, steps: list[tuple[str, int, int]]) -> None:
    made = await records.create("Anna", "Lives in Paris.", valid_from=NOON)
    contents: list[Content] = [made.content]
    answers: dict[tuple[float, float], object] = {}
    for step, days, place in steps:
        for as_of in (NOON - DAY, NOON, NOON + 10.5 * DAY, NOON + 40 * DAY):
            known = (as_of, records.clock.now)
            answers[known] = await _answer(records, made.id, *known)
        records.clock.now += DAY
        history = await records.register.history(ALICE, made.id)
        if step == "revert":
            done = await records.reversals.revert(ALICE, history.current)
            if done.changes and history.current > 1:
                now = await records.register.content(ALICE, made.id, done.changes[0].after)
                assert now == contents[history.current - 2]
        else:
            await _changed(records, made.id, history.current, step, NOON + days * DAY, place)
        current = (await records.register.history(ALICE, made.id)).current
        if current > len(contents):
            contents.append(await records.register.content(ALICE, made.id, current))
    for (as_of, known_at), answer in answers.items():
        assert await _answer(records, made.id, as_of, known_at) == answer
    for number, content in enumerate(contents, start=1):
        assert await records.register.content(ALICE, made.id, number) == content


async def _answer(records: Records, id: str, as_of: float, known_at: float) -> object:
    try:
        return await records.texts(id, as_of=as_of, known_at=known_at)
    except NotFound:
        return None


async def _changed(
    records: Records, id: str, version: int, step: str, at: float, place: int
) -> None:
    content = await records.register.content(ALICE, id, version)
    statement = content.statements[place % len(content.statements)].id
    changes = {
        "add": Changes(add=[Given(f"Fact {place}.")], valid_from=at),
        "replace": Changes(replace=[Replaced(statement, Given(f"Not {place}."))], valid_from=at),
        "remove": Changes(remove=[statement], valid_from=at),
        "rename": Changes(name=f"Anna {place}"),
    }
    try:
        if step == "end":
            await records.editor.end(ALICE, id)
        else:
            await records.editor.edit(ALICE, id, version, changes[step])
    except NotFound:  # it has ended, or ends before this
        pass
