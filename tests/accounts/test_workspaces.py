"""Shared workspaces on either store: who enters, who changes what, and no race loses a member."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from gateway.accounts.workspace import MOST_MEMBERS, ROLES, Role, Workspace
from gateway.accounts.workspaces import Workspaces
from gateway.documents.base import Documents, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import BadRequest, Contested, Forbidden, NotFound
from support.memories import ALICE, BOB, NOON
from support.stores import sqlite_only

CAROL = "google:1104"


def over(documents: Documents, seed: int = 1) -> Workspaces:
    return Workspaces(documents, lambda: NOON, Random(seed))


@pytest.fixture
def workspaces(documents: MeteredDocuments) -> Workspaces:
    return over(documents)


async def shared(workspaces: Workspaces, **members: Role) -> Workspace:
    """Alice's, with others by their first name."""
    made = await workspaces.create(ALICE, "Household", None)
    named = {"bob": BOB, "carol": CAROL}
    for name, role in members.items():
        await workspaces.set_member(made.id, ALICE, named[name], role, new=True)
    return await workspaces.find(made.id, ALICE)


async def mine(workspaces: Workspaces, subject: str) -> list[str]:
    found, _ = await workspaces.list(subject, limit=50)
    return [one.id for one in found]


async def test_who_makes_one_owns_it(workspaces: Workspaces) -> None:
    made = await workspaces.create(ALICE, "Household", None)
    assert dict(made.members) == {ALICE: "owner"}
    assert await workspaces.find(made.id, ALICE, "owner") == made
    assert await mine(workspaces, ALICE) == [made.id]
    assert await mine(workspaces, BOB) == []


