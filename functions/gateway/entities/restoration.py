"""Entities that are brought back with their histories: under their own ids, versions and commits.

A batch is one commit, a compare-and-set on the owner's document and on the index: a change of an
entity or an erasure meanwhile wins, and the batch is decided anew on what it left. It may be
repeated, whole or in part: what is there already stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.documents.base import Conflict, Documents, Set, StoreUnavailable, Write
from gateway.documents.patience import Patience
from gateway.entities.cards import Index
from gateway.entities.commits import Commit
from gateway.entities.content import whole_milliseconds
from gateway.entities.ledger import guard, version_fields
from gateway.entities.paths import commit_path, entity_path, index_path, version_path
from gateway.entities.returning import Batch, Decision, Standing, decided
from gateway.entities.versions import History
from gateway.errors import Contested
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path
from gateway.memory.storage import saved


@dataclass(frozen=True, slots=True)
class Outcome:
    """`versions` and `commits` were written now, `unchanged` versions were there; `skipped` commits
    are of another log. `problems`: line, message and code of each version that was not taken."""

    versions: int = 0
    unchanged: int = 0
    commits: int = 0
    skipped: int = 0
    problems: Sequence[tuple[int, str, str]] = ()


class EntityRestoration:
    """One import of one owner. Not for use by two tasks at once."""

    def __init__(
        self,
        documents: Documents,
        clock: Callable[[], float],
        patience: Patience,
        owner: str,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._patience = patience
        self._root = owner_path(owner)
        self._epoch: int | None = None
        self._parted = False
        self._refused: frozenset[str] = frozenset()

    async def restore(self, batch: Batch) -> Outcome:
        """One commit at most. Raises `Contested` when the memory was erased since the import's
        first batch, `StoreUnavailable` when the store is away or the race is lost too often.
        """
        unanswered: Outcome | None = None
        tries = self._patience.tries()
        while True:
            owner, standing = await self._read(batch)
            decision = decided(batch, standing, whole_milliseconds(self._clock()))
            outcome = _outcome(decision)
            try:
                if decision.versions or decision.written:
                    await self._documents.commit(*self._writes(owner, standing, decision))
                else:
                    outcome = unanswered or outcome
                self._parted, self._refused = decision.parted, frozenset(decision.refused)
                return outcome
            except Conflict:
                pass
            except StoreUnavailable:
                if unanswered:
                    raise
                unanswered = outcome
            await tries.pause()

    async def _read(self, batch: Batch) -> tuple[Owner, Standing]:
        """The owner's document and the index first: what is read later can only be newer."""
        root, ids, numbers = self._root, batch.entities, batch.numbers
        first = await self._documents.get(root, index_path(root))
        owner = Owner.of(first[0]).readable()
        self._epoch = owner.epoch if self._epoch is None else self._epoch
        if self._epoch != owner.epoch:
            raise Contested("The memory was erased meanwhile.", code="memory_erased")
        paths = [entity_path(root, id) for id in ids]
        paths += [commit_path(root, number) for number in numbers]
        found = await self._documents.get(*paths) if paths else []
        commits = [Commit.of(one) for one in found[len(ids) :] if one is not None]
        return owner, Standing(
            index=Index.of(first[1]),
            histories={id: History.of(one) for id, one in zip(ids, found, strict=False)},
            log={one.sequence or 0: one for one in commits},
            parted=self._parted,
            refused=self._refused,
        )

    def _writes(self, owner: Owner, before: Standing, decision: Decision) -> list[Write]:
        root, index = self._root, decision.index
        writes: list[Write] = [
            guard(root, owner),
            saved(index_path(root), index.packed(), before.index.version),
        ]
        for id in dict.fromkeys(one.entity for one in decision.versions):
            history = decision.histories[id]
            writes.append(saved(entity_path(root, id), history.packed(), history.version))
        for one in decision.versions:  # an erasure that broke off may have left one: set, not made
            path = version_path(root, one.entity, one.mark.number)
            writes.append(Set(path, version_fields(one.mark, one.content)))
        for number in sorted(decision.written):
            commit = decision.log[number]
            writes.append(saved(commit_path(root, number), commit.packed(), commit.version))
        return writes


def _outcome(decision: Decision) -> Outcome:
    return Outcome(
        versions=len(decision.versions),
        unchanged=decision.unchanged,
        commits=decision.commits,
        skipped=decision.skipped,
        problems=decision.problems,
    )
