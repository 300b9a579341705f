"""Shared workspaces in the store: made, entered, listed, renamed, deleted; their members.

The workspace's own document decides who is a member, and is read anew by every request that names
it: who was removed is out at once, on every instance. The pointers beneath a person's name only
make a list of their workspaces.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from gateway.accounts.workspace import (
    WORKSPACE_ID,
    Role,
    Workspace,
    allows,
    digest,
    memberships,
    missing,
    workspace_path,
)
from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Documents,
    Set,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.errors import BadRequest, Contested, Forbidden

Change = Callable[[Workspace], Workspace]

BUSY = "The workspace"


class Workspaces:
    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._randomness = randomness
        self._patience = Patience(randomness)

    async def create(self, subject: str, name: str, idempotency_key: str | None) -> Workspace:
        """A new one with `subject` as its owner; with a key, the one made with it before.

        Raises `BadRequest` where the key made one of another name, `Contested` where it made one
        that the subject has left since.
        """
        made = Workspace(
            self._id(subject, idempotency_key), name, self._clock(), {subject: "owner"}
        )
        try:
            written = await self._documents.commit(
                Create(workspace_path(made.id), made.packed()), self._pointer(subject, made.id)
            )
        except Conflict:
            return await self._made_before(subject, made)
        return replace(made, version=written[0].version)

    async def find(self, id: str, subject: str, needs: Role = "reader") -> Workspace:
        """Raises `NotFound` where the subject is no member, `Forbidden` where its role is less."""
        if not WORKSPACE_ID.fullmatch(id):
            raise missing()
        document = (await self._documents.get(workspace_path(id)))[0]
        if document is None:
            raise missing()
        found = Workspace.of(document)
        if not allows(role := found.role(subject), needs):
            raise Forbidden(f"A {role} of this workspace cannot do that.", code="role_insufficient")
        return found

    async def require(self, id: str) -> None:
        """Raises `NotFound` where there is none. For admins: anybody else asks `find`."""
        if (await self._documents.get(workspace_path(id)))[0] is None:
            raise missing()

    async def list(
        self, subject: str, *, limit: int, after: str | None = None
    ) -> tuple[list[Workspace], str | None]:
        """A page in the order of ids, and where the next one begins. Two reads for each."""
        pointers = await self._documents.list(memberships(subject), limit=limit + 1, after=after)
        ids = [pointer.id for pointer in pointers[:limit]]
        found = await self._documents.get(*map(workspace_path, ids)) if ids else []
        mine = [Workspace.of(one) for one in found if one is not None]
        more = len(pointers) > limit
        return [one for one in mine if subject in one.members], ids[-1] if more else None

    async def rename(self, id: str, caller: str, name: str) -> Workspace:
        """Owners only. Raises as `find` does."""
        pointer = self._pointer(caller, id)
        return await self._change(id, caller, "owner", lambda one: replace(one, name=name), pointer)

    async def delete(self, id: str, caller: str) -> None:
        """Owners only: nobody is a member any more. Its memory is not seen to. Raises as `find`."""
        tries = self._patience.tries(BUSY)
        while True:
            found = await self.find(id, caller, "owner")
            assert found.version is not None  # noqa: S101  it was read
            pointers = [Delete(f"{memberships(one)}/{id}") for one in found.members]
            try:
                await self._documents.commit(Delete(workspace_path(id), found.version), *pointers)
                return
            except Conflict:
                await tries.pause()

    async def set_member(
        self, id: str, caller: str, member: str, role: Role, *, new: bool
    ) -> Workspace:
        """Owners only. A `new` member that is there already in that role changes nothing.

        Raises `Contested` for a new one that is there in another, and for the last owner's change;
        `NotFound` for one to change that is not there.
        """

        def changed(workspace: Workspace) -> Workspace:
            there = workspace.members.get(member)
            if new and there not in {None, role}:
                raise Contested("This member has another role.", code="member_exists")
            if not new and there is None:
                workspace.without(member)
            return workspace.with_member(member, role)

        return await self._change(id, caller, "owner", changed, self._pointer(member, id))

    async def remove(self, id: str, caller: str, member: str) -> None:
        """Owners remove whom they will, everybody themselves. Raises as `set_member` does."""
        needs: Role = "reader" if member == caller else "owner"
        pointer = Delete(f"{memberships(member)}/{id}")
        await self._change(id, caller, needs, lambda one: one.without(member), pointer)

    async def _change(
        self, id: str, caller: str, needs: Role, change: Change, pointer: Write
    ) -> Workspace:
        """By compare-and-set: who has lost the right meanwhile is refused on the next attempt."""
        tries = self._patience.tries(BUSY)
        while True:
            before = await self.find(id, caller, needs)
            after = change(before)
            if after == before:
                return before
            assert before.version is not None  # noqa: S101  it was read
            update = Update(workspace_path(id), after.packed(), before.version)
            try:
                written = await self._documents.commit(update, pointer)
                return replace(after, version=written[0].version)
            except Conflict:
                await tries.pause()

    async def _made_before(self, subject: str, made: Workspace) -> Workspace:
        document = (await self._documents.get(workspace_path(made.id)))[0]
        there = Workspace.of(document) if document else None
        if there is None or subject not in there.members:
            raise Contested("The workspace made with this key is no longer yours.")
        if there.name != made.name:
            raise BadRequest(
                "This Idempotency-Key was used with another name.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return there

    def _pointer(self, subject: str, id: str) -> Write:
        return Set(f"{memberships(subject)}/{id}", {"since": self._clock()})

    def _id(self, subject: str, idempotency_key: str | None) -> str:
        named = f"{subject}\n{idempotency_key}" if idempotency_key else self._random()
        return f"ws_{digest(named)[:26]}"

    def _random(self) -> str:
        return f"{self._randomness.getrandbits(256):064x}"