async def test_to_a_stranger_it_is_as_one_that_never_was(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await shared(workspaces)
    errors, costs = [], []
    for id in (made.id, "ws_" + "a" * 26):
        documents.reset()
        with pytest.raises(NotFound) as error:
            await workspaces.find(id, BOB)
        errors.append(error.value.body())
        costs.append(documents.reset())
    assert errors[0] == errors[1]
    assert costs[0] == costs[1]


@pytest.mark.parametrize("id", ["", "personal", "ws_", "ws_A" + "a" * 25, "../x", "ws_" + "a" * 27])
@sqlite_only
async def test_what_is_no_id_is_not_asked_for(
    workspaces: Workspaces, documents: MeteredDocuments, id: str
) -> None:
    with pytest.raises(NotFound):
        await workspaces.find(id, ALICE)
    assert documents.reset().reads == 0


async def test_a_role_allows_what_lesser_ones_do_and_no_more(workspaces: Workspaces) -> None:
    made = await shared(workspaces, bob="writer", carol="reader")
    for subject, may in ((CAROL, 1), (BOB, 2), (ALICE, 3)):
        for needs in ROLES[:may]:
            await workspaces.find(made.id, subject, needs)
        for needs in ROLES[may:]:
            with pytest.raises(Forbidden):
                await workspaces.find(made.id, subject, needs)


async def test_only_owners_say_who_is_a_member(workspaces: Workspaces) -> None:
    made = await shared(workspaces, bob="writer")
    for act in (
        workspaces.set_member(made.id, BOB, CAROL, "reader", new=True),
        workspaces.set_member(made.id, BOB, BOB, "owner", new=False),
        workspaces.remove(made.id, BOB, ALICE),
    ):
        with pytest.raises(Forbidden):
            await act
    for act in (
        workspaces.set_member(made.id, CAROL, CAROL, "owner", new=True),
        workspaces.remove(made.id, CAROL, CAROL),
    ):
        with pytest.raises(NotFound):
            await act
    assert dict((await workspaces.find(made.id, ALICE)).members) == {ALICE: "owner", BOB: "writer"}


async def test_who_was_removed_is_out_at_once_on_every_instance(
    workspaces: Workspaces, another: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="writer")
    elsewhere = over(another)
    await elsewhere.find(made.id, BOB)
    await workspaces.remove(made.id, ALICE, BOB)
    with pytest.raises(NotFound):
        await elsewhere.find(made.id, BOB)
    assert await mine(elsewhere, BOB) == []


async def test_the_last_owner_stays(workspaces: Workspaces) -> None:
    made = await shared(workspaces, bob="writer")
    for act in (
        workspaces.remove(made.id, ALICE, ALICE),
        workspaces.set_member(made.id, ALICE, ALICE, "reader", new=False),
    ):
        with pytest.raises(Contested) as error:
            await act
        assert error.value.code == "last_owner"
    await workspaces.set_member(made.id, ALICE, BOB, "owner", new=False)
    await workspaces.remove(made.id, ALICE, ALICE)
    assert dict((await workspaces.find(made.id, BOB)).members) == {BOB: "owner"}


async def test_of_two_owners_who_leave_at_once_one_stays(
    workspaces: Workspaces, another: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="owner")
    left = await asyncio.gather(
        workspaces.remove(made.id, ALICE, ALICE),
        over(another, 2).remove(made.id, BOB, BOB),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in left) == ["Contested", "NoneType"]
    remaining = ALICE if isinstance(left[0], Contested) else BOB
    assert list((await workspaces.find(made.id, remaining)).members) == [remaining]


async def test_members_added_at_once_are_all_there(
    workspaces: Workspaces, another: MeteredDocuments
) -> None:
    made = await shared(workspaces)
    both = [workspaces, over(another, 2)]
    people = [f"key:p{n}" for n in range(6)]
    await asyncio.gather(
        *(
            both[n % 2].set_member(made.id, ALICE, one, "reader", new=True)
            for n, one in enumerate(people)
        )
    )
    assert set((await workspaces.find(made.id, ALICE)).members) == {ALICE, *people}


async def test_an_owner_removed_meanwhile_changes_nothing_more(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="owner")

    async def removed() -> None:
        await workspaces.remove(made.id, ALICE, BOB)

    with pytest.raises(NotFound):
        await over(Preceded(documents, removed)).set_member(made.id, BOB, CAROL, "owner", new=True)
    assert list((await workspaces.find(made.id, ALICE)).members) == [ALICE]


async def test_adding_again_is_done_already_but_not_in_another_role(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="writer")
    documents.reset()
    again = await workspaces.set_member(made.id, ALICE, BOB, "writer", new=True)
    assert (again.members[BOB], documents.reset().writes) == ("writer", 0)
    with pytest.raises(Contested):
        await workspaces.set_member(made.id, ALICE, BOB, "reader", new=True)
    with pytest.raises(NotFound) as error:
        await workspaces.set_member(made.id, ALICE, CAROL, "reader", new=False)
    assert error.value.code == "member_not_found"


async def test_a_key_makes_one_workspace(workspaces: Workspaces) -> None:
    first = await workspaces.create(ALICE, "Household", "k")
    assert (await workspaces.create(ALICE, "Household", "k")).id == first.id
    theirs = await workspaces.create(BOB, "Household", "k")
    assert theirs.id != first.id
    with pytest.raises(BadRequest):
        await workspaces.create(ALICE, "Office", "k")
    assert await mine(workspaces, ALICE) == [first.id]


async def test_a_creation_without_an_answer_is_repeated_by_its_key(
    documents: MeteredDocuments,
) -> None:
    workspaces = over(Unanswering(documents))
    with pytest.raises(StoreUnavailable):
        await workspaces.create(ALICE, "Household", "k")
    made = await workspaces.create(ALICE, "Household", "k")
    assert await mine(workspaces, ALICE) == [made.id]


async def test_a_deleted_one_is_nobodys_also_not_of_who_came_meanwhile(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="owner")

    async def joins() -> None:
        await workspaces.set_member(made.id, BOB, CAROL, "reader", new=True)

    await over(Preceded(documents, joins)).delete(made.id, ALICE)
    for subject in (ALICE, BOB, CAROL):
        assert await mine(workspaces, subject) == []
        with pytest.raises(NotFound):
            await workspaces.find(made.id, subject)
    for collection in ("workspaces", "members"):
        assert await documents.list(collection) == []
    with pytest.raises(NotFound):
        await workspaces.delete(made.id, ALICE)


async def test_only_an_owner_renames_or_deletes(workspaces: Workspaces) -> None:
    made = await shared(workspaces, bob="writer")
    with pytest.raises(Forbidden):
        await workspaces.rename(made.id, BOB, "Bob's")
    with pytest.raises(Forbidden):
        await workspaces.delete(made.id, BOB)
    for stranger in (CAROL, "google:x"):
        with pytest.raises(NotFound):
            await workspaces.rename(made.id, stranger, "Theirs")
    after = await workspaces.rename(made.id, ALICE, "Boat")
    assert await workspaces.find(made.id, BOB) == after
    assert (after.name, after.members) == ("Boat", made.members)


async def test_who_loses_the_right_meanwhile_neither_renames_nor_deletes(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await shared(workspaces, bob="owner")

    async def loses() -> None:
        await workspaces.set_member(made.id, BOB, ALICE, "writer", new=False)

    with pytest.raises(Forbidden):
        await over(Preceded(documents, loses)).delete(made.id, ALICE)
    assert (await workspaces.find(made.id, ALICE)).members[ALICE] == "writer"


@sqlite_only
async def test_it_takes_so_many_members_in_a_small_document(workspaces: Workspaces) -> None:
    made = Workspace("ws_x", "n" * 100, NOON, {ALICE: "owner"})
    for n in range(MOST_MEMBERS - 1):
        made = made.with_member(f"google:{n:0>255}", "reader")
    with pytest.raises(BadRequest):
        made.with_member("google:one-more", "reader")
    assert made.with_member(ALICE, "owner") == made
    assert len(made.packed()["members"]) < 64 * 1024


async def test_many_are_listed_page_by_page_in_two_reads_each(
    workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = {(await workspaces.create(ALICE, f"n{n}", None)).id for n in range(5)}
    found: list[str] = []
    after: str | None = None
    documents.reset()
    for _ in range(3):
        page, after = await workspaces.list(ALICE, limit=2, after=after)
        found += [one.id for one in page]
    assert after is None
    assert (len(found), set(found)) == (5, made)
    assert documents.reset().reads <= 2 * 5 + 2


class Preceded(MeteredDocuments):
    """Does something else once, right before a commit."""

    def __init__(self, inner: Documents, act: Callable[[], Awaitable[None]]) -> None:
        super().__init__(inner)
        self._acts = [act]

    async def commit(self, *writes: Write) -> list[Written]:
        if self._acts:
            await self._acts.pop()()
        return await super().commit(*writes)


class Unanswering(MeteredDocuments):
    """Applies its first commit and does not say so."""

    def __init__(self, inner: Documents) -> None:
        super().__init__(inner)
        self._answers = False

    async def commit(self, *writes: Write) -> list[Written]:
        written = await super().commit(*writes)
        if not self._answers:
            self._answers = True
            raise StoreUnavailable
        return written
