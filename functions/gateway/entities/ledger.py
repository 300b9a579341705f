"""The ledger of entities on the documents port: every change is one commit, all of it or nothing.

A commit rewrites the index of cards (a compare-and-set, which orders the commits of one owner),
adds a version document for each entity that it changes, and touches the owner's document, so that
an erasure that begins meanwhile wins: nothing is stored behind its back. Versions are created and
never written again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.documents.base import Conflict, Create, Documents, Write
from gateway.documents.patience import Patience
from gateway.entities.cards import Index, card_of
from gateway.entities.commits import Change, Commit, Contents, Touched
from gateway.entities.content import Content, whole_milliseconds
from gateway.entities.paths import commit_path, entity_path, index_path, version_path
from gateway.entities.register import Books, Register, content_of
from gateway.entities.versions import SCHEMA, History, Mark
from gateway.errors import Contested
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path
from gateway.memory.storage import saved


class Ledger:
    def __init__(
        self,
        documents: Documents,
        register: Register,
        clock: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._documents = documents
        self._register = register
        self._clock = clock
        self._patience = patience

    async def commit(self, owner: str, change: Change) -> Commit:
        """Raises `Contested` where the base has moved or the memory was erased meanwhile."""
        tries = self._patience.tries()
        while True:
            books = await self._register.books(owner)
            if change.epoch is None:
                change = replace(change, epoch=books.owner.epoch)
            if (commit := await self.attempt(owner, change, books)) is not None:
                return commit
            await tries.pause()

    async def attempt(
        self, owner: str, change: Change, books: Books | None = None
    ) -> Commit | None:
        """One try; None when another writer was first."""
        root, books = owner_path(owner), books or await self._register.books(owner)
        _check(books, change)
        histories, before = await self._standing(root, books.index, list(change.base))
        numbers = {id: one.current + 1 for id, one in histories.items()}
        after = change.make(before, numbers)
        commit = self._recorded(books.index, change, before, after, numbers)
        writes: list[Write] = [guard(root, books.owner), *change.beside(commit)]
        if commit.changes:
            writes += _entries(root, books.index, commit, histories, after)
        try:
            await self._documents.commit(*writes)
        except Conflict:
            return None
        return commit

    async def _standing(
        self, root: str, index: Index, ids: Sequence[str]
    ) -> tuple[dict[str, History], dict[str, Content | None]]:
        paths = [entity_path(root, id) for id in ids]
        paths += [version_path(root, id, index.current(id)) for id in ids if index.current(id)]
        read = await self._documents.get(*paths) if paths else []
        found = dict(zip(paths, read, strict=True))
        histories = {id: History.of(found[entity_path(root, id)]) for id in ids}
        contents: dict[str, Content | None] = {}
        for id in ids:
            version = found.get(version_path(root, id, index.current(id)))
            contents[id] = None if version is None else content_of(version)
        return histories, contents

    def _recorded(
        self,
        index: Index,
        change: Change,
        before: Contents,
        after: Contents,
        numbers: Mapping[str, int],
    ) -> Commit:
        """Recorded time never runs back, whoever's clock is behind."""
        changes = tuple(
            Touched(id, numbers[id] - 1, numbers[id])
            for id in change.base
            if after.get(id) is not None and after.get(id) != before.get(id)
        )
        return Commit(
            sequence=index.commits + 1 if changes else None,
            kind=change.kind,
            at=max(whole_milliseconds(self._clock()), index.recorded_at),
            valid_from=change.valid_from,
            session=change.session,
            operations=change.operations,
            changes=changes,
            reverts=change.reverts,
        )


def guard(root: str, owner: Owner) -> Write:
    """The owner's document as it was read: an erasure since then fails the commit."""
    return saved(root, owner.packed(), owner.version)


def check_epoch(owner: Owner, begun: int | None) -> None:
    if begun not in {None, owner.epoch}:
        raise Contested("The memory was erased meanwhile.", code="memory_erased")


def _check(books: Books, change: Change) -> None:
    check_epoch(books.owner, change.epoch)
    for id, version in change.base.items():
        if books.index.current(id) != version:
            raise Contested(
                "The entity has changed: its current version is another.",
                param="version",
                code=change.moved,
            )


def _entries(
    root: str, index: Index, commit: Commit, histories: Mapping[str, History], after: Contents
) -> list[Write]:
    assert commit.sequence is not None  # noqa: S101  it changes something
    cards, writes = {}, list[Write]()
    for one in commit.changes:
        content = after[one.entity]
        assert content is not None  # noqa: S101  it is a change
        mark = Mark(one.after, commit.valid_from, commit.at, commit.sequence)
        history = histories[one.entity].grown(mark)
        cards[one.entity] = card_of(one.entity, content, one.after, commit.at)
        writes.append(saved(entity_path(root, one.entity), history.packed(), history.version))
        writes.append(
            Create(version_path(root, one.entity, one.after), version_fields(mark, content))
        )
    index = replace(index.with_cards(cards), commits=commit.sequence, recorded_at=commit.at)
    writes.append(saved(index_path(root), index.packed(), index.version))
    writes.append(Create(commit_path(root, commit.sequence), commit.packed()))
    return writes


def version_fields(mark: Mark, content: Content) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "number": mark.number,
        "valid_from": mark.valid_from,
        "recorded_at": mark.recorded_at,
        "commit": mark.commit,
        "content": content.packed(),
    }
