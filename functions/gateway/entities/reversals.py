"""Undoing a commit by a new one, which gives its entities the contents that they had before."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.documents.base import Write
from gateway.documents.patience import Patience
from gateway.entities.commits import Change, Commit, Touched
from gateway.entities.content import Content, whole_milliseconds
from gateway.entities.ledger import Ledger
from gateway.entities.operations import ended
from gateway.entities.paths import commit_path
from gateway.entities.register import Register
from gateway.errors import Contested
from gateway.memory.records import owner_path
from gateway.memory.storage import saved


class Reversals:
    def __init__(
        self,
        register: Register,
        ledger: Ledger,
        clock: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._register = register
        self._ledger = ledger
        self._clock = clock
        self._patience = patience

    async def revert(self, owner: str, sequence: int) -> Commit:
        """The new commit; the same one again if it was made.

        Raises `NotFound`, `Contested` where an entity has changed since.
        """
        tries = self._patience.tries()
        while True:
            done = await self._register.committed(owner, sequence)
            if done.reverted_by is not None:
                return await self._register.committed(owner, done.reverted_by)
            change = await self._undoing(owner, done, sequence)
            if (commit := await self._attempt(owner, change, sequence)) is not None:
                return commit
            await tries.pause()

    async def _attempt(self, owner: str, change: Change, sequence: int) -> Commit | None:
        """None when another writer was first; the same reversal by somebody else moves the base."""
        try:
            return await self._ledger.attempt(owner, change)
        except Contested:
            if (await self._register.committed(owner, sequence)).reverted_by is None:
                raise
            return None

    async def _undoing(self, owner: str, done: Commit, sequence: int) -> Change:
        numbers = {one.entity: max(1, one.before) for one in done.changes}
        found = await self._register.contents(owner, numbers)
        earlier = {one.entity: _before(found.get(one.entity), one) for one in done.changes}

        def marked(commit: Commit) -> Sequence[Write]:
            fields = replace(done, reverted_by=commit.sequence).packed()
            return [saved(commit_path(owner_path(owner), sequence), fields, done.version)]

        return Change(
            base={one.entity: one.after for one in done.changes},
            make=lambda contents, numbers: earlier,
            valid_from=whole_milliseconds(self._clock()),
            kind="revert",
            reverts=sequence,
            moved="base_moved",
            beside=marked,
        )


def _before(content: Content | None, touched: Touched) -> Content:
    """What the entity held before; one that was not there holds at no time."""
    if content is None:
        raise Contested("The entity was erased since.", code="base_moved")
    return content if touched.before else ended(content, content.valid_from)
