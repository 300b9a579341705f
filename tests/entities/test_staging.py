"""Staging: unseen until it is committed, dropped one by one, committed at once and once."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.documents.base import Documents
from gateway.documents.sqlite import SqliteDocuments
from gateway.entities.content import Content
from gateway.entities.operations import (
    Add,
    Adjust,
    Create,
    Operation,
    Remove,
    Replace,
    Told,
    all_applied,
)
from gateway.entities.staged import KEPT_SECONDS, Proposal, Staged
from gateway.errors import BadRequest, Contested, NotFound, TooLarge
from gateway.portability.erasure import Erasure
from gateway.retrieval.lexical import LexicalRanker
from support.facts import Records
from support.memories import ALICE, BOB, NOON

ANNA, BEN = "eanna000000000000", "eben0000000000000"


def told(id: str, text: str) -> Told:
    return Told(id=id, text=text, valid_from=NOON, sources=["m1"], session="s")


def stated(entity: str, number: int) -> Add:
    return Add(entity=entity, statement=told(f"s{number}", f"Fact {number}."))


def staged(*operations: Operation, base: dict[str, int] | None = None, epoch: int = 0) -> Staged:
    proposals = tuple(Proposal(f"op{n}", one) for n, one in enumerate(operations, start=1))
    return Staged("s", NOON, epoch, "digest", base or {}, proposals)


def created(entity: str, name: str) -> Create:
    return Create(
        entity=entity,
        kind="person",
        name=name,
        valid_from=NOON,
        statements=[told(f"{entity}-first", f"Is {name}.")],
    )


async def test_what_is_staged_is_in_no_read(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    given = staged(stated(view.id, 1), created(BEN, "Ben"), base={view.id: 1})
    await records.staging.put(ALICE, given)
    assert await records.texts(view.id) == ["Lives in Paris."]
    assert len((await records.register.cards(ALICE, limit=9))[0]) == 1
    assert (await records.register.history(ALICE, view.id)).current == 1
    assert len(await records.commits()) == 1
    with pytest.raises(NotFound):
        await records.register.get(ALICE, BEN)


async def test_it_is_shown_with_a_diff_for_each_operation(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    home = view.content.statements[0].id
    moved = Replace(entity=view.id, replaces=home, statement=told("s1", "Lives in Berlin."))
    await records.staging.put(
        ALICE, staged(moved, created(BEN, "Ben"), stated(BEN, 2), base={view.id: 1})
    )
    shown = await records.staging.show(ALICE, "s")
    first, second, third = shown.diffs
    assert [one["text"] for one in first["added"]] == ["Lives in Berlin."]
    assert [one["superseded_by"] for one in first["superseded"]] == ["s1"]
    assert second["attributes"]["name"] == {"from": None, "to": "Ben"}
    assert [one["text"] for one in third["added"]] == ["Fact 2."]
    assert (shown.names, shown.moved) == ({view.id: "Anna", BEN: "Ben"}, False)


async def test_committed_it_is_read_and_twice_is_once(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    given = staged(stated(view.id, 1), created(BEN, "Ben"), base={view.id: 1})
    await records.staging.put(ALICE, given)
    first = await records.staging.commit(ALICE, "s")
    again = await records.staging.commit(ALICE, "s")
    assert (first.sequence, first.operations) == (again.sequence, again.operations) == (2, 2)
    assert first.changes == again.changes
    assert await records.texts(view.id) == ["Lives in Paris.", "Fact 1."]
    assert await records.texts(BEN) == ["Is Ben."]
    assert len(await records.commits()) == 2
    assert (await records.staging.get(ALICE, "s")).proposals == ()


async def test_committed_by_many_at_once_it_is_applied_once(
    records: Records, another: Documents
) -> None:
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    other = Records(another, seed=8)
    commits = [one.staging.commit(ALICE, "s") for one in (records, other) for _ in range(3)]
    assert {one.sequence for one in await asyncio.gather(*commits)} == {1}
    assert (await records.register.history(ALICE, BEN)).current == 1


async def test_a_base_that_has_moved_refuses_the_whole_commit(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    given = staged(created(BEN, "Ben"), stated(view.id, 1), base={view.id: 1})
    await records.staging.put(ALICE, given)
    await records.add(view, "Sings.")
    assert (await records.staging.show(ALICE, "s")).moved
    with pytest.raises(Contested) as refused:
        await records.staging.commit(ALICE, "s")
    assert (refused.value.status, refused.value.code) == (409, "base_moved")
    assert await records.texts(view.id) == ["Lives in Paris.", "Sings."]
    with pytest.raises(NotFound):
        await records.register.get(ALICE, BEN)
    await records.staging.drop(ALICE, "s", "op2")
    assert (await records.staging.commit(ALICE, "s")).sequence == 3


async def test_an_operation_that_cannot_be_applied_refuses_all(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    unknown = Remove(entity=view.id, statement="never", at=NOON)
    await records.staging.put(ALICE, staged(stated(view.id, 1), unknown, base={view.id: 1}))
    with pytest.raises(BadRequest):
        await records.staging.commit(ALICE, "s")
    assert await records.texts(view.id) == ["Lives in Paris."]


async def test_a_commit_of_a_session_is_reverted_whole(records: Records) -> None:
    view = await records.create("Anna", "Lives in Paris.")
    given = staged(stated(view.id, 1), created(BEN, "Ben"), base={view.id: 1})
    await records.staging.put(ALICE, given)
    await records.staging.commit(ALICE, "s")
    await records.reversals.revert(ALICE, 2)
    assert await records.texts(view.id) == ["Lives in Paris."]
    with pytest.raises(NotFound):
        await records.texts(BEN)


async def test_staged_again_it_takes_the_place_of_what_was_staged(records: Records) -> None:
    await records.staging.put(ALICE, staged(created(ANNA, "Anna")))
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    (one,) = (await records.staging.get(ALICE, "s")).proposals
    assert one.operation.entity == BEN


async def test_it_expires(records: Records) -> None:
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    records.clock.now += KEPT_SECONDS
    for attempt in (
        records.staging.show(ALICE, "s"),
        records.staging.commit(ALICE, "s"),
        records.staging.drop(ALICE, "s", "op1"),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_another_ones_staging_is_not_there(documents: Documents, records: Records) -> None:
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    bob = Records(documents, owner=BOB)
    for attempt in (
        bob.staging.show(BOB, "s"),
        bob.staging.commit(BOB, "s"),
        bob.staging.drop(BOB, "s", "op1"),
        bob.staging.discard(BOB, "s"),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_discarded_it_is_gone_and_committed_it_is_not_discarded(records: Records) -> None:
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    await records.staging.discard(ALICE, "s")
    with pytest.raises(NotFound):
        await records.staging.commit(ALICE, "s")
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    await records.staging.commit(ALICE, "s")
    for attempt in (
        records.staging.discard(ALICE, "s"),
        records.staging.drop(ALICE, "s", "op1"),
    ):
        with pytest.raises(Contested):
            await attempt


async def test_nothing_staged_before_an_erasure_is_staged_or_committed_after(
    documents: Documents, records: Records
) -> None:
    await records.staging.put(ALICE, staged(created(BEN, "Ben")))
    await Erasure(documents, LexicalRanker(), lambda: NOON, backup_days=7).erase(ALICE)
    with pytest.raises(NotFound):
        await records.staging.commit(ALICE, "s")
    with pytest.raises(Contested):
        await records.staging.put(ALICE, staged(created(BEN, "Ben"), epoch=0))


async def test_more_than_a_document_holds_is_refused(records: Records) -> None:
    huge = [
        Create(
            entity=f"e{n:016d}",
            kind="other",
            name="x",
            valid_from=NOON,
            statements=[told(f"s{n}-{k}", "\U0001f600" * 900) for k in range(10)],
        )
        for n in range(20)
    ]
    with pytest.raises(TooLarge):
        await records.staging.put(ALICE, staged(*huge))


async def test_a_staging_document_comes_back_the_same(records: Records) -> None:
    given = staged(
        created(BEN, "Ben"),
        stated(ANNA, 1),
        Adjust(entity=ANNA, strength=1.0, always_load=["facts"]),
        Remove(entity=ANNA, statement="x", at=NOON),
        base={ANNA: 3},
    )
    await records.staging.put(ALICE, given)
    found = await records.staging.get(ALICE, "s")
    assert (found.proposals, found.base) == (given.proposals, given.base)


OPERATIONS: list[Operation] = [
    stated(ANNA, 1),
    Replace(entity=ANNA, replaces="first", statement=told("s2", "Fact 2.")),
    Replace(entity=ANNA, replaces="first", statement=told("s3", "Fact 3.")),
    Remove(entity=ANNA, statement="first", at=NOON + 5),
    Adjust(entity=ANNA, name="Anna Maria"),
    created(BEN, "Ben"),
    stated(ANNA, 4),
]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(OPERATIONS))), st.sets(st.integers(0, len(OPERATIONS) - 1)))
def test_any_may_be_dropped_and_the_rest_is_applied_in_order_and_once(
    order: list[int], dropped: set[int]
) -> None:
    operations = [OPERATIONS[place] for place in order]

    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            documents = SqliteDocuments(str(Path(folder) / "facts.db"))
            try:
                await _committed(Records(documents), operations, dropped)
            finally:
                await documents.close()

    asyncio.run(live())


async def _committed(records: Records, operations: Sequence[Operation], dropped: set[int]) -> None:
    first = told("first", "Was first.")
    start = Create(entity=ANNA, kind="person", name="Anna", valid_from=NOON, statements=[first])
    await records.staging.put(ALICE, staged(start))
    await records.staging.commit(ALICE, "s")
    before = (await records.register.get(ALICE, ANNA)).content
    await records.staging.put(ALICE, staged(*operations, base={ANNA: 1}))
    for place in dropped:
        await records.staging.drop(ALICE, "s", f"op{place + 1}")
    once = await records.staging.commit(ALICE, "s")
    twice = await records.staging.commit(ALICE, "s")
    assert once.sequence == twice.sequence
    left = [one for place, one in enumerate(operations) if place not in dropped]
    contents: dict[str, Content | None] = {ANNA: before, BEN: None}
    wanted = all_applied(contents, left, {ANNA: 2, BEN: 1})
    for id, content in wanted.items():
        if content is not None:
            assert (await records.register.get(ALICE, id)).content == content
    assert len(await records.commits()) == 1 + (once.sequence is not None)
    assert (once.sequence is None) == (not left)
