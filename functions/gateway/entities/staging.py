"""Proposed operations of one session, kept apart until they are committed.

No read of entities looks here. What is staged names the versions that it was made for: when one of
them has moved, the commit is refused. A committed staging stays for a while as the memory that it
was, so that committing twice is committing once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.entities.cards import Index
from gateway.entities.commits import Change, Commit
from gateway.entities.content import Content
from gateway.entities.ledger import Ledger, check_epoch, guard
from gateway.entities.operations import all_applied, applied
from gateway.entities.register import Register
from gateway.entities.staged import Staged
from gateway.entities.versions import difference
from gateway.errors import Contested, NotFound, TooLarge
from gateway.memory.records import owner_path, session_key

STAGED_BYTES = 512 * 1024
MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """What is staged, a diff for each operation in its turn, and whether its base has moved."""

    staged: Staged
    diffs: Sequence[dict[str, Any]] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    moved: bool = False


class Staging:
    def __init__(
        self,
        documents: Documents,
        register: Register,
        ledger: Ledger,
        clock: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._documents = documents
        self._register = register
        self._ledger = ledger
        self._clock = clock
        self._patience = patience

    async def put(self, owner: str, staged: Staged, *, once: bool = False) -> Staged:
        """Stage it in place of what the session had; with `once` that stays if it was made of the
        same and is committed or could be. Raises `Contested` after an erasure."""
        staged = replace(staged, created_at=self._clock())
        fields = staged.packed()
        if len(fields["staged"].encode()) > STAGED_BYTES:
            raise TooLarge(
                f"A session stages {STAGED_BYTES // 1024} KiB.", code="staging_too_large"
            )
        root, path = owner_path(owner), staging_path(owner, staged.session)
        tries = self._patience.tries()
        while True:
            books = await self._register.books(owner)
            check_epoch(books.owner, staged.epoch)
            before = (await self._documents.get(path))[0]
            if once and (same := self._same(books.index, before, staged.digest)):
                return same
            write = _replacing(before, path, fields, staged.expires_at)
            try:
                written = await self._documents.commit(guard(root, books.owner), write)
            except Conflict:
                await tries.pause()
            else:
                return replace(staged, version=written[1].version)

    def _same(self, index: Index, document: Document | None, digest: str) -> Staged | None:
        if document is None or document.expired(self._clock()):
            return None
        held = Staged.of(document)
        stands = held.state == "committed" or not _moved(index, held.touched())
        return held if held.digest == digest and stands else None

    async def find(self, owner: str, session: str) -> Staged | None:
        """What the session has staged or has committed from here; None when that has expired."""
        await self._register.books(owner)
        document = (await self._documents.get(staging_path(owner, session)))[0]
        if document is None or document.expired(self._clock()):
            return None
        return Staged.of(document)

    async def waiting(self, owner: str) -> list[Staged]:
        """What is staged and neither committed nor expired, the latest first; a hundred at most."""
        await self._register.books(owner)
        found = await self._documents.list(f"{owner_path(owner)}/staging", limit=MOST_WAITING)
        staged = [Staged.of(one) for one in found if not one.expired(self._clock())]
        waiting = [one for one in staged if one.state == "staged"]
        return sorted(waiting, key=lambda one: one.created_at, reverse=True)

    async def get(self, owner: str, session: str) -> Staged:
        """Raises `NotFound`."""
        if (staged := await self.find(owner, session)) is None:
            raise _missing()
        return staged

    async def show(self, owner: str, session: str) -> Shown:
        staged = await self.get(owner, session)
        if staged.state == "committed":
            return Shown(staged)
        index = (await self._register.books(owner)).index
        base = staged.touched()
        numbers = {id: number for id, number in base.items() if number}
        contents: dict[str, Content | None] = {
            **dict.fromkeys(base),
            **await self._register.contents(owner, numbers),
        }
        names = {id: content.name for id, content in contents.items() if content}
        diffs = []
        for operation in staged.operations:
            id = operation.entity
            if (before := contents[id]) is None and base[id]:
                diffs.append(difference(None, None))  # the entity was erased meanwhile
                continue
            after = applied(before, operation, base[id] + 1)
            diffs.append(difference(before, after))
            contents[id] = after
            names.setdefault(id, after.name)
        return Shown(staged, diffs, names, _moved(index, base))

    async def moved(self, owner: str, staged: Staged) -> bool:
        """Whether committing it would be refused."""
        if staged.state == "committed":
            return False
        return _moved((await self._register.books(owner)).index, staged.touched())

    async def drop(self, owner: str, session: str, id: str) -> Staged:
        """Without one operation. Raises `NotFound`, `Contested` once it is committed."""
        tries = self._patience.tries()
        while True:
            staged = _open(await self.get(owner, session))
            left = _without(staged, id)
            try:
                await self._documents.commit(_update(owner, staged, left))
                return left
            except Conflict:
                await tries.pause()

    async def discard(self, owner: str, session: str) -> None:
        """Raises `NotFound`, `Contested` once it is committed."""
        tries = self._patience.tries()
        while True:
            staged = _open(await self.get(owner, session))
            try:
                await self._documents.commit(Delete(staging_path(owner, session), staged.version))
                return
            except Conflict:
                await tries.pause()

    async def commit(self, owner: str, session: str) -> Commit:
        """Apply what is left, in order, at once; committed before, the same commit again.

        Raises `NotFound`, `Contested` where the base has moved.
        """
        tries = self._patience.tries()
        while True:
            staged = await self.get(owner, session)
            if staged.state == "committed":
                return await self._committed(owner, staged)
            if (commit := await self._attempt(owner, staged)) is not None:
                return commit
            await tries.pause()

    async def _attempt(self, owner: str, staged: Staged) -> Commit | None:
        """None when another writer was first; the same commit by somebody else moves the base."""
        try:
            return await self._ledger.attempt(owner, _change(owner, staged))
        except Contested:
            now = await self.find(owner, staged.session)
            if now is None or now.state != "committed":
                raise
            return None

    async def _committed(self, owner: str, staged: Staged) -> Commit:
        if staged.commit is None:
            return Commit(None, "session", staged.created_at, staged.valid_from, staged.session)
        return await self._register.committed(owner, staged.commit)


def staging_path(owner: str, session: str) -> str:
    return f"{owner_path(owner)}/staging/{session_key(session)}"


def _change(owner: str, staged: Staged) -> Change:
    def beside(commit: Commit) -> Sequence[Write]:
        done = replace(staged, state="committed", commit=commit.sequence, proposals=(), base={})
        return [_update(owner, staged, done)]

    return Change(
        base=staged.touched(),
        make=lambda contents, numbers: all_applied(contents, staged.operations, numbers),
        valid_from=staged.valid_from,
        kind="session",
        session=staged.session,
        operations=len(staged.proposals),
        epoch=staged.epoch,
        moved="base_moved",
        beside=beside,
    )


def _update(owner: str, before: Staged, after: Staged) -> Write:
    assert before.version is not None  # noqa: S101  it was read
    path = staging_path(owner, before.session)
    return Update(path, after.packed(), before.version, expires_at=after.expires_at)


def _replacing(
    before: Document | None, path: str, fields: Mapping[str, Any], expires_at: float
) -> Write:
    if before is None:
        return Create(path, fields, expires_at=expires_at)
    return Update(path, fields, before.version, expires_at=expires_at)


def _moved(index: Index, base: Mapping[str, int]) -> bool:
    return any(index.current(id) != number for id, number in base.items())


def _open(staged: Staged) -> Staged:
    if staged.state == "committed":
        raise Contested("What was staged is committed.", code="staging_committed")
    return staged


def _without(staged: Staged, id: str) -> Staged:
    left = tuple(one for one in staged.proposals if one.id != id)
    if len(left) == len(staged.proposals):
        raise NotFound("No such staged operation.", code="operation_not_found")
    return replace(staged, proposals=left)


def _missing() -> NotFound:
    return NotFound("Nothing is staged for this session.", code="staging_not_found")
